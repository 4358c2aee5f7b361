"""``sequence-recommender`` as users meet it: items go round in circles, so that what comes next is known."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from planted import RUN, SMALL, one_thread

from isthmus.errors import InputError, SettingError
from isthmus.training.run import Run
from isthmus_interactions import Interactions, ItemFeatures, Recommender
from isthmus_interactions.splits import leave_last_out

ITEMS = 12


def circle(users: int = 90, items: int = ITEMS, first: int = 0) -> pa.Table:
    """User u goes 4 to 7 steps from item to item; ids are text."""
    rows = [(f"u{u}", f"i{(5 * u + step) % items}") for u in range(first, first + users) for step in range(4 + u % 4)]
    return pa.table({"user": [user for user, _ in rows], "item": [item for _, item in rows]})


def read(table: pa.Table) -> Interactions:
    return Interactions.read(table, ordered=True)


def trained(data: Interactions, **changes: Any) -> Recommender:
    options = {"validation": 0.0, "run": RUN, **SMALL["sequence_recommender"], "dropout": 0.0, **changes}
    with one_thread():
        return Recommender.fit(data, "sequence-recommender", **options)


@cache
def plain() -> Recommender:
    return trained(read(circle()))


def following(recommender: Recommender, items: int = ITEMS) -> float:
    """Of how many items the next one is recommended first."""
    asked = recommender.recommend([[f"i{(i - back) % items}" for back in (3, 2, 1, 0)] for i in range(items)], 1)
    return float(np.mean([answer.ids == [f"i{(i + 1) % items}"] for i, answer in enumerate(asked)]))


OTHERS = ({"block": "gated", "epochs": 150}, {"variational": True, "ahead": 1, "epochs": 90})


@pytest.mark.parametrize("settings", [{}, *(pytest.param(one, marks=pytest.mark.slow) for one in OTHERS)])
def test_it_recommends_what_comes_next(settings: dict[str, Any], tmp_path: Path) -> None:
    recommender = trained(read(circle()), **settings) if settings else plain()
    assert following(recommender) >= 0.8
    recommender.save(tmp_path / "a")
    again = Recommender.load(tmp_path / "a")
    assert again.settings == recommender.settings
    histories = [["i1", "i2"], ["i2", "i1"], ["i3", "nothing"], []]
    for one, other in zip(recommender.recommend(histories, 3), again.recommend(histories, 3), strict=True):
        assert (one.ids, one.unknown, one.popular) == (other.ids, other.unknown, other.popular)
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-5)
    first, second, third, empty = recommender.recommend(histories, 3, exclude_seen=False)
    assert first.ids != second.ids
    assert third.unknown == ["nothing"]
    assert empty.popular


def test_scores_and_neighbours() -> None:
    recommender = plain()
    ids = [f"i{i}" for i in range(ITEMS)]
    scores = recommender.score([["i1", "i2"]], [*ids, "?"])
    (best,) = recommender.recommend([["i1", "i2"]], ITEMS, exclude_seen=False)
    order = np.argsort(-scores[0, :ITEMS], kind="stable")
    assert best.ids == [ids[i] for i in order]
    assert scores[0, ITEMS] == -np.inf
    (near,) = recommender.similar_items(["i3"], 4)
    assert len(near.ids) == 4
    assert "i3" not in near.ids


def test_an_explanation_leaves_items_out() -> None:
    recommender = plain()
    explained = recommender.explain(["i1", "i2", "i3"], "i4")
    whole, without = recommender.score([["i1", "i2", "i3"], ["i1", "i2"]], ["i4"])[:, 0]
    assert explained.scores[explained.ids.index("i3")] == pytest.approx(whole - without, abs=1e-4)
    assert explained.ids[0] == "i3"
    assert np.isfinite(recommender.explain(["i1"], "i2").scores).all()


def test_it_is_measured_and_chooses_its_epoch() -> None:
    split = leave_last_out(read(circle(200)))
    recommender = trained(split.train, validation=split.validation, metric="recall@1", epochs=20)
    assert recommender.history.best_score is not None
    assert recommender.history.best_score > 0.9
    assert recommender.evaluate(split.test, ["recall@2"]).means["recall@2"] > 0.5


def test_an_update_continues_from_the_weights() -> None:
    before = plain()
    later = read(circle(40, first=200))
    after = before.update(later, run=RUN, validation=0.0, epochs=3)
    assert after.facts["updates"][0]["how"] == "trained on"
    assert following(after) >= 0.8
    with_new = pa.table({"user": ["n", "n", "m", "m"], "item": ["i1", "new", "i1", "new"]})
    wider = before.update(Interactions.read(with_new, ordered=True), run=RUN, validation=0.0, epochs=2)
    assert "new" in wider.adapter.items


def test_a_checkpoint_is_continued(tmp_path: Path) -> None:
    data = read(circle())
    whole = trained(data, epochs=4, dropout=0.1)
    part = Run(device="cpu", precision="fp32", checkpoints=tmp_path / "part", until=2, every=1)
    trained(data, run=part, epochs=4, dropout=0.1)
    ended = Run(device="cpu", precision="fp32", checkpoints=tmp_path / "part", resume=True)
    again = trained(data, run=ended, epochs=4, dropout=0.1)
    for name, tensor in whole.model.state_dict().items():
        assert np.allclose(tensor.numpy(), again.model.state_dict()[name].numpy(), atol=1e-5), name


def test_similar_users_are_those_with_similar_states() -> None:
    recommender = plain()
    # Users 12 apart start at the same item, and every fourth of them goes as far.
    nearest = recommender.similar_users([[f"i{step}" for step in range(4)]], 3)[0]
    assert {int(user[1:]) % ITEMS for user in nearest.ids} == {0}
    assert nearest.scores[0] == pytest.approx(1.0, abs=1e-4)
    assert len(recommender.similar_users([[]], 3)[0]) == 0


@pytest.mark.parametrize("settings", [{}, {"variational": True, "ahead": 1, "epochs": 20}])
def test_surprise_is_minus_the_log_of_the_softmax(settings: dict[str, Any]) -> None:
    recommender = trained(read(circle()), **settings) if settings else plain()
    history = ["i1", "i2", "nothing", "i3", "i9"]
    (found,) = recommender.surprise([history])
    known = ["i1", "i2", "i3", "i9"]
    assert np.isnan(found[0])
    ids = [f"i{i}" for i in range(ITEMS)]
    # The last item, from the scores of all items after those before it.
    scores = recommender.score([known[:3]], ids)[0].astype(np.float64)
    expected = np.log(np.exp(scores - scores.max()).sum()) + scores.max() - scores[ids.index("i9")]
    assert found[3] == pytest.approx(expected, rel=1e-3)
    assert found[3] > found[2]
    assert [len(one) for one in recommender.surprise([[], ["i1"], known * 60])] == [0, 1, 240]
    with pytest.raises(SettingError, match="sequence-recommender"):
        Recommender.fit(circle(), "popularity", validation=0.0, run=RUN).surprise([history])


def test_futures_are_drawn_with_the_probabilities_of_the_softmax() -> None:
    recommender = plain()
    (drawn,) = recommender.sample_futures([["i1", "i2"]], 1, samples=4_000, temperature=2.0)
    ids = [f"i{i}" for i in range(ITEMS)]
    scores = recommender.score([["i1", "i2"]], ids)[0].astype(np.float64) / 2.0
    chances = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    counts = Counter(future[0] for future in drawn)
    for id_, chance in zip(ids, chances, strict=True):
        # Six standard errors.
        assert abs(counts[id_] / 4_000 - chance) <= 6 * np.sqrt(chance * (1 - chance) / 4_000) + 1e-9


def test_futures_go_on_from_what_was_drawn() -> None:
    recommender = plain()
    (early, late) = recommender.sample_futures([["i1", "i2"], ["i8", "i9"]], 5, samples=2, temperature=0.01)
    best = [recommender.recommend([[*before]], 1, exclude_seen=False)[0].ids[0] for before in (["i1", "i2"],)]
    assert [future[0] for future in early] == best * 2
    for step in range(1, 5):
        history = ["i8", "i9", *late[0][:step]]
        assert late[0][step] == recommender.recommend([history], 1, exclude_seen=False)[0].ids[0]
    (fresh,) = recommender.sample_futures([["i1", "i2"]], ITEMS - 2, samples=3, exclude_seen=True)
    assert all(len({"i1", "i2", *future}) == ITEMS for future in fresh)


@pytest.mark.parametrize(
    ("histories", "options", "error"),
    [
        ([["nothing"]], {}, InputError),
        ([["i1"]], {"temperature": 0.0}, SettingError),
        ([["i1"]], {"steps": 0}, SettingError),
        ([["i1"]], {"steps": ITEMS, "exclude_seen": True}, SettingError),
        ([["i1"]], {"samples": 0}, SettingError),
    ],
)
def test_futures_that_cannot_be_drawn(histories: Any, options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        plain().sample_futures(histories, **options)


@pytest.mark.slow
def test_a_blend_with_a_model_of_bags(tmp_path: Path) -> None:
    split = leave_last_out(read(circle(200)))
    own = {**SMALL["sequence_recommender"], "dropout": 0.0, "epochs": 25}
    parts = [{"model": "sequence-recommender", "settings": own}, "ease"]
    with one_thread():
        blended = Recommender.fit(
            split.train, "blend", parts=parts, validation=split.validation, metric="recall@1", run=RUN
        )
    assert blended.history.best_score is not None
    assert blended.history.best_score > 0.9
    assert following(blended) >= 0.8
    blended.save(tmp_path / "b")
    again = Recommender.load(tmp_path / "b")
    assert again.recommend([["i1", "i2"]], 2)[0].ids == blended.recommend([["i1", "i2"]], 2)[0].ids


def test_times_are_read_where_they_are_asked_for() -> None:
    table = circle()
    hours = [3600.0 * 24 * place + 1.6e9 for place in range(len(table))]
    timed = Interactions.read(table.append_column("time", pa.array(hours)))
    recommender = trained(timed, timed=True)
    near, far = ([("i1", 1.7e9), ("i2", 1.7e9 + gap)] for gap in (1.0, 1e8))
    first, second = recommender.score([near, far], ["i3", "i7"])
    assert not np.allclose(first, second)
    with pytest.raises(InputError, match="times"):
        recommender.recommend([["i1", "i2"]])
    with pytest.raises(InputError, match="times"):
        trained(read(table), timed=True)


def test_what_it_needs_and_cannot_do_is_said() -> None:
    with pytest.raises(InputError, match="ordered=True"):
        trained(Interactions.read(circle()))
    single = pa.table({"user": ["a", "b", "c"], "item": ["x", "y", "x"]})
    with pytest.raises(InputError, match="two items"):
        trained(read(single))
    with pytest.raises(SettingError, match="order"):
        plain().with_features(ItemFeatures.of(["i1", "n"], np.eye(2, dtype=np.float32)))
    with pytest.raises(InputError, match="order"):
        plain().recommend(Interactions.read(circle()))

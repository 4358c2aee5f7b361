"""Half-lives, against plain dense formulas: in fit and answers, saved, updated, blended, explained, chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from planted import RUN

from isthmus.errors import InputError, SettingError
from isthmus_interactions import Interactions, Recommender
from isthmus_interactions.auto import search

DAY = 86_400
START = 1_704_067_200
USERS, ITEMS, EVENTS = 40, 9, 6
REGULARISATION = 2.0


def rows() -> list[tuple[str, str, int]]:
    """Random histories with repetitions, on one clock."""
    generator = np.random.default_rng(5)
    found = []
    for user in range(USERS):
        days = np.sort(generator.integers(0, 90, EVENTS)).tolist()
        found += [(f"u{user}", f"i{generator.integers(0, ITEMS)}", day) for day in days]
    return found


def read(some: list[tuple[str, str, int]], **options: Any) -> Interactions:
    columns = {name: [row[place] for row in some] for place, name in enumerate(("user", "item"))}
    return Interactions.read(pa.table({**columns, "time": [START + row[2] * DAY for row in some]}), **options)


def weighed(history: list[tuple[str, int]], items: list[str], half_life: float, *, timed: bool) -> np.ndarray:
    """One dense row: ½ to the power of the age of the last event of each item."""
    row = np.zeros(len(items))
    for place, (item, day) in enumerate(history):
        age = history[-1][1] - day if timed else len(history) - 1 - place
        row[items.index(item)] = 0.5 ** (age / half_life)
    return row


def ease(rows_: np.ndarray, regularisation: float) -> np.ndarray:
    inverse = np.linalg.inv(rows_.T @ rows_ + regularisation * np.eye(rows_.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights


def histories(some: list[tuple[str, str, int]]) -> dict[str, list[tuple[str, int]]]:
    found: dict[str, list[tuple[str, int]]] = {}
    for user, item, day in some:
        found.setdefault(user, []).append((item, day))
    return found


@pytest.fixture(scope="module")
def fitted() -> dict[bool, Recommender]:
    data = read(rows())
    given = {"validation": 0.0, "run": RUN, "regularisation": REGULARISATION}
    return {
        False: Recommender.fit(data, "ease", decay=2, **given),
        True: Recommender.fit(data, "ease", decay="30d", **given),
    }


@pytest.mark.parametrize("timed", [False, True])
def test_fit_and_answers_are_those_of_dense_weighed_rows(
    fitted: dict[bool, Recommender], timed: bool, tmp_path: Path
) -> None:
    one, half_life = fitted[timed], 30.0 if timed else 2.0
    items = [str(item) for item in one.adapter.items.ids.tolist()]
    known = histories(rows())
    dense = np.array([weighed(known[str(user)], items, half_life, timed=timed) for user in one.adapter.users.ids])
    weights = ease(dense, REGULARISATION)
    history = [("i3", 1), ("i5", 20), ("i3", 40), ("i1", 70)]
    asked = [(item, START + day * DAY) for item, day in history]
    expected = weighed(history, items, half_life, timed=timed) @ weights
    one.save(tmp_path / "bundle")
    for each in (one, Recommender.load(tmp_path / "bundle")):
        assert each.score([asked[::-1]], items)[0] == pytest.approx(expected, abs=1e-4)
        (answer,) = each.recommend([asked], 3, exclude_seen=False)
        assert answer.scores == pytest.approx(sorted(expected, reverse=True)[:3], abs=1e-4)
        told = each.explain(asked, answer.ids[0])
        assert sum(told.scores) == pytest.approx(answer.scores[0], abs=1e-4)
        assert set(told.ids) == {"i1", "i3", "i5"}
        # A user's own history is nearest to that user.
        first = str(each.adapter.users.ids[0])
        own = [(item, START + day * DAY) for item, day in known[first]]
        (near,) = each.similar_users([own], 1)
        assert near.scores[0] == pytest.approx(1.0, abs=1e-5)
    ranked = one.recommend_users(one.adapter.users.ids[:1].tolist(), 1, exclude_seen=False)[0]
    assert ranked.scores[0] == pytest.approx((dense[0] @ weights).max(), abs=1e-4)


def test_order_matters_and_is_needed(fitted: dict[bool, Recommender]) -> None:
    one = fitted[False]
    forwards, backwards = one.score([["i1", "i2", "i3"], ["i3", "i2", "i1"]], ["i4", "i5"])
    assert not np.allclose(forwards, backwards)
    with pytest.raises(InputError, match="ordered=True"):
        Recommender.fit(read(rows(), time=""), "ease", decay=2, validation=0.0, run=RUN)
    with pytest.raises(InputError, match="number of events"):
        Recommender.fit(read(rows(), time="", ordered=True), "ease", decay="30d", validation=0.0, run=RUN)


def test_an_update_is_a_fit_on_everything(fitted: dict[bool, Recommender]) -> None:
    new = [("u0", "i1", 95), ("new", "i2", 96), ("new", "i3", 97)]
    updated = fitted[False].update(read(new), validation=0.0, run=RUN)
    whole = Recommender.fit(
        read([*rows(), *new]), "ease", decay=2, validation=0.0, run=RUN, regularisation=REGULARISATION
    )
    items = whole.adapter.items.ids.tolist()
    history = [["i3", "i5", "i1"]]
    assert updated.score(history, items) == pytest.approx(whole.score(history, items), abs=1e-4)
    assert updated.settings["half_life"] == 2


def test_parts_of_a_blend_have_their_own(fitted: dict[bool, Recommender]) -> None:
    part = {"model": "recent", "settings": {"of": "ease", "half_life": 2, "settings": {"regularisation": 2.0}}}
    blend = Recommender.fit(read(rows()), "blend", parts=[part, "popularity"], validation=0.0, run=RUN)
    alone, items = fitted[False], fitted[False].adapter.items.ids.tolist()
    both = blend.score([["i3", "i5"]], items) - alone.score([["i3", "i5"]], items)
    assert both[0] == pytest.approx(blend.popularity.shares.tolist(), abs=1e-4)


def test_a_network_is_trained_on_weighed_bags() -> None:
    given: dict[str, Any] = {"validation": 0.0, "run": RUN, "epochs": 1, "hidden": 4, "code": 2}
    one = Recommender.fit(read(rows()), "vanilla", decay=3, **given)
    forwards, backwards = one.score([["i1", "i2", "i3"], ["i3", "i2", "i1"]], ["i4", "i5"])
    assert not np.allclose(forwards, backwards)
    # The schedule of the learning rate has the same name.
    plain = Recommender.fit(read(rows()), "vanilla", decay="constant", **given)
    assert plain.builder == "vanilla"
    assert plain.settings["decay"] == "constant"


@pytest.mark.parametrize(
    ("model", "decay", "message"),
    [
        ("ease", 0, "half_life=0"),
        ("ease", -1.0, "half_life=-1"),
        ("ease", float("nan"), "nan"),
        ("ease", "30 parsecs", "30d"),
        ("ease", True, "True"),
        ("auto", 20, "without a model"),
        ("blend", 20, "a model of bags"),
        ("recent", 20, "a model of bags"),
    ],
)
def test_half_lives_that_are_none(model: str, decay: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Recommender.fit(read(rows()), model, decay=decay, run=RUN)


def drifting() -> Interactions:
    """Users who only ever want what is near the last item, and whose older items are noise."""
    generator = np.random.default_rng(0)
    found = []
    for user in range(80):
        items = [*generator.integers(0, 30, 12), *[(user + step) % 30 for step in range(6)]]
        found += [(f"u{user}", f"i{item:02d}", place) for place, item in enumerate(items)]
    return read(found)


@pytest.mark.slow
def test_auto_chooses_a_half_life_on_held_out_data() -> None:
    one = Recommender.fit(
        drifting(), "ease", decay="auto", validation=0.3, run=RUN, regularisation=20.0, metric="ndcg@10"
    )
    facts = one.facts["decay"]
    scores = {line["half_life"]: line["ndcg@10"] for line in facts["tried"]}
    assert set(scores) > {None, 3.0, 10.0, "7d"}
    best = max(scores, key=lambda half_life: scores[half_life])
    assert best is not None
    assert one.settings["half_life"] == best


def test_popularity_of_the_last_days() -> None:
    data = read([("u", "a", 0), ("v", "a", 1), ("w", "b", 9), ("u", "c", 10)])
    one = Recommender.fit(data, "popularity", recent="7d", validation=0.0, run=RUN)
    assert one.score([["a"]], ["a", "b", "c"])[0] == pytest.approx([0, 1 / 3, 1 / 3])
    with pytest.raises(SettingError, match="recent='soon'"):
        Recommender.fit(data, "popularity", recent="soon", validation=0.0, run=RUN)
    with pytest.raises(InputError, match="dates"):
        Recommender.fit(read(rows(), time="", ordered=True), "popularity", recent="7d", validation=0.0, run=RUN)


@pytest.mark.slow
def test_auto_tries_half_lives_and_says_what_they_were_worth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "networks", lambda *_, **__: [])
    one = Recommender.fit(drifting(), validation=0.3, metric="ndcg@10", run=RUN)
    facts = one.facts
    # Too few different times for a clock, but an order.
    assert facts["validation"].startswith("the last item")
    assert {line["settings"]["half_life"] for line in facts["tried"] if line["model"] == "recent"} > {3.0, 10.0}
    worth = facts["worth"]
    assert worth["recency"]["ndcg@10"] > worth["bags"]["ndcg@10"]
    assert worth["told"][0].startswith("recency: ndcg@10")
    assert one.builder in {"recent", "blend", "sequence_linear"}
    # Without an order there is nothing to compare.
    data = drifting()
    plain = Interactions(data.users, data.items, data.matrix, None, data.report)
    assert Recommender.fit(plain, validation=0.3, metric="ndcg@10", run=RUN).facts["worth"] == {}

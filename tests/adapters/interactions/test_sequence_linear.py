"""A linear model of the next item through every verb, alone and in a blend with models of bags."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from planted import RUN

from isthmus.batch import Bag, TokenRows
from isthmus.core.linear.decayed_pairs import Decay, Events
from isthmus.core.linear.next_item import Powers, dense_weights
from isthmus.core.linear.sparse import SparseLinear
from isthmus.errors import InputError, SettingError
from isthmus.models import sequence_linear
from isthmus.models import sequence_linear as builder
from isthmus_interactions import Interactions, Recommender
from isthmus_interactions.splits import leave_last_out

ITEMS, USERS = 12, 80
DAY = 86_400
SETTINGS: dict[str, Any] = {"tau": 2.0, "regularisation": 3.0}
PARTS = [
    {"model": "sequence-linear", "settings": SETTINGS},
    {"model": "ease", "settings": {"regularisation": 5.0}},
    {"model": "recent", "settings": {"of": "ease", "half_life": 3.0, "settings": {"regularisation": 5.0}}},
]


def events(users: int = USERS, start: int = 0, *, timed: bool = True) -> pa.Table:
    """Walks around a circle of items, one step an event and a day apart, two in ten steps of them back or far."""
    random = np.random.default_rng(start)
    rows = []
    for user in range(start, start + users):
        place, time = random.integers(ITEMS), 1_500_000_000 + int(random.integers(100)) * DAY
        for _ in range(random.integers(3, 9)):
            rows.append((user, int(place), time))
            place = (place + (1 if random.random() < 0.8 else random.integers(ITEMS))) % ITEMS
            time += DAY
    names = ("user", "item", "time") if timed else ("user", "item")
    return pa.table({name: [row[at] for row in rows] for at, name in enumerate(names)})


@cache
def fitted(model: str = "sequence-linear", **changes: Any) -> Recommender:
    data = Interactions.read(events())
    if model != "blend":
        return Recommender.fit(data, model, validation=0.0, run=RUN, **{**SETTINGS, **changes})
    split = leave_last_out(data, validation=False)
    # Its weights are chosen for what comes last.
    return Recommender.fit(split.train, model, validation=split.test, metric="ndcg@5", run=RUN, parts=PARTS)


def best(recommender: Recommender, history: list[Any]) -> int:
    return recommender.recommend([history], 1, exclude_seen=False)[0].ids[0]


def test_it_knows_what_comes_next_for_histories_that_it_has_never_seen() -> None:
    recommender = fitted()
    assert [best(recommender, [6, 2, start]) for start in range(ITEMS)] == [(s + 1) % ITEMS for s in range(ITEMS)]
    assert recommender.settings["ask_tau"] is None
    assert len(recommender.history.records) == 1
    (unknown,) = recommender.recommend([["?"]], 3)
    assert unknown.popular
    assert len(unknown) == 3


def test_weights_are_those_of_the_core_on_whole_histories() -> None:
    """Not only on the last items, which are what answers read."""
    data = Interactions.read(events())
    assert data.histories is not None
    history = Events(torch.from_numpy(data.histories.items).long(), torch.from_numpy(data.histories.offsets))
    short = fitted(ask_tau=0.1)
    assert short.model.signal.length == 1
    expected = dense_weights(history, ITEMS, Decay(2.0), 3.0, Powers())
    torch.testing.assert_close(short.model.linear.weights, expected)
    assert best(short, [3, 4, 5]) == best(short, [9, 5])


def test_scores_are_the_weighted_rows_of_the_history() -> None:
    recommender = fitted(ask_tau=1.0)
    weights = recommender.model.linear.weights.numpy()
    columns = recommender.adapter.items.rows([4, 5])
    history = recommender.adapter.items.rows([1, 2, 1])
    expected = weights[history[0]] * np.exp(-2) + weights[history[1]] * np.exp(-1) + weights[history[2]]
    np.testing.assert_allclose(recommender.score([[1, 2, 1]], [4, 5])[0], expected[columns], rtol=1e-5)


def test_times_count_where_they_are_asked_for() -> None:
    timed = fitted(time_tau="2d", least=0.25)
    assert timed.model.timed
    close, far = (timed.score([[(1, 0), (5, days * DAY)]], list(range(ITEMS)))[0] for days in (1, 300))
    weights = timed.model.linear.weights.numpy()
    old, new = weights[timed.adapter.items.rows([1, 5])]
    order = timed.adapter.items.rows(list(range(ITEMS)))
    np.testing.assert_allclose(close, (new + old * np.exp(-1 / 2) * np.exp(-1 / 2))[order], atol=1e-5)
    np.testing.assert_allclose(far, (new + old * np.exp(-1 / 2) * 0.25)[order], atol=1e-5)
    with pytest.raises(InputError, match="without times"):
        Recommender.fit(Interactions.read(events(timed=False), ordered=True), "sequence-linear", time_tau="2d", run=RUN)


def test_a_matrix_has_no_order() -> None:
    data = Interactions.read(events(timed=False))
    with pytest.raises(InputError, match="order is not known"):
        Recommender.fit(data, "sequence-linear", run=RUN)


@pytest.mark.parametrize("model", ["sequence-linear", "blend"])
def test_explanations_add_up_to_the_score(model: str) -> None:
    recommender = fitted(model)
    history = [0, 3, 4, 3]
    answer = recommender.explain(history, 5)
    assert sorted(answer.ids) == [0, 3, 4]
    assert answer.ids[0] == 4
    assert sum(answer.scores) == pytest.approx(float(recommender.score([history], [5])[0, 0]), rel=1e-4)
    assert recommender.explain(history, 5, 1).ids == [4]


@pytest.mark.parametrize("model", ["sequence-linear", "blend"])
def test_saved_and_loaded_it_answers_alike(model: str, tmp_path: Path) -> None:
    recommender = fitted(model)
    recommender.save(tmp_path / "a")
    loaded = Recommender.load(tmp_path / "a")
    asked = [[1, 2, 3], [7], [4, 4, 9]]
    np.testing.assert_array_equal(loaded.score(asked, range(ITEMS)), recommender.score(asked, range(ITEMS)))
    assert [one.ids for one in loaded.recommend_users([0, 5])] == [
        one.ids for one in recommender.recommend_users([0, 5])
    ]


def test_similar_items_are_what_comes_next() -> None:
    for item, answer in zip((3, 8), fitted().similar_items([3, 8], 2), strict=True):
        assert answer.ids[0] == item + 1
    for item, answer in zip((3, 8), fitted("blend").similar_items([3, 8], 2), strict=True):
        assert item + 1 in answer.ids


def test_a_blend_weighs_parts_of_both_kinds() -> None:
    recommender = fitted("blend")
    order, *bags = recommender.model.weights.tolist()
    assert order > 0
    assert any(bags)
    assert best(recommender, [6, 2, 4]) == 5


def test_a_half_life_may_weigh_answers_alone() -> None:
    """Another part that a blend may need beside it."""
    ease = {"of": "ease", "half_life": 1.0, "settings": {"regularisation": 5.0}}
    data = Interactions.read(events())
    plain = Recommender.fit(data, "ease", validation=0.0, run=RUN, regularisation=5.0)
    late, both = (
        Recommender.fit(data, "recent", validation=0.0, run=RUN, training=training, **ease)
        for training in (False, True)
    )
    torch.testing.assert_close(late.model.model.weights, plain.model.weights)
    assert not torch.allclose(both.model.model.weights, plain.model.weights)
    old, new = (plain.score([[item]], [5]) for item in (3, 4))
    np.testing.assert_allclose(late.score([[3, 4]], [5]), old / 2 + new, rtol=1e-5)


def test_an_update_solves_it_again_for_everybody() -> None:
    for model in ("sequence-linear", "blend"):
        updated = fitted(model).update(events(20, start=1000), run=RUN)
        assert len(updated.adapter.users) == USERS + 20
        assert best(updated, [3, 4]) == 5
    both = pa.concat_tables([events(), events(20, start=1000)])
    whole = Recommender.fit(Interactions.read(both), "sequence-linear", validation=0.0, run=RUN, **SETTINGS)
    updated = fitted().update(events(20, start=1000), run=RUN)
    torch.testing.assert_close(updated.model.linear.weights, whole.model.linear.weights)


def test_it_is_measured_on_what_comes_last() -> None:
    split = leave_last_out(Interactions.read(events()), validation=False)
    recommender = Recommender.fit(split.train, "sequence-linear", validation=0.0, run=RUN, **SETTINGS)
    popular = Recommender.fit(split.train, "popularity", validation=0.0, run=RUN)
    own, other = (one.evaluate(split.test, ["recall@1"]).means["recall@1"] for one in (recommender, popular))
    assert own > 0.5 > other


def test_few_neighbours_make_a_sparse_model(tmp_path: Path) -> None:
    sparse = fitted(neighbours=4)
    assert isinstance(sparse.model.linear, SparseLinear)
    assert sparse.model.linear.weights.shape == (ITEMS, 4)
    assert [best(sparse, [start]) for start in range(ITEMS)] == [(s + 1) % ITEMS for s in range(ITEMS)]
    assert 0 < sparse.history.records[0]["loss"] < 1
    sparse.save(tmp_path / "a")
    loaded = Recommender.load(tmp_path / "a")
    np.testing.assert_array_equal(loaded.score([[3, 4]], range(ITEMS)), sparse.score([[3, 4]], range(ITEMS)))
    with torch.device("meta"):
        wide = builder(Bag(30_000), generator=torch.Generator())
    assert wide.model.linear.weights.shape == (30_000, 100)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tau": 0.0},
        {"tau": -1.0},
        {"ask_tau": 0.0},
        {"regularisation": 0.0},
        {"least": 1.5},
        {"neighbours": 0},
        {"time_tau": "soon"},
        {"time_tau": "0d"},
    ],
    ids=str,
)
def test_settings_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(wrong))):
        sequence_linear(Bag(5), generator=torch.Generator(), **wrong)


def test_padding_counts_for_nothing() -> None:
    model = fitted().model
    short = TokenRows(torch.tensor([[3, 5, 0]]), torch.tensor([[True, True, False]]))
    padded = TokenRows(torch.tensor([[3, 5, 7]]), torch.tensor([[True, True, False]]))
    torch.testing.assert_close(model.scores(model.prepare(short)), model.scores(model.prepare(padded)))
    empty = TokenRows(torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3, dtype=torch.bool))
    assert not model.scores(model.prepare(empty)).any()

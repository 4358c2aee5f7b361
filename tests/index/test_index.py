"""The face of the index: what it answers, whatever its kind and whatever came and went."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from isthmus.errors import InputError, SettingError, ValueRangeError
from isthmus.index import Budget, Index, SearchHits
from isthmus.index.faiss import Kind
from isthmus.index.vectors import Metric
from isthmus.testing.searcher import similarity

METRICS: tuple[Metric, ...] = ("ip", "cosine", "l2")
ROWS, WIDTH = 160, 5


def whole(rows: int, seed: int) -> Tensor:
    """Small whole numbers: many ties, and products without rounding."""
    return torch.randint(-2, 3, (rows, WIDTH), generator=torch.Generator().manual_seed(seed)).float()


@lru_cache
def built(kind: str, metric: Metric) -> Index:
    """Never changed."""
    return Index.build(whole(ROWS, 0), metric=metric, kind=kind, target_recall=0.05, k=3)


KEYS = [(kind, metric) for kind in ("exact", *get_args(Kind)) for metric in METRICS]


def fresh(key: tuple[str, Metric]) -> Index:
    """A handle of its own on what was built."""
    index = built(*key)
    return Index(index._state.snapshot, index._state.chosen, index._request)


class Reference:
    """The same in plain Python: ids in the order in which they came."""

    def __init__(self) -> None:
        self.vectors = dict(enumerate(whole(ROWS, 0)))

    def change(self, index: Index, what: str, ids: list[int], seed: int) -> None:
        """Do it to both."""
        known = [id_ for id_ in ids if id_ in self.vectors]
        if what == "add":
            ids = [id_ for id_ in ids if id_ not in self.vectors]
            more = whole(len(ids), seed)
            index.add(more, ids)
            self.vectors |= dict(zip(ids, more, strict=True))
        elif what == "remove":
            index.remove(known)
            for id_ in known:
                del self.vectors[id_]
        elif what == "update":
            other = whole(len(known), seed)
            index.update(other, known)
            for id_, vector in zip(known, other, strict=True):
                del self.vectors[id_]
                self.vectors[id_] = vector
        else:
            index.compact()

    def nearest(self, query: Tensor, k: int, metric: Metric, exclude: set[int], allow: set[int] | None) -> list:
        """Pairs of id and score."""
        ids = list(self.vectors)
        if not ids:
            return []
        scores = similarity(query[None], torch.stack(list(self.vectors.values())), metric)[0].tolist()
        pairs = [
            (id_, score)
            for id_, score in zip(ids, scores, strict=True)
            if id_ not in exclude and (allow is None or id_ in allow)
        ]
        return sorted(pairs, key=lambda pair: -np.float32(pair[1]))[:k]

    def score(self, query: Tensor, id_: int, metric: Metric) -> float:
        return float(similarity(query[None], self.vectors[id_][None], metric))


ids = st.integers(0, ROWS + 60)
some = st.lists(ids, max_size=40, unique=True)
changes = st.lists(
    st.tuples(st.sampled_from(["add", "add", "remove", "remove", "update", "compact"]), some, st.integers(0, 99)),
    max_size=6,
)


@st.composite
def questions(draw: st.DrawFn) -> tuple:
    lists = st.lists(st.lists(ids, max_size=60), min_size=3, max_size=3)
    k = draw(st.integers(1, 15) | st.lists(st.integers(1, 20), min_size=3, max_size=3))
    allow = draw(st.none() | st.lists(ids, max_size=120) | lists | st.just(list(range(0, ROWS, 2))))
    return k, draw(st.none() | st.lists(ids, max_size=9) | lists), allow


def each(given: list | None, query: int) -> set[int] | None:
    if given is None:
        return None
    return set(given[query]) if given and isinstance(given[0], list) else set(given)


@pytest.mark.slow
@given(key=st.sampled_from(KEYS), done=changes, asked=questions(), seed=st.integers(0, 50))
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_came_and_went_no_filter_leaks_and_no_answer_is_short(key: tuple, done: list, asked: tuple, seed: int):
    index, reference = fresh(key), Reference()
    for change in done:
        reference.change(index, *change)
    assert index.ids == list(reference.vectors)
    assert len(index) == len(reference.vectors)
    k, exclude, allow = asked
    queries = whole(3, 1000 + seed)
    found = index.search(queries, k, exclude=exclude, allow=allow)
    for query in range(3):
        wanted = k if isinstance(k, int) else k[query]
        closed, only = each(exclude, query) or set(), each(allow, query)
        best = reference.nearest(queries[query], wanted, key[1], closed, only)
        own = found[query]
        answered = [id_ for id_, _ in own]
        assert len(set(answered)) == len(answered) == len(best)
        assert not set(answered) & closed
        assert only is None or set(answered) <= only
        true = [reference.score(queries[query], id_, key[1]) for id_ in answered]
        assert [score for _, score in own] == pytest.approx(true, rel=1e-6, abs=1e-6)
        place = {id_: number for number, id_ in enumerate(reference.vectors)}
        assert own == sorted(own, key=lambda pair: (-pair[1], place[pair[0]]))
        if key in (("exact", "ip"), ("exact", "l2"), ("flat", "ip")):
            assert answered == [id_ for id_, _ in best]
        assert [score for _, score in own] <= [score + 1e-6 for _, score in best]


@pytest.mark.slow
@given(key=st.sampled_from(KEYS), done=changes, asked=questions(), floor=st.integers(-9, 9))
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_a_range_is_exact_for_every_kind(key: tuple, done: list, asked: tuple, floor: int):
    index, reference = fresh(key), Reference()
    for change in done:
        reference.change(index, *change)
    _, exclude, allow = asked
    queries, metric = whole(3, 77), key[1]
    score = floor / 9.7 if metric == "cosine" else float(floor)
    found = index.within(queries, score, exclude=exclude, allow=allow)
    for query in range(3):
        best = reference.nearest(queries[query], 10**6, metric, each(exclude, query) or set(), each(allow, query))
        near = {id_ for id_, value in best if value >= score - 1e-6}
        sure = {id_ for id_, value in best if value >= score + 1e-6}
        answered = {id_ for id_, _ in found[query]}
        assert sure <= answered <= near
        assert len(found[query]) == len(answered)
        values = [value for _, value in found[query]]
        assert values == sorted(values, reverse=True)
        if metric != "cosine":
            assert answered == near


@pytest.mark.slow
def test_an_answer_does_not_depend_on_who_asks_beside():
    queries = torch.randn(70, WIDTH, generator=torch.Generator().manual_seed(6))
    for key in KEYS:
        index = fresh(key)
        index.add(torch.randn(9, WIDTH, generator=torch.Generator().manual_seed(5)))
        together = index.search(queries, 6)
        assert list(index.search(queries, 6)) == list(together), key
        if key[0] == "exact":
            assert [index.search(query, 6)[0] for query in queries] == list(together), key


def test_equal_vectors_have_equal_scores_wherever_they_are():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(40, 33, generator=generator).repeat(8, 1)
    for metric in METRICS:
        index = Index.build(vectors[:200] * 1.1, metric=metric)
        index.add(vectors[200:] * 1.1)
        query = torch.randn(33, generator=generator)
        byvector: dict[int, set[float]] = {}
        for id_, score in index.search(query, 320)[0]:
            byvector.setdefault(int(id_) % 40, set()).add(score)
        assert all(len(scores) == 1 for scores in byvector.values())
        first = [id_ for id_, _ in index.search(query, 3)[0]]
        assert first == [first[0], first[0] + 40, first[0] + 80]
        assert first[0] < 40


def test_a_query_of_zeros_is_answered_in_order():
    for metric in ("ip", "cosine"):
        index = Index.build(torch.randn(3000, 8, generator=torch.Generator().manual_seed(0)), metric=metric)
        index.remove([0, 3])
        assert index.search(np.zeros(8), 4)[0] == [(1, 0.0), (2, 0.0), (4, 0.0), (5, 0.0)]


def test_ids_are_text_or_whole_numbers():
    index = Index.build(np.eye(3), ["a", "b", "c"])
    assert index.search(np.eye(3)[1], 2)[0] == [("b", 1.0), ("a", 0.0)]
    assert "a" in index
    assert "d" not in index
    assert 0 not in index
    assert index.ids == ["a", "b", "c"]
    assert index.search(np.eye(3), 1, exclude=["a", "zz"]).ids == [["b"], ["b"], ["c"]]
    assert index.vectors(["c", "a"]).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert Index.build(np.eye(2), np.array([7, 5])).ids == [7, 5]
    with pytest.raises(InputError, match="2 ids for 3 vectors"):
        Index.build(np.eye(3), ["a", "b"])
    with pytest.raises(InputError, match="bool"):
        Index.build(np.eye(2), [True, False])
    with pytest.raises(InputError, match="type int"):
        Index.build(np.eye(2), ["a", 1])


def test_an_empty_index_answers_nothing_and_can_be_filled():
    index = Index.build(np.empty((0, 3)))
    assert (len(index), index.width, index.ids) == (0, 3, [])
    assert index.search(np.eye(3), 2).ids == [[], [], []]
    assert index.within(np.eye(3), -5.0).ids == [[], [], []]
    index.compact()
    index.add(np.eye(3), ["x", "y", "z"])
    assert index.search(np.eye(3)[2], 1)[0] == [("z", 1.0)]
    index.remove(["x", "y", "z"])
    assert index.search(np.eye(3)[2], 1)[0] == []
    index.add(np.eye(3))
    assert index.ids == [0, 1, 2]


def test_nothing_but_dead_rows_answers_nothing():
    for kind in ("exact", "ivf", "hnsw"):
        index = Index.build(whole(50, 1), kind=kind, target_recall=0.05)
        index.remove(index.ids)
        assert index.search(whole(2, 2), 3).ids == [[], []]
        index.compact()
        assert (len(index), index.info()["frozen"]) == (0, 0)
        index.add(whole(2, 3))
        assert sorted(index.search(whole(2, 2), 3).ids[0]) == [0, 1]


def test_more_answers_than_rows_are_all_rows():
    index = Index.build(np.eye(3))
    assert sorted(index.search(np.ones(3), 100).ids[0]) == [0, 1, 2]
    assert isinstance(index.search(np.ones(3), 100), SearchHits)
    assert index.search(np.empty((0, 3)), 2).ids == []
    assert index.search(np.empty((0, 3)), []).ids == []


def test_a_zero_vector_has_cosine_zero():
    index = Index.build([[-1.0, 0.0], [0.0, 0.0], [2.0, 0.0]], metric="cosine")
    assert index.search([3.0, 0.0], 3)[0] == [(2, 1.0), (1, 0.0), (0, -1.0)]


def test_what_cannot_be_asked_is_refused():
    index = Index.build(np.eye(3))
    for wrong, error, said in (
        ({"queries": np.ones(4)}, InputError, "queries"),
        ({"queries": np.ones((1, 1, 3))}, InputError, "queries"),
        ({"queries": [[1.0, math.nan, 0.0]]}, ValueRangeError, "query 0"),
        ({"queries": "abc"}, InputError, "queries"),
        ({"queries": np.ones(3), "k": 0}, SettingError, "k is 0"),
        ({"queries": np.ones(3), "k": [1, 2]}, SettingError, "2"),
        ({"queries": np.ones(3), "k": [0]}, SettingError, "k is 0"),
        ({"queries": np.ones((2, 3)), "exclude": [[1]]}, InputError, "exclude"),
        ({"queries": np.ones((2, 3)), "allow": [[1]] * 3}, InputError, "allow"),
    ):
        with pytest.raises(error, match=said):
            index.search(**wrong)


def test_a_range_needs_a_number():
    with pytest.raises(ValueRangeError, match="NaN"):
        Index.build(np.eye(3)).within(np.ones(3), math.nan)
    assert Index.build(np.eye(3)).within(np.ones(3), -math.inf).ids == [[0, 1, 2]]


def test_what_cannot_be_built_is_refused():
    for wrong, error, said in (
        ({"kind": "tree"}, SettingError, "tree"),
        ({"target_recall": 0.0}, SettingError, "target_recall"),
        ({"target_recall": 1.5}, SettingError, "target_recall"),
        ({"k": 0}, SettingError, "k is 0"),
        ({"budget": Budget(seconds=0.0)}, SettingError, "seconds"),
        ({"budget": Budget(bytes=-1)}, SettingError, "bytes"),
        ({"queries": np.ones((2, 4))}, InputError, "queries"),
        ({"queries": np.ones((1, 3)), "kind": "ivf"}, InputError, "1 queries"),
    ):
        with pytest.raises(error, match=said):
            Index.build(np.eye(3), **wrong)


def test_an_index_keeps_its_own_copy():
    for vectors in (np.eye(3, dtype=np.float32), torch.eye(3)):
        index = Index.build(vectors)
        vectors[:] = 0
        assert index.search(np.ones(3), 1)[0] == [(0, 1.0)]

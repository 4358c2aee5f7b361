"""The contract of searchers, tried: a right searcher passes, and each planted fault is found."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from isthmus.index import ExactSearcher
from isthmus.index.faiss import FaissSearcher
from isthmus.index.vectors import Metric
from isthmus.protocols import Neighbours, Searcher
from isthmus.rowlists import RowLists
from isthmus.testing.searcher import SearcherContract

Fault = Callable[..., Neighbours]


class Faulty:
    """A right searcher whose search is replaced by a wrong one."""

    def __init__(self, right: Searcher, vectors: Tensor, fault: Fault) -> None:
        self.right, self.vectors, self.fault = right, vectors, fault

    def search(self, queries: Tensor, k: int, *, exclude: RowLists | None = None, allow: object = None) -> Neighbours:
        return self.fault(self, queries, k, exclude, allow)

    def ask(self, queries: Tensor, k: int, exclude: RowLists | None, allow: object) -> Neighbours:
        """The right answer."""
        return self.right.search(queries, k, exclude=exclude, allow=allow)


def worst_first(own, queries, k, exclude, allow):
    near = own.ask(queries, k, exclude, allow)
    return Neighbours(near.rows.flip(1), near.scores.flip(1))


def last_two_swapped(own, queries, k, exclude, allow):
    near = own.ask(queries, k, exclude, allow)
    order = [*range(k - 2), *([k - 1, k - 2] if k > 1 else [0])]
    return Neighbours(near.rows[:, order], near.scores[:, order])


def ties_by_falling_row(own, queries, k, exclude, allow):
    near = own.ask(queries, k, exclude, allow)
    order = near.rows.argsort(dim=1, descending=True)
    scores, rows = near.scores.gather(1, order), near.rows.gather(1, order)
    order = scores.argsort(dim=1, descending=True, stable=True)
    return Neighbours(rows.gather(1, order), scores.gather(1, order))


def exclude_ignored(own, queries, k, exclude, allow):
    own.ask(queries, k, exclude, allow)
    return own.ask(queries, k, None, allow)


def allow_ignored(own, queries, k, exclude, allow):
    own.ask(queries, k, exclude, allow)
    return own.ask(queries, k, exclude, None)


def first_list_for_everybody(own, queries, k, exclude, allow):
    """Excludes for all queries what the first one excludes."""
    own.ask(queries, k, exclude, allow)
    if exclude is not None and len(queries):
        one = exclude.rows[: int(exclude.offsets[1])]
        exclude = RowLists(one.repeat(len(queries)), torch.arange(len(queries) + 1) * len(one))
    return own.ask(queries, k, exclude, allow)


def an_excluded_row_in_the_last_place(own, queries, k, exclude, allow):
    near = own.ask(queries, k, exclude, allow)
    if exclude is not None and len(exclude.rows):
        last, row = len(queries) - 1, int(exclude.rows[-1])
        near.rows[last, k - 1] = row
        near.scores[last, k - 1] = near.scores[last, k - 2]
    return near


def filtered_after_the_search(own, queries, k, exclude, allow):
    """Strikes out of the k nearest, and is short where others may answer."""
    near, right = own.ask(queries, k, None, None), own.ask(queries, k, exclude, allow)
    kept = torch.stack([torch.isin(a, b) for a, b in zip(near.rows, right.rows, strict=True)]) if len(queries) else None
    if kept is None:
        return right
    scores = near.scores.masked_fill(~kept, -torch.inf)
    order = scores.argsort(dim=1, descending=True, stable=True)
    return Neighbours(near.rows.masked_fill(~kept, -1).gather(1, order), scores.gather(1, order))


def negated(own, queries, k, exclude, allow):
    near = own.ask(queries, k, exclude, allow)
    return Neighbours(near.rows, -near.scores)


def distances_for_scores(own, queries, k, exclude, allow):
    near = own.ask(queries, k, exclude, allow)
    return Neighbours(near.rows, near.scores.sign() * near.scores.abs().sqrt())


def products_for_every_metric(own, queries, k, exclude, allow):
    near = own.ask(queries, k, exclude, allow)
    products = (queries[:, None] * own.vectors[near.rows.clamp(min=0)]).sum(2)
    return Neighbours(near.rows, products.masked_fill(near.rows < 0, -torch.inf))


def rounded_scores(own, queries, k, exclude, allow):
    near = own.ask(queries, k, exclude, allow)
    return Neighbours(near.rows, near.scores.bfloat16().float())


def the_best_twice(own, queries, k, exclude, allow):
    near = own.ask(queries, k, exclude, allow)
    order = [0, *range(k - 1)]
    return Neighbours(near.rows[:, order], near.scores[:, order])


def padding_of_row_0(own, queries, k, exclude, allow):
    near = own.ask(queries, k, exclude, allow)
    return Neighbours(near.rows.clamp(min=0), near.scores)


def padding_of_score_0(own, queries, k, exclude, allow):
    near = own.ask(queries, k, exclude, allow)
    return Neighbours(near.rows, near.scores.masked_fill(near.rows < 0, 0.0))


def one_more(own, queries, k, exclude, allow):
    return own.ask(queries, k if k < 1 else k + 1, exclude, allow)


def always_ten(own, queries, k, exclude, allow):
    return own.ask(queries, k if k < 1 else 10, exclude, allow)


def narrow_where_few_may_answer(own, queries, k, exclude, allow):
    near = own.ask(queries, k, exclude, allow)
    most = max(1, int((near.rows >= 0).sum(1).max())) if len(queries) else k
    return Neighbours(near.rows[:, :most], near.scores[:, :most])


def queries_changed(own, queries, k, exclude, allow):
    near = own.ask(queries, k, exclude, allow)
    queries /= 2
    return near


def filters_changed(own, queries, k, exclude, allow):
    near = own.ask(queries, k, exclude, allow)
    if isinstance(allow, Tensor):
        allow.copy_(allow.sort().values)
    return near


def the_first_query_answers_for_all(own, queries, k, exclude, allow):
    near = own.ask(queries, k, exclude, allow)
    return Neighbours(near.rows[:1].expand_as(near.rows), near.scores[:1].expand_as(near.scores))


def other_answers_each_time(own, queries, k, exclude, allow):
    own.turn = 1 - getattr(own, "turn", 0)
    near = own.ask(queries, k, exclude, allow)
    return Neighbours(near.rows, near.scores + 1e-6 * own.turn)


def everything_accepted(own, queries, k, exclude, allow):
    return own.ask(queries.nan_to_num()[:, -8:], max(k, 1), exclude, allow)


def filters_unchecked(own, queries, k, exclude, allow):
    if exclude is not None and exclude.size != len(queries):
        exclude = None
    if isinstance(allow, Tensor):
        allow = allow[allow < len(own.vectors)]
    return own.ask(queries, k, exclude, allow)


def the_first_half_only(own, queries, k, exclude, allow):
    """Misses more neighbours than any target allows."""
    right = own.ask(queries, k, exclude, allow)
    half = torch.arange(len(own.vectors) // 2)
    return own.ask(queries, k, exclude, half) if allow is None and exclude is None and k == 10 else right


FAULTS = [
    *(worst_first, last_two_swapped, ties_by_falling_row, exclude_ignored, allow_ignored, first_list_for_everybody),
    *(an_excluded_row_in_the_last_place, filtered_after_the_search, negated, distances_for_scores),
    *(products_for_every_metric, rounded_scores, the_best_twice, padding_of_row_0, padding_of_score_0, one_more),
    *(always_ten, narrow_where_few_may_answer, queries_changed, filters_changed, the_first_query_answers_for_all),
    *(other_answers_each_time, everything_accepted, filters_unchecked, the_first_half_only),
]


class Contract(SearcherContract):
    """The contract of an exact searcher, or of an approximate one, with a fault or without."""

    rows = 300

    def __init__(self, fault: Fault | None, approximate: bool) -> None:
        self.fault = fault
        self.recall = 0.7 if approximate else 1.0

    def build(self, vectors: Tensor, metric: Metric) -> Searcher:
        if self.recall == 1.0:
            right: Searcher = ExactSearcher.build(vectors, metric)
        else:
            right = FaissSearcher.build(vectors, "fp16", metric, widen=2)
        return right if self.fault is None else Faulty(right, vectors, self.fault)


@pytest.mark.parametrize("approximate", [False, True])
def test_a_right_searcher_passes(approximate: bool) -> None:
    Contract(None, approximate).check()
    Contract(lambda own, *asked: own.ask(*asked), approximate).check()


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_found(fault: Fault) -> None:
    for approximate in (False, True):
        with pytest.raises((AssertionError, pytest.fail.Exception)):
            Contract(fault, approximate).check()


def test_vectors_that_cannot_be_indexed_must_be_refused() -> None:
    class Lenient(Contract):
        def build(self, vectors: Tensor, metric: Metric) -> Searcher:
            return super().build(vectors.nan_to_num() if len(vectors) else torch.zeros(1, self.width), metric)

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        Lenient(None, approximate=False).check()

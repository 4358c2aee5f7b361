"""Filters against plain Python sets, whatever their form and however they are cut into blocks."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from isthmus.index.exact.filters import Filters
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.segment import Segment
from isthmus.index.snapshot import Snapshot
from isthmus.rowlists import RowLists
from isthmus.testing.searcher import brute_force, row_lists
from isthmus.vocabulary import Vocabulary

Plain = list[list[int]]


@st.composite
def filters(draw: st.DrawFn, most: int = 30) -> tuple[int, int, Plain | None, Plain | list[int] | None]:
    """Columns, queries, excluded lists and allowed ones: a list for each query, one for all, or None."""
    width, queries = draw(st.integers(1, most)), draw(st.integers(1, 4))
    rows = st.lists(st.integers(0, width - 1), max_size=2 * width)
    lists = st.lists(rows, min_size=queries, max_size=queries)
    return width, queries, draw(st.none() | lists), draw(st.none() | lists | rows.map(tuple).map(list))


def given_as(lists: Plain | list[int] | None) -> RowLists | Tensor | None:
    if lists is None:
        return None
    if lists and isinstance(lists[0], list):
        return row_lists(lists)
    return torch.tensor(lists, dtype=torch.int64)


def sets(width: int, queries: int, exclude: Plain | None, allow: Plain | list[int] | None) -> list[set[int]]:
    """What may answer each query."""
    shared = allow is None or not (allow and isinstance(allow[0], list))
    only = [set(range(width)) if allow is None else set(allow)] * queries if shared else [set(own) for own in allow]
    return only if exclude is None else [own - set(out) for own, out in zip(only, exclude, strict=True)]


@given(filters(), st.integers(1, 9))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_what_is_left_open_is_what_sets_say(case: tuple, step: int) -> None:
    width, queries, exclude, allow = case
    checked = Filters.checked(width, queries, given_as(exclude), given_as(allow), torch.device("cpu"))
    expected = sets(*case)
    mask = checked.mask()
    columns = torch.arange(width) if mask.ids is None else mask.ids
    assert columns.tolist() == sorted(set(columns.tolist()))
    whole = mask.masked(torch.zeros(queries, mask.positions)) == 0
    assert [set(columns[own].tolist()) for own in whole] == expected
    # Cut into blocks, it leaves the same open.
    cut, found = mask.sorted(), [set[int]() for _ in range(queries)]
    for start in range(0, mask.positions, step):
        stop = min(start + step, mask.positions)
        block = cut.between(start, stop)
        for query, own in enumerate(block.masked(torch.zeros(queries, stop - start)) == 0):
            found[query] |= set(columns[start:stop][own].tolist())
    assert found == expected


@given(filters(), st.data())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_filters_of_some_queries_are_theirs(case: tuple, data: st.DataObject) -> None:
    width, queries, exclude, allow = case
    checked = Filters.checked(width, queries, given_as(exclude), given_as(allow), torch.device("cpu"))
    expected = sets(*case)
    some = data.draw(st.lists(st.integers(0, queries - 1), min_size=1, max_size=5))
    start = data.draw(st.integers(0, queries - 1))
    for part, wanted in (
        (checked.take(torch.tensor(some)), [expected[query] for query in some]),
        (checked.part(start, queries), expected[start:]),
    ):
        mask = part.mask()
        columns = torch.arange(width) if mask.ids is None else mask.ids
        left = mask.masked(torch.zeros(len(wanted), mask.positions)) == 0
        assert [set(columns[own].tolist()) for own in left] == wanted


@given(filters(), st.data())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_filters_reach_both_segments_and_spare_what_is_gone(case: tuple, data: st.DataObject) -> None:
    width, queries, exclude, allow = case
    frozen = data.draw(st.integers(0, width))
    gone = set(data.draw(st.lists(st.integers(0, max(0, frozen - 1)), max_size=frozen))) if frozen else set()
    vectors = torch.arange(1.0, width + 1)[:, None]
    base = segment(vectors[:frozen], 0)
    deleted = torch.tensor([row in gone for row in range(frozen)]) if gone else None
    snapshot = Snapshot("ip", 1, "int64", base, deleted, segment(vectors[frozen:], frozen))
    k = data.draw(st.integers(1, width + 1))
    near = snapshot.nearest(torch.ones(queries, 1), k, given_as(exclude), given_as(allow))
    open_rows = [sorted(own - gone) for own in sets(*case)]
    rows, scores = brute_force(vectors.T.repeat(queries, 1), k, allow=open_rows)
    assert near.rows.tolist() == rows
    assert near.scores.tolist() == scores


def segment(vectors: Tensor, first: int) -> Segment | None:
    if not len(vectors):
        return None
    return Segment(vectors, Vocabulary(list(range(first, first + len(vectors)))), "ip")


@given(filters(most=60), st.integers(1, 70))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_an_exact_search_answers_with_the_best_that_is_open(case: tuple, k: int) -> None:
    width, queries, exclude, allow = case
    vectors = torch.randint(-3, 4, (width, 2), generator=torch.Generator().manual_seed(width)).float()
    asked = torch.randint(-3, 4, (queries, 2), generator=torch.Generator().manual_seed(k)).float()
    found = ExactSearcher.build(vectors).search(
        asked, k, exclude=given_as(exclude), allow=given_as(allow), block_bytes=64
    )
    open_rows = [sorted(own) for own in sets(*case)]
    assert (found.rows.tolist(), found.scores.tolist()) == brute_force(asked @ vectors.T, k, allow=open_rows)

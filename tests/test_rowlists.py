from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from isthmus.errors import InputError, ValueRangeError
from isthmus.rowlists import RowLists, check_lists, contains, distinct, from_csr, owners, part, take
from isthmus.testing.searcher import row_lists

LISTS = [[4, 1], [], [0, 4, 4], [2]]


def plain(lists: RowLists) -> list[list[int]]:
    return [one.tolist() for one in lists.rows.split(lists.offsets.diff().tolist())]


def test_lists_are_cut_gathered_and_owned():
    lists = row_lists(LISTS)
    assert owners(lists).tolist() == [0, 0, 2, 2, 2, 3]
    assert plain(part(lists, 1, 3)) == LISTS[1:3]
    assert part(lists, 0, 4) is lists
    assert plain(take(lists, torch.tensor([2, 0, 1]))) == [LISTS[2], LISTS[0], LISTS[1]]
    assert plain(distinct(lists)) == [[1, 4], [], [0, 4], [2]]


def test_a_matrix_gives_the_columns_of_its_rows():
    matrix = csr_array(np.array([[0, 2.0, 1.0], [0, 0, 0], [3.0, 0, 0]]))
    lists = from_csr(matrix)
    assert plain(lists) == [[1, 2], [], [0]]
    assert lists.rows.dtype == torch.int64


many = st.lists(st.lists(st.integers(0, 9), max_size=12), min_size=1, max_size=6)
modest = settings(max_examples=100, deadline=None, derandomize=True)


@given(many, st.data())
@modest
def test_contains_is_membership(lists: list[list[int]], data: st.DataObject):
    line = st.lists(st.integers(-1, 14), min_size=3, max_size=3)
    asked = data.draw(st.lists(line, min_size=len(lists), max_size=len(lists)))
    expected = [[row in held for row in rows] for held, rows in zip(lists, asked, strict=True)]
    assert contains(row_lists(lists), torch.tensor(asked)).tolist() == expected


@given(many, st.data())
@modest
def test_lists_there_and_back(lists: list[list[int]], data: st.DataObject):
    made = row_lists(lists)
    check_lists(made, len(lists), 10, "lists")
    assert plain(made) == lists
    assert made.size == len(lists)
    assert owners(made).tolist() == [query for query, own in enumerate(lists) for _ in own]
    cut = data.draw(st.integers(0, len(lists)))
    assert plain(part(made, 0, cut)) + plain(part(made, cut, len(lists))) == lists
    chosen = data.draw(st.lists(st.integers(0, len(lists) - 1), max_size=8))
    assert plain(take(made, torch.tensor(chosen, dtype=torch.int64))) == [lists[query] for query in chosen]


@given(many)
@modest
def test_distinct_lists_are_sets(lists: list[list[int]]):
    made = distinct(row_lists(lists))
    assert plain(made) == [sorted(set(own)) for own in lists]
    assert plain(distinct(made)) == plain(made)
    # A matrix holds each column once, and gives the same lists back.
    ends, columns = made.offsets.numpy(), made.rows.numpy()
    matrix = csr_array((np.ones(len(columns)), columns, ends), shape=(len(lists), 10))
    assert plain(from_csr(matrix)) == plain(made)


@given(many, st.data())
@modest
def test_a_row_or_an_offset_that_does_not_fit_is_seen(lists: list[list[int]], data: st.DataObject):
    made = row_lists(lists)
    wrong = data.draw(st.sampled_from([-1, 10, 1 << 40]))
    if len(made.rows):
        rows = made.rows.clone()
        rows[data.draw(st.integers(0, len(rows) - 1))] = wrong
        with pytest.raises(ValueRangeError, match=str(wrong)):
            check_lists(RowLists(rows, made.offsets), len(lists), 10, "lists")
    ends = made.offsets.clone()
    ends[data.draw(st.integers(0, len(lists)))] += data.draw(st.sampled_from([-100, 100]))
    with pytest.raises(InputError, match="offsets"):
        check_lists(RowLists(made.rows, ends), len(lists), 10, "lists")


def test_lists_that_do_not_fit_are_refused():
    lists = row_lists(LISTS)
    check_lists(lists, 4, 5, "lists")
    with pytest.raises(InputError, match="4 lists"):
        check_lists(lists, 3, 5, "lists")
    with pytest.raises(ValueRangeError, match="row 4"):
        check_lists(lists, 4, 4, "lists")
    with pytest.raises(InputError, match="offsets"):
        check_lists(RowLists(torch.tensor([1, 2]), torch.tensor([0, 2, 1, 2])), 3, 5, "lists")

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
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


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 9)), st.lists(st.integers(-1, 14), min_size=3, max_size=3)), min_size=1)
)
def test_contains_is_membership(cases: list[tuple[list[int], list[int]]]):
    lists, asked = [held for held, _ in cases], [rows for _, rows in cases]
    expected = [[row in held for row in rows] for held, rows in cases]
    assert contains(row_lists(lists), torch.tensor(asked)).tolist() == expected
    assert plain(distinct(row_lists(lists))) == [sorted(set(held)) for held in lists]


def test_lists_that_do_not_fit_are_refused():
    lists = row_lists(LISTS)
    check_lists(lists, 4, 5, "lists")
    with pytest.raises(InputError, match="lists holds 4 lists"):
        check_lists(lists, 3, 5, "lists")
    with pytest.raises(ValueRangeError, match="row 4; expected rows from 0 to 3"):
        check_lists(lists, 4, 4, "lists")
    with pytest.raises(InputError, match="do not span"):
        check_lists(RowLists(torch.tensor([1, 2]), torch.tensor([0, 2, 1, 2])), 3, 5, "lists")

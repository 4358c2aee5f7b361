"""Lists of rows, one for each query, stored as flat tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Int64
from scipy.sparse import csr_array
from torch import Tensor

from isthmus.checked.sparse import check_csr
from isthmus.errors import InputError, ValueRangeError
from isthmus.machine.unasked import gather_ranges
from isthmus.reprs import brief


@brief
@dataclass(frozen=True)
class RowLists:
    """One list of rows for each query: ``rows[offsets[q]:offsets[q + 1]]``."""

    rows: Int64[Tensor, " entries"]
    offsets: Int64[Tensor, " ends"]

    @property
    def size(self) -> int:
        """The number of queries."""
        return len(self.offsets) - 1


def from_csr(matrix: csr_array, device: torch.device | None = None) -> RowLists:
    """The columns that each row of a matrix stores.

    Raises:
        InputError: not a CSR matrix, or an inconsistent one.
    """
    check_csr(matrix)
    columns = torch.from_numpy(matrix.indices.astype(np.int64))
    ends = torch.from_numpy(matrix.indptr.astype(np.int64))
    return RowLists(columns.to(device), ends.to(device))


def from_rows(lists: Sequence[npt.NDArray[np.int64]]) -> RowLists:
    """The rows of each query, from one array per query."""
    ends = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    return RowLists(torch.from_numpy(np.concatenate([np.empty(0, np.int64), *lists])), torch.from_numpy(ends))


def owners(lists: RowLists) -> Int64[Tensor, " entries"]:
    """The query of each entry."""
    query = torch.arange(lists.size, device=lists.rows.device)
    return query.repeat_interleave(lists.offsets.diff(), output_size=len(lists.rows))


def part(lists: RowLists, start: int, stop: int) -> RowLists:
    """The lists of some queries, without a copy.

    Args:
        lists: lists of all queries.
        start, stop: first query, and the one after the last.
    """
    if start == 0 and stop == lists.size:
        return lists
    offsets = lists.offsets[start : stop + 1]
    first, last = int(offsets[0]), int(offsets[-1])
    return RowLists(lists.rows[first:last], offsets - first)


def take(lists: RowLists, queries: Int64[Tensor, " batch"]) -> RowLists:
    """The lists of the given queries, in the given order."""
    entries, offsets = gather_ranges(lists.offsets, queries)
    return RowLists(lists.rows[entries], offsets)


def contains(lists: RowLists, rows: Int64[Tensor, "batch k"]) -> Bool[Tensor, "batch k"]:
    """Whether each of ``rows[q]`` is in the list of query q; -1 never is.

    Uses one binary search in the sorted keys ``query · span + row``; there is no matrix of queries × rows.
    """
    if not len(lists.rows) or not rows.numel():
        return torch.zeros_like(rows, dtype=torch.bool)
    span = 1 + max(int(lists.rows.max()), int(rows.max()))
    keys = (owners(lists) * span + lists.rows).sort().values
    query = torch.arange(len(rows), device=rows.device)[:, None]
    asked = query * span + rows
    found = torch.searchsorted(keys, asked).clamp_(max=len(keys) - 1)
    return (keys[found] == asked) & (rows >= 0)


def check_rows(rows: Int64[Tensor, " entries"], width: int, name: str) -> None:
    """Check that rows exist.

    Raises:
        ValueRangeError: a row below 0, or not below ``width``.
    """
    if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= width):
        wrong = rows[(rows < 0) | (rows >= width)][0]
        raise ValueRangeError(f"{name} holds row {int(wrong)}", expected=f"rows from 0 to {width - 1}")


def check_lists(lists: RowLists, queries: int, width: int, name: str) -> None:
    """Check that lists are valid for the queries.

    Raises:
        InputError: not one list for each query, or offsets that do not span the rows.
        ValueRangeError: a row that does not exist.
    """
    if lists.size != queries:
        raise InputError(f"{name} holds {lists.size} lists", expected=f"one for each of {queries} queries")
    if (
        int(lists.offsets[0]) != 0
        or int(lists.offsets[-1]) != len(lists.rows)
        or bool((lists.offsets.diff() < 0).any())
    ):
        raise InputError(f"the offsets of {name} do not span its rows", expected=f"0 rising to {len(lists.rows)}")
    check_rows(lists.rows, width, name)


def distinct(lists: RowLists) -> RowLists:
    """The same lists, each sorted and without duplicates."""
    if not len(lists.rows):
        return lists
    span = 1 + int(lists.rows.max())
    keys = torch.unique(owners(lists) * span + lists.rows)
    ends = torch.searchsorted(keys, torch.arange(lists.size + 1, device=keys.device) * span)
    return RowLists(keys % span, ends)

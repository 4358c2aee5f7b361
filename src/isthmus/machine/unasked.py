"""Gathers ranges of a compressed layout, and finds distinct values, without synchronising with the device to get their
number."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor


def gather_ranges(
    offsets: Int64[Tensor, " ends"], rows: Int64[Tensor, " batch"], count: int | None = None
) -> tuple[Int64[Tensor, " entries"], Int64[Tensor, " new_ends"]]:
    """Positions of the entries of ``rows`` in a compressed layout, and the offsets of the gathered layout.

    Args:
        offsets: start of each row's entries, and the end of the last row.
        rows: rows to gather, in order.
        count: total number of entries of these rows, which the host knows without synchronising.
    """
    starts = offsets[rows]
    lengths = offsets[rows + 1] - starts
    ends = torch.zeros(len(rows) + 1, dtype=torch.int64, device=offsets.device)
    torch.cumsum(lengths, 0, out=ends[1:])
    count = int(ends[-1]) if count is None else count
    shift = (starts - ends[:-1]).repeat_interleave(lengths, output_size=count)
    return torch.arange(count, device=offsets.device) + shift, ends


def distinct(
    values: Int64[Tensor, " many"], order: Int64[Tensor, " many"] | None = None
) -> tuple[Int64[Tensor, " touched"], Int64[Tensor, " many"]]:
    """The distinct values in ascending order, and the position of each value among them.

    On a CPU each occurs once. On an accelerator, finding their number would need a synchronisation, so the result is as
    long as ``values`` and padded with the largest value. Positions refer to the first occurrence.

    Args:
        values: values in any order.
        order: the positions that sort the values, if known.

    Returns:
        The distinct values, and [many] positions.
    """
    if values.device.type == "cpu":
        found, places = values.unique(return_inverse=True)
        return found, places
    order = values.argsort() if order is None else order
    ascending = values[order]
    number = torch.zeros_like(order)
    torch.cumsum(ascending[1:] != ascending[:-1], 0, out=number[1:])
    found = ascending[-1:].expand(len(values)).scatter(0, number, ascending)
    return found, torch.empty_like(number).scatter_(0, order, number)

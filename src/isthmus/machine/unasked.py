"""Ranges of entries in a compressed layout, and which values occur among many, without waiting for a device to say how
many there are."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor


def gather_ranges(
    offsets: Int64[Tensor, " ends"], rows: Int64[Tensor, " batch"], count: int | None = None
) -> tuple[Int64[Tensor, " entries"], Int64[Tensor, " new_ends"]]:
    """Positions of the entries of ``rows`` in a compressed layout, and the offsets of the gathered layout.

    Args:
        offsets: start of each row's entries, and the end of the last row's.
        rows: which rows, in which order.
        count: how many entries they have in all; a device is not asked for what its host knows.
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
    """The values that occur, ascending, and the place of each value among them.

    On a CPU each occurs once. An accelerator would have to be waited for to know how many there are: there the result
    is as long as ``values``, and the largest value fills the rest. Places are those of the first one.

    Args:
        values: in any order.
        order: the positions of the values in ascending order, where they are known.

    Returns:
        The distinct values, and [many] places.
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

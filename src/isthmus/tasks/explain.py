"""Contributions of the entries of a bag to the score of a column."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.batch import Bags
from isthmus.core.rankers import is_linear
from isthmus.protocols import Ranker

ENTRIES = 1 << 20
"""Maximum number of entries, over all bags with one entry left out, at a time."""


@torch.no_grad()
def contributions(ranker: Ranker, bag: Bags, column: int) -> Float[Tensor, " entries"]:
    """The decrease of the score of ``column`` when one entry of the bag is removed, for each entry.

    Positive values support the column, negative ones count against it. For a linear ranker this is the entry's term of
    the sum, ``weight · B[entry, column]``; for all other rankers the leave-one-out difference is computed (Li, Monroe &
    Jurafsky 2016, "erasure").

    Args:
        ranker: the ranker.
        bag: a single row.
        column: the column to explain.
    """
    if is_linear(ranker):
        return bag.weights * ranker.weights_for(column)[bag.indices]
    entries = len(bag.indices)
    columns = torch.tensor([column], device=bag.indices.device)
    whole = ranker.scores(ranker.prepare(bag), columns)[:, 0]
    places = torch.arange(entries, device=bag.indices.device)
    parts = [
        ranker.scores(ranker.prepare(_without(bag, some)), columns)[:, 0]
        for some in places.split(max(1, ENTRIES // max(1, entries)))
    ]
    return whole - torch.cat(parts)


def _without(bag: Bags, left_out: Tensor) -> Bags:
    """One copy of the bag for each of some entries, without that entry."""
    entries = len(bag.indices)
    stays = torch.arange(entries, device=left_out.device) != left_out[:, None]
    rest = stays.nonzero()[:, 1]
    offsets = torch.arange(len(left_out) + 1, device=left_out.device) * max(0, entries - 1)
    return bag.entries(rest, offsets)

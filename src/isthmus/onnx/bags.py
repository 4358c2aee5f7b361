"""Bags as three inputs of a graph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from isthmus.batch import Bags

AXES: Mapping[str, Mapping[int, str]] = {"items": {0: "entries"}, "offsets": {0: "ends"}, "weights": {0: "entries"}}
"""Axes of the inputs whose length varies."""

LEAST: Mapping[str, int] = {"ends": 3}
"""What is traced with one row is not valid for several; what is traced with two is also valid for one."""


def padded(
    items: Int64[Tensor, " entries"], offsets: Int64[Tensor, " ends"], weights: Float[Tensor, " entries"]
) -> Bags:
    """The bags, and one more with an entry of weight 0, so that no length is 0. What is computed of them has a row too
    many, the last one.

    Args:
        items: the columns of all entries.
        offsets: where the entries of each row start, and at last where they end.
        weights: the values of the entries.

    Returns:
        Bags whose rows of entries are known, found by comparison: a search in a sorted list has no form in ONNX.
    """
    more, ends = torch.cat([items, items.new_zeros(1)]), torch.cat([offsets, offsets[-1:] + 1])
    places = torch.arange(more.shape[0])
    rows = (places.unsqueeze(1) >= ends[1:].unsqueeze(0)).sum(1)
    return Bags(more, ends, torch.cat([weights, weights.new_zeros(1)]), _known={"rows": rows})


def some_bags(width: int, rows: int) -> dict[str, Tensor]:
    """Inputs to try a graph with, the same each time. The last of several rows is empty.

    Args:
        width: number of columns.
        rows: number of rows.

    Returns:
        ``items``, ``offsets`` and ``weights``; all weights are 1.
    """
    chance = np.random.default_rng(rows)
    lengths = [min(width, 1 + row % 4) if row + 1 < rows or rows == 1 else 0 for row in range(rows)]
    items = np.concatenate([chance.choice(width, length, replace=False) for length in lengths]).astype(np.int64)
    offsets = torch.tensor(np.cumsum([0, *lengths]), dtype=torch.int64)
    return {"items": torch.from_numpy(items), "offsets": offsets, "weights": torch.ones(len(items))}

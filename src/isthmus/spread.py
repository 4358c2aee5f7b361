"""Some rows that stand for all of them."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor


def even_rows(rows: int, most: int) -> Int64[Tensor, " some"]:
    """At most so many row numbers, evenly spaced from 0 on; always the same ones."""
    count = min(rows, most)
    return torch.arange(count) * rows // max(count, 1)

"""Equal up to rounding, on every processor: tolerances that come from the size of the numbers."""

from __future__ import annotations

import torch
from torch import Tensor


def assert_near(actual: Tensor, expected: Tensor, roundings: float = 64) -> None:
    """No number is further away than so many roundings of the largest one.

    What comes from sums is that wrong wherever the sum is small beside its terms, and the order of the terms, which the
    kernels of each processor choose, decides by how much.
    """
    assert actual.shape == expected.shape
    coarser = max(torch.finfo(actual.dtype).eps, torch.finfo(expected.dtype).eps)
    largest = float(expected.detach().abs().max()) if expected.numel() else 0.0
    assert largest < float("inf")
    difference = (actual.detach().double() - expected.detach().double()).abs()
    assert bool((difference <= roundings * coarser * largest).all()), float(difference.max()) / (coarser * largest)

"""Means over records with their standard errors."""

from __future__ import annotations

from typing import Any

import torch


def mean_with_error(values: Any) -> tuple[float, float]:
    """Mean and standard error: the sample standard deviation (n − 1) over √n.

    Args:
        values: one value per record, as an array, a tensor or a list.

    Returns:
        The mean (NaN for no values) and its standard error (NaN for fewer than two).
    """
    numbers = torch.as_tensor(values).double()
    n = len(numbers)
    mean = float(numbers.mean()) if n else float("nan")
    return mean, float(numbers.std()) / n**0.5 if n > 1 else float("nan")

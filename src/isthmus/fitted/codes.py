"""Conversion of codes between arrays and tensors, and the shape of a model's codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.batch import Bag, Bags, Grid, Signal, Tensors, TokenRows, Tokens, Values, Vector
from isthmus.checked.dense import as_float, real_numbers
from isthmus.core.autoencoder import Autoencoder
from isthmus.errors import InputError, ValueRangeError

__all__ = ["as_codes", "code_shape"]


def as_codes(codes: Any, width: int, *, dtype: torch.dtype = torch.float32) -> Float[Tensor, "n code"]:
    """Convert codes given by a user to a new tensor on the CPU.

    Args:
        codes: an array, a tensor or nested lists of numbers, shape (n, width); n may be 0.
        width: number of dimensions of the model's codes.
        dtype: data type of the result.

    Returns:
        The same numbers, shape (n, width).

    Raises:
        InputError: not numbers, or codes of another shape.
        ValueRangeError: NaN or infinity.
    """
    found = torch.from_numpy(as_float(real_numbers(codes, f"codes, shape (n, {width})"), np.float64)).to(dtype)
    if found.ndim != 2 or found.shape[1] != width:
        raise InputError(f"codes of shape {tuple(found.shape)}", expected=f"(n, {width})")
    if not bool(found.isfinite().all()):
        raise ValueRangeError("codes with NaN or infinity", expected="finite numbers")
    return found


@torch.no_grad()
def code_shape(model: Autoencoder, signal: Signal) -> tuple[int, ...]:
    """The shape of one code, found by encoding an empty record."""
    device = next(model.parameters()).device
    return tuple(model.encode(_blank(signal, device)).point.shape[1:])


def _blank(signal: Signal, device: torch.device) -> Tensors:
    match signal:
        case Vector(width):
            return Values(torch.zeros(1, width, device=device))
        case Grid(channels, height, width):
            return Values(torch.zeros(1, channels, height, width, device=device))
        case Tokens():
            return TokenRows(
                torch.zeros(1, 1, dtype=torch.int64, device=device), torch.ones(1, 1, dtype=torch.bool, device=device)
            )
        case Bag():
            none = torch.zeros(0, dtype=torch.int64, device=device)
            return Bags(none, torch.zeros(2, dtype=torch.int64, device=device), torch.zeros(0, device=device))

"""Between what users hold (NumPy) and what models take (torch)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from isthmus.errors import InputError
from isthmus_images.files.pixels import shown

Codes = Float32[np.ndarray, "n code"]
Shown = Float32[np.ndarray, "images height width *channels"]


def as_codes(codes: Any, width: int) -> Float[Tensor, "n code"]:
    """Codes that a user brought, as fp32.

    Raises:
        InputError: another width than the model's, NaN or infinite, or no numbers.
    """
    held = codes.detach().cpu().numpy() if isinstance(codes, Tensor) else codes
    try:
        wanted = torch.from_numpy(np.array(held, dtype=np.float32))
    except (TypeError, ValueError):
        raise InputError(f"codes of type {type(codes).__name__}", expected=f"numbers, (n, {width})") from None
    if wanted.ndim != 2 or wanted.shape[1] != width or not len(wanted):
        raise InputError(f"codes of shape {tuple(wanted.shape)}", expected=f"(n, {width}), n at least 1")
    if not bool(wanted.isfinite().all()):
        raise InputError("codes with NaN or infinity", expected="finite numbers")
    return wanted


def as_shown(means: Float[Tensor, "images channels height width"]) -> Shown:
    """What a model wrote, cut to 0 to 1."""
    return shown(means.float().clamp(0, 1).cpu().numpy())

"""Matrices that bind vectors to positions of a row."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.errors import SettingError


def places(length: int, width: int, code: int, *, generator: Generator, shared: int = 0) -> nn.Parameter:
    """A matrix [width, code] for each of ``length`` positions, of N(0, 1 / code): P_t P_tᵀ is near the unit matrix and
    P_s P_tᵀ near 0, so that what is bound to one position is read there and is only noise at others.

    Args:
        shared: so many columns are those of the first position everywhere.

    Raises:
        SettingError: ``shared`` outside 0 to ``code``.
    """
    if not 0 <= shared <= code:
        raise SettingError(f"shared={shared}", expected=f"0 to {code}, the dimensions of the code")
    matrices = torch.empty(length, width, code).normal_(0, 1 / math.sqrt(code), generator=generator)
    matrices[:, :, :shared] = matrices[:1, :, :shared]
    return nn.Parameter(matrices)


def read(
    code: Float[Tensor, "batch code"], matrices: Float[Tensor, "places width code"]
) -> Float[Tensor, "batch places width"]:
    """What stands at each position: P_t √d z / |z| for a code of d dimensions. Numbers are of the size of 1, whatever
    the length of the code."""
    unit = math.sqrt(code.shape[1]) * nn.functional.normalize(code, dim=1)
    return nn.functional.linear(unit, matrices.flatten(0, 1)).view(len(code), *matrices.shape[:2])

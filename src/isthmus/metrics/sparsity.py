"""How sparse codes are, and how much of the data they leave unexplained."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from isthmus.errors import InputError


@dataclass(frozen=True)
class Sparsity:
    """What a set of codes uses.

    Attributes:
        active: L0, the mean number of units of a record that are not 0.
        dead: the share of units that are 0 for every record; of few records it says little.
    """

    active: float
    dead: float


def sparsity_of(codes: Float[Tensor, "rows code"], threshold: float = 0.0) -> Sparsity:
    """Units whose size is above ``threshold`` count as used; sigmoid units, which never reach 0, need one.

    Raises:
        InputError: no rows.
    """
    if len(codes) == 0:
        raise InputError("no codes", expected="at least one record")
    used = codes.abs() > threshold
    return Sparsity(float(used.sum(1).double().mean()), float((~used.any(0)).double().mean()))


def fraction_unexplained(targets: Float[Tensor, "rows ..."], reconstructions: Float[Tensor, "rows ..."]) -> float:
    """Σ ‖x − x̂‖² / Σ ‖x − mean‖²: 0 is perfect, 1 no better than the mean of these very rows; fp64.

    Raises:
        InputError: rows that are all the same, or none.
    """
    targets, reconstructions = targets.double(), reconstructions.double()
    spread = float((targets - targets.mean(0)).square().sum()) if len(targets) else 0.0
    if spread == 0:
        raise InputError(f"{len(targets)} rows without any spread", expected="at least two rows that differ")
    return float((targets - reconstructions).square().sum()) / spread

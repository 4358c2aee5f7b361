"""Sparsity of codes, and the variance that they leave unexplained."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from isthmus.errors import InputError
from isthmus.machine.devices import double


@dataclass(frozen=True)
class Sparsity:
    """The use of units in a set of codes.

    Attributes:
        active: L0, the mean number of nonzero units per record.
        dead: share of units that are 0 for all records; not informative for few records.
    """

    active: float
    dead: float


def sparsity_of(codes: Float[Tensor, "rows code"], threshold: float = 0.0) -> Sparsity:
    """Measure sparsity. Units with an absolute value above ``threshold`` count as used; sigmoid units, which are never
    exactly 0, need a threshold.

    Raises:
        InputError: no rows.
    """
    if len(codes) == 0:
        raise InputError("no codes", expected="at least one record")
    used = codes.abs() > threshold
    return Sparsity(float(double(used.sum(1)).mean()), float(double(~used.any(0)).mean()))


def fraction_unexplained(targets: Float[Tensor, "rows ..."], reconstructions: Float[Tensor, "rows ..."]) -> float:
    """Σ ‖x − x̂‖² / Σ ‖x − mean‖²: 0 is perfect, 1 is no better than the mean of these rows; fp64.

    Raises:
        InputError: rows that are all equal, or none.
    """
    targets, reconstructions = double(targets), double(reconstructions)
    spread = float((targets - targets.mean(0)).square().sum()) if len(targets) else 0.0
    if spread == 0:
        raise InputError(f"{len(targets)} rows without any spread", expected="at least two rows that differ")
    return float((targets - reconstructions).square().sum()) / spread

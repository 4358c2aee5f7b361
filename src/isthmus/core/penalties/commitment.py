"""The commitment loss of vector quantisation, which keeps vectors near their codewords."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from isthmus.core.penalties.sparsity import noted
from isthmus.errors import SettingError
from isthmus.protocols import Step


@dataclass(frozen=True)
class Commitment:
    """weight · ‖z − word‖² with a detached codeword, which keeps vectors near their codewords (van den Oord et al.
    2017, equation 3, with a weight of .25).

    Raises:
        SettingError: a weight below 0; later, another bottleneck than ``VectorQuantised``.
    """

    weight: float = 0.25

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise SettingError(f"weight={self.weight} of a commitment", expected="a number of 0 or more")

    def __call__(self, step: Step) -> dict[str, Tensor]:
        """``commitment``: the mean over the rows."""
        return {"commitment": self.weight * noted(step, "distance", "VectorQuantised").mean()}

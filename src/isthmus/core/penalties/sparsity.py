"""What keeps codes sparse: penalties on the code, for the bottlenecks of ``isthmus.core.bottlenecks.sparse``, and what
keeps their units alive. All in nats a record."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.capabilities import unit_weights
from isthmus.core.penalties.code_weights import code_weights_of, columns, unit_columns
from isthmus.errors import SettingError
from isthmus.protocols import Hook, Model, Step

SHARE_LIMIT = 1e-6
"""A unit that is always on or always off would cost an infinite divergence."""


@dataclass(frozen=True)
class L1:
    """weight · Σ_j |z_j| · ‖w_j‖ with w_j the decoder's column of unit j: without its length a model would shrink the
    code and let the decoder grow (Bricken et al. 2023; Conerly et al. 2024).

    Raises:
        SettingError: a weight below 0; later, a decoder whose columns are not known.
    """

    weight: float

    def __post_init__(self) -> None:
        _check_weight(self.weight)

    def __call__(self, step: Step) -> dict[str, Tensor]:
        """``l1``: the mean over the rows."""
        lengths = columns(step.model).norm(dim=0)
        return {"l1": self.weight * (step.code.point.abs() * lengths).flatten(1).sum(1).mean()}


@dataclass(frozen=True)
class KlSparsity:
    """weight · Σ_j KL(ρ ‖ ρ_j) between coins, ρ_j how far unit j is on over the batch (Lee et al. 2008; Ng, "Sparse
    autoencoder", 2011, section 3, with ρ = .05 and a weight of 3). A batch should hold 10 / ρ rows or more: an average
    over fewer says little about a unit that is rarely on.

    Args:
        target: ρ, how far a unit shall be on, on average.
        weight: of the sum.

    Raises:
        SettingError: a target outside 0 < ρ < 1, a weight below 0; later, a bottleneck without sigmoid units.
    """

    target: float = 0.05
    weight: float = 3.0

    def __post_init__(self) -> None:
        _check_weight(self.weight)
        if not 0 < self.target < 1:
            raise SettingError(f"target={self.target}", expected="a share between 0 and 1")

    def __call__(self, step: Step) -> dict[str, Tensor]:
        """``kl_sparsity``, in fp32 at least."""
        firing = noted(step, "firing", "SparseUnits with activation='sigmoid'")
        share = firing.flatten(0, -2).mean(0).clamp(SHARE_LIMIT, 1 - SHARE_LIMIT)
        aim = torch.full_like(share, self.target)
        divergence = aim * (aim / share).log() + (1 - aim) * ((1 - aim) / (1 - share)).log()
        return {"kl_sparsity": self.weight * divergence.sum()}


@dataclass(frozen=True)
class L0:
    """weight · (L0 / target − 1)² for ``JumpReLU``, with L0 the mean number of units that a row uses: its thresholds
    move until that is the target (Rajamanoharan et al. 2024, section 4, with the target of their appendix).

    Raises:
        SettingError: a target that is not above 0, a weight below 0; later, another bottleneck than ``JumpReLU``.
    """

    target: float
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check_weight(self.weight)
        if not self.target > 0:
            raise SettingError(f"target={self.target} active units", expected="a number above 0")

    def __call__(self, step: Step) -> dict[str, Tensor]:
        """``l0``."""
        used = noted(step, "gate", "JumpReLU").flatten(1).sum(1).mean()
        return {"l0": self.weight * (used / self.target - 1).square()}


def unit_norm_decoder() -> Hook:
    """After each step the decoder's column of every unit comes back to length 1 (Gao et al. 2024, appendix A). Call
    ``code_weights.unit_columns`` once when the model is built."""
    return Hook("step", unit_columns)


def tied_start(model: Model) -> None:
    """The decoder's columns come to length 1, and the bottleneck's rows become those columns: a code that can be
    decoded from the first step, the other half of what keeps units alive (Gao et al. 2024, appendix A.2). In place,
    before training; the two are free of each other afterwards.

    Raises:
        SettingError: a bottleneck without ``unit_weights``, or whose hidden state is not as wide as what it is
            decoded to.
    """
    weight, layers = unit_weights(model.bottleneck), code_weights_of(model)
    rows = layers[0].weight
    if len(layers) > 1 or rows.T.shape != weight.shape:
        raise SettingError(
            f"a hidden state of {weight.shape[1]} numbers and a decoder with columns of {len(columns(model))}",
            expected="one layer that reads the code, as wide as the hidden state",
        )
    unit_columns(model)
    with torch.no_grad():
        weight.copy_(rows.T)


def noted(step: Step, name: str, whose: str) -> Tensor:
    """A note of the step's code.

    Args:
        step: a forward pass.
        name: of the note.
        whose: the bottlenecks that make it, for the error.

    Raises:
        SettingError: the bottleneck makes no such note.
    """
    if name not in step.code.notes:
        raise SettingError(f"a penalty on {type(step.model.bottleneck).__name__}", expected=f"the bottleneck {whose}")
    return step.code.notes[name]


def _check_weight(weight: float) -> None:
    if not weight >= 0:
        raise SettingError(f"weight={weight} of a penalty", expected="a number of 0 or more")

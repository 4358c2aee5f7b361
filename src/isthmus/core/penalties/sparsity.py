"""Sparsity penalties for the bottlenecks of ``isthmus.core.bottlenecks.sparse``, and measures that keep their units
alive. Penalties are in nats per record."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus.capabilities import unit_weights
from isthmus.core.penalties.code_weights import code_weights_of, columns, unit_columns
from isthmus.errors import SettingError
from isthmus.protocols import Hook, Model, Step

SHARE_LIMIT = 1e-6
"""Bound of the mean activations, because units that are always on or off would have an infinite divergence."""


@dataclass(frozen=True)
class L1:
    """weight · Σ_j |z_j| · ‖w_j‖ with w_j the decoder's column of unit j. Without its norm, a model could shrink the
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
    """weight · Σ_j KL(ρ ‖ ρ_j) between Bernoulli distributions, with ρ_j the mean activation of unit j over the batch
    (Lee et al. 2008; Ng, "Sparse autoencoder", 2011, section 3, with ρ = .05 and a weight of 3). A batch should have at
    least 10 / ρ rows, because the mean of a rarely active unit over fewer rows is too noisy.

    Args:
        target: ρ, the target of the mean activation.
        weight: weight of the sum.

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
    """weight · (L0 / target − 1)² for ``JumpReLU``, with L0 the mean number of active units per row, which drives its
    thresholds to the target (Rajamanoharan et al. 2024, section 4, with the target of their appendix).

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
    """A hook that scales the decoder's columns to norm 1 after each step (Gao et al. 2024, appendix A). Call
    ``code_weights.unit_columns`` once when the model is built."""
    return Hook("step", unit_columns)


def tied_start(model: Model) -> None:
    """Scale the decoder's columns to norm 1 and copy them to the bottleneck's rows, in place, before training. The code
    can then be decoded from the first step, which also keeps units alive (Gao et al. 2024, appendix A.2). Both are
    trained independently afterwards.

    Raises:
        SettingError: a bottleneck without ``unit_weights``, or a hidden state that is not as wide as the decoder's
            output.
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
        name: name of the note.
        whose: the bottlenecks that provide it, for the error message.

    Raises:
        SettingError: the bottleneck has no such note.
    """
    if name not in step.code.notes:
        raise SettingError(f"a penalty on {type(step.model.bottleneck).__name__}", expected=f"the bottleneck {whose}")
    return step.code.notes[name]


def _check_weight(weight: float) -> None:
    if not weight >= 0:
        raise SettingError(f"weight={weight} of a penalty", expected="a number of 0 or more")

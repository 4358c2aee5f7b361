"""Revival of dead units, which no row uses and which therefore have no gradient and would stay dead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor, nn
from torch.func import functional_call

from isthmus.batch import Batch
from isthmus.capabilities import CodeWeights
from isthmus.core.penalties.code_weights import code_weights_of, columns
from isthmus.core.penalties.sparsity import noted
from isthmus.errors import SettingError
from isthmus.protocols import Model, Step


@dataclass(frozen=True)
class AuxiliaryLoss:
    """The auxiliary loss of Gao et al. 2024 (appendix A.2) for any decoder and likelihood: dead units are trained to
    explain the residual of the active ones.

    The likelihood is evaluated again with the largest activations of dead units added to the code. Everything else is
    detached: active units, their columns, and all other weights get no gradient from it, so that dead units are fitted
    to the residual and not the residual to them. For a linear decoder and a Gaussian of scale 1 this is
    ½ ‖r − W_dead z_dead‖² − ½ ‖r‖² with the detached residual r, including the bias, on the scale of the
    reconstruction. z_dead is rectified, but its gradient passes as if it were not, so that units below 0 for every row
    come back too. If no unit is dead, nothing is computed on a CPU. On an accelerator the computation is always done,
    because checking would need a synchronisation.

    Args:
        weight: weight relative to the likelihood; 1/32 in the paper.
        candidates: maximum number of dead units per row; by default half of the decoder's output width.
        dead_after: number of training rows without use after which a unit counts as dead. The paper uses 10 million
            tokens; for less data a smaller number is better, about one epoch or less.

    Raises:
        SettingError: a weight below 0, or fewer than 1 candidate or row; later, a bottleneck that does not count.
    """

    weight: float = 1 / 32
    candidates: int | None = None
    dead_after: int = 10_000

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise SettingError(f"weight={self.weight} of the revival", expected="a number of 0 or more")
        if self.candidates is not None and self.candidates < 1:
            raise SettingError(f"candidates={self.candidates}", expected="at least 1, or none given")
        if self.dead_after < 1:
            raise SettingError(f"dead_after={self.dead_after}", expected="at least 1 row")

    def __call__(self, step: Step) -> dict[str, Tensor]:
        """``revival``: nats per record that dead units would add to −log p, times the weight."""
        dead = noted(step, "silent", "TopK, BatchTopK, JumpReLU or SparseUnits('relu')") >= self.dead_after
        here = dead.device.type == "cpu"
        if here and not bool(dead.any()):
            return {"revival": step.log_likelihood.new_zeros(())}
        tried = self._tried(step, dead)
        sample = step.code.sample.detach() + tried.repeat_interleave(step.samples, 0)
        arguments = (sample, step.batch.repeat(step.samples), step.generator)
        log_likelihood = functional_call(_Decoding(step.model), _held(step.model, dead), arguments)
        revival = self.weight * (step.log_likelihood.detach().mean() - log_likelihood.mean())
        return {"revival": revival if here else torch.where(dead.any(), revival, torch.zeros_like(revival))}

    def _tried(self, step: Step, dead: Bool[Tensor, " code"]) -> Float[Tensor, "batch code"]:
        """Activations of dead units, the largest of each row, negative ones as 0."""
        most = self.candidates or max(1, len(columns(step.model)) // 2)
        if dead.device.type == "cpu":
            pre = torch.where(dead, step.code.notes["pre"], -torch.inf)
            best = pre.topk(min(most, int(dead.sum())), dim=-1, sorted=False)
        else:
            # The number of dead units is not read from the device: if there are too few, active ones are used with 0.
            pre = torch.where(dead, step.code.notes["pre"], torch.finfo(step.code.notes["pre"].dtype).min)
            best = pre.topk(min(most, len(dead)), dim=-1, sorted=False)
        # The gradient passes through the rectifier, since units below 0 for every row would otherwise stay dead.
        rectified = best.values + (best.values.relu() - best.values).detach()
        return torch.zeros_like(pre).scatter(-1, best.indices, rectified)


class _Decoding(nn.Module):
    """The path from a sample to its log-likelihood as one module, whose weights can be replaced for a call."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.decoder, self.readout, self.likelihood = model.decoder, model.readout, model.likelihood

    def forward(self, sample: Tensor, given: Batch, generator: Generator | None) -> Tensor:
        decoded: Any = self.decoder(sample, given)
        return self.likelihood(self.readout, decoded, given.targets, generator=generator)


def _held(model: Model, dead: Bool[Tensor, " code"]) -> dict[str, Tensor]:
    """All weights after the code, detached except for the columns of dead units."""
    reading = {id(layer.weight): layer for layer in code_weights_of(model)}
    return {
        name: _living_held(reading[id(weight)], dead) if id(weight) in reading else weight.detach()
        for name, weight in _Decoding(model).named_parameters()
    }


def _living_held(layer: CodeWeights, dead: Bool[Tensor, " code"]) -> Tensor:
    free = torch.zeros(layer.weight.shape[1], dtype=torch.bool, device=layer.weight.device)
    free[layer.columns] = dead
    return torch.where(free, layer.weight, layer.weight.detach())

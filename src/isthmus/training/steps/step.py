"""One step of gradient descent: forward pass, backward pass, optimiser, and hooks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Batch
from isthmus.core.autoencoder import Autoencoder, Loss
from isthmus.core.placement import Placement, current
from isthmus.protocols import Phase
from isthmus.training.plan import Plan
from isthmus.training.run import Run
from isthmus.training.steps.fused_adam import FusedAdam
from isthmus.training.steps.mixed import Mixed
from isthmus.training.steps.muon import Muon
from isthmus.training.steps.plain import PlainSteps, plain_steps
from isthmus.training.steps.sparse_adam import RowwiseAdam


class Terms(NamedTuple):
    """The loss of a step and its terms: means over the rows of the batch, without a gradient."""

    names: tuple[str, ...]
    values: Float[Tensor, " terms"]


class Pace(NamedTuple):
    """Values that change with every step: numbers or, for a graph that is replayed, scalar tensors.

    Attributes:
        rate: the learning rate.
        progress: progress of the planned training, from 0 to 1.
    """

    rate: float | Tensor
    progress: float | Tensor


@dataclass
class Stepper:
    """Performs training steps.

    Attributes:
        model: the model, trained in place.
        plan, run: plan and run of the training.
        optimizer: optimiser of the model's parameters.
        noise: generator of all noise, on the model's device.
        act: calls the hooks of the model and of a phase that follow a step.
    """

    model: Autoencoder
    plan: Plan
    run: Run
    optimizer: torch.optim.Optimizer
    noise: Generator
    act: Callable[[Phase], None]
    trainable: list[nn.Parameter] = field(init=False)
    numbers: int = field(init=False)
    update: Callable[[], object] = field(init=False)
    placement: Placement = field(init=False)
    plain: PlainSteps | None = field(init=False)

    def __post_init__(self) -> None:
        self.placement = current()
        here = next(self.model.parameters(), torch.empty(0)).device.type == "cpu"
        optimizer = self.optimizer
        self.plain = plain_steps(self.model, self.plan) if here and self.placement.alone else None
        self.update = optimizer.update if here and isinstance(optimizer, FusedAdam) else optimizer.step
        self.trainable = [p for p in self.model.parameters() if p.requires_grad]
        # All processes of a training have to choose the same precision.
        self.numbers = self.placement.most(sum(p.numel() for p in self.model.parameters() if p.ndim > 1))

    def step(
        self,
        batch: Batch,
        phase: Phase,
        pace: Pace,
        *,
        checked: Callable[[Tensor], None] | None = None,
        held: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> Terms:
        """One step.

        Args:
            batch: on the model's device.
            phase: the current phase.
            pace: learning rate and progress.
            checked: raises an error for a loss with which weights must not be updated; it waits for the device.
            held: context in which weights are changed.

        Returns:
            The loss and its terms, without waiting for the device.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = pace.rate
        loss, differentiate = self._loss(batch, phase, pace.progress)
        if checked is not None:
            checked(loss.total.detach())
        differentiate()
        if self.plan.clip is not None:
            nn.utils.clip_grad_norm_(self.trainable, self.plan.clip)
        with held():
            self.update()
            self.act(phase)
        with torch.no_grad():
            return Terms(("loss", *loss.terms), torch.stack([loss.total, *loss.terms.values()]))

    def _loss(self, batch: Batch, phase: Phase, progress: float | Tensor) -> tuple[Loss, Callable[[], None]]:
        """The loss of a batch, and a function that computes its gradient."""
        with self.run.products(self.numbers * batch.size), self.placement.sharing(batch.inputs):
            if self.plain is not None:
                written_out = self.plain.loss(batch, self.noise if phase.corrupt else None)
                if written_out is not None:
                    return written_out
            step = self.model.step(
                batch,
                generator=self.noise,
                samples=phase.samples,
                corrupt=phase.corrupt,
                sample_code=phase.sample_code,
                likelihood=phase.likelihood,
            )
            loss = self.model.loss(step, progress=progress, objective=phase.objective)
        return loss, lambda: self._differentiate(loss.total)

    def _differentiate(self, total: Tensor) -> None:
        for parameter in self.trainable:
            parameter.grad = None
        self.placement.differentiate(total, self.trainable)


def optimizer_of(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """The plan's optimiser for all trainable parameters of the model, which are updated by one fused operation."""
    if plan.optimizer == "sgd":
        return torch.optim.SGD(_groups(model, plan), lr=plan.learning_rate, fused=True)
    if plan.optimizer == "muon":
        return Muon(_groups(model, plan), lr=plan.learning_rate, betas=plan.betas)
    if plan.optimizer == "mixed":
        return _mixed(model, plan)
    return adam(model, plan)


def _mixed(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """Stochastic gradient descent for decoder and readout, Adam for the other parts."""
    decoding = {
        id(p) for part in (model.decoder, model.readout) if isinstance(part, nn.Module) for p in part.parameters()
    }
    groups = [
        {**group, "params": params, "adam": by_adam}
        for group in _groups(model, plan)
        for by_adam in (True, False)
        if (params := [p for p in group["params"] if (id(p) in decoding) is not by_adam])
    ]
    return Mixed(groups, lr=plan.learning_rate, betas=plan.betas)


def adam(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """Adam for all trainable parameters of the model, with the plan's settings."""
    groups = _groups(model, plan)
    if plan.rowwise:
        return RowwiseAdam(groups, lr=plan.learning_rate, betas=plan.betas)
    return FusedAdam(groups, lr=plan.learning_rate, betas=plan.betas)


def _groups(model: nn.Module, plan: Plan) -> list[dict[str, Any]]:
    trainable = [p for p in model.parameters() if p.requires_grad]
    # One group without weight decay; each group costs the time of a small matrix product in every step.
    matrices = [p for p in trainable if p.ndim > 1 or not plan.weight_decay]
    others = [p for p in trainable if p.ndim <= 1 and plan.weight_decay]
    return [
        {"params": params, "weight_decay": decay}
        for params, decay in ((matrices, plan.weight_decay), (others, 0.0))
        if params
    ]

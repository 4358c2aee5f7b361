"""One step of gradient descent: forward, backward, optimiser, and what happens to the model after it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Batch
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.placement import current
from isthmus.protocols import Phase
from isthmus.training.plan import Plan
from isthmus.training.run import Run
from isthmus.training.steps.sparse_adam import RowwiseAdam


class Terms(NamedTuple):
    """The loss of a step and what it is made of: means over the rows of the batch, without a gradient."""

    names: tuple[str, ...]
    values: Float[Tensor, " terms"]


class Pace(NamedTuple):
    """What changes from step to step by itself: numbers, or, for a graph that is replayed, tensors without dimensions.

    Attributes:
        rate: the learning rate.
        progress: from 0 to 1 of the planned training.
    """

    rate: float | Tensor
    progress: float | Tensor


@dataclass
class Stepper:
    """Takes steps.

    Attributes:
        model: what is trained, in place.
        plan, run: how.
        optimizer: of the model's parameters.
        noise: where all noise comes from, on the model's device.
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

    def __post_init__(self) -> None:
        self.trainable = [p for p in self.model.parameters() if p.requires_grad]
        # All processes of a training have to choose the same precision.
        self.numbers = current().most(sum(p.numel() for p in self.model.parameters() if p.ndim > 1))

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
            phase: what is trained, and how.
            pace: learning rate and progress.
            checked: raises an error for a loss that weights must not see; it waits for the device.
            held: the context in which weights are changed.

        Returns:
            The loss and its terms; nobody has waited for them.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = pace.rate
        with self.run.products(self.numbers * batch.size):
            step = self.model.step(
                batch, generator=self.noise, samples=phase.samples, corrupt=phase.corrupt, sample_code=phase.sample_code
            )
            loss = self.model.loss(step, progress=pace.progress, objective=phase.objective)
        if checked is not None:
            checked(loss.total.detach())
        self.optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        if self.plan.clip is not None:
            nn.utils.clip_grad_norm_(self.trainable, self.plan.clip)
        with held():
            self.optimizer.step()
            self.act(phase)
        named = {"loss": loss.total, **loss.terms}
        return Terms(tuple(named), torch.stack([value.detach() for value in named.values()]))


def adam(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """The plan's optimiser for all trainable parameters of the model, all of them changed by one operation."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    # One group without weight decay; each group costs the time of a small matrix product in every step.
    matrices = [p for p in trainable if p.ndim > 1 or not plan.weight_decay]
    others = [p for p in trainable if p.ndim <= 1 and plan.weight_decay]
    groups = [
        {"params": params, "weight_decay": decay}
        for params, decay in ((matrices, plan.weight_decay), (others, 0.0))
        if params
    ]
    if plan.rowwise:
        return RowwiseAdam(groups, lr=plan.learning_rate, betas=plan.betas)
    return torch.optim.Adam(groups, lr=plan.learning_rate, betas=plan.betas, fused=True)

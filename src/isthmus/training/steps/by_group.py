"""Optimisers that are written here: what they share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam


class GroupedOptimizer(torch.optim.Optimizer):
    """An optimiser that updates the weights of a group together.

    Args:
        groups: as for ``torch.optim.Adam``; ``weight_decay`` is an L2 penalty.
        lr: learning rate.
        betas: decay rates of the moments of Adam.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, lr: float, betas: tuple[float, float]) -> None:
        # With ``fused``, PyTorch loads counters of steps to where the weights are.
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": 1e-8, "weight_decay": 0.0, "fused": True})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update all weights that have a gradient; return the value of the closure, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                self.change(weights, group)
        return loss

    @abstractmethod
    def change(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """Update the weights of a group that have a gradient, at least one."""

    def moments(self, weight: Tensor) -> dict[str, Tensor]:
        """What Adam keeps for a weight: its counter of steps and both moments, which are new at first."""
        state: dict[str, Tensor] = self.state[weight]
        if not state:
            state["step"] = torch.zeros((), device=weight.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
        return state

    def change_by_adam(self, weights: list[Tensor], group: dict[str, Any], rate: float) -> None:
        """Update weights by Adam (Kingma & Ba 2015) with a learning rate."""
        if not weights:
            return
        states = [self.moments(weight) for weight in weights]
        kept = [[state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step")]
        fused_adam(weights, gradients(weights), *kept, group=group, rate=rate)


def fused_adam(
    weights: list[Tensor],
    slopes: list[Tensor],
    means: list[Tensor],
    squares: list[Tensor],
    steps: list[Tensor],
    *,
    group: dict[str, Any],
    rate: float,
) -> None:
    """Update weights, moments and counters of steps in place.

    Args:
        weights, slopes: the weights and their gradients.
        means, squares, steps: their moments and numbers of steps.
        group: ``betas``, ``eps`` and ``weight_decay``.
        rate: learning rate.
    """
    adam(
        weights,
        slopes,
        means,
        squares,
        [],
        steps,
        fused=True,
        amsgrad=False,
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        lr=rate,
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        maximize=False,
    )


def gradients(weights: list[Tensor]) -> list[Tensor]:
    """The gradients of weights that have one."""
    return [weight.grad for weight in weights if weight.grad is not None]

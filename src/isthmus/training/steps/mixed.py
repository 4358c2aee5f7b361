"""Adam for some weights and stochastic gradient descent for the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

ADAM_RATE = 3e-3
"""Learning rate of Adam for a learning rate of 1."""


class Mixed(torch.optim.Optimizer):
    """Groups with ``adam=True`` are updated by Adam (Kingma & Ba 2015), whose learning rate is ``ADAM_RATE`` times that
    of the others.

    Args:
        groups: as for ``torch.optim.Adam``, each with ``adam``; ``weight_decay`` is an L2 penalty.
        lr: learning rate of stochastic gradient descent.
        betas: decay rates of Adam.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, lr: float, betas: tuple[float, float]) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": 1e-8, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update all parameters that have a gradient; return the value of the closure, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                (self._adam if group["adam"] else _descend)(group, weights)
        return loss

    def _adam(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        states = [self.state[weight] for weight in weights]
        for state, weight in zip(states, weights, strict=True):
            if not state:
                state["step"] = torch.zeros((), device=weight.device)
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
        steps = [state["step"] for state in states]
        torch._foreach_add_(steps, 1)
        torch._fused_adam_(
            weights, _gradients(weights), [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states], [], steps,
            lr=ADAM_RATE * group["lr"], beta1=group["betas"][0], beta2=group["betas"][1],
            weight_decay=group["weight_decay"], eps=group["eps"], amsgrad=False, maximize=False,
        )  # fmt: skip


def _descend(group: dict[str, Any], weights: list[Tensor]) -> None:
    slopes = _gradients(weights)
    if group["weight_decay"]:
        slopes = list(torch._foreach_add(slopes, weights, alpha=group["weight_decay"]))
    torch._foreach_add_(weights, slopes, alpha=-group["lr"])


def _gradients(weights: list[Tensor]) -> list[Tensor]:
    return [weight.grad for weight in weights if weight.grad is not None]

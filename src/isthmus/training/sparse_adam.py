"""Adam that leaves alone what a step did not touch: a large table costs what the touched rows cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam

ROWS = 8192
"""Rows that are gathered, changed and written back at a time; they fit a cache."""


class RowwiseAdam(torch.optim.Optimizer):
    """Adam (Kingma & Ba 2015) for dense gradients; for sparse ones, Adam on their rows only.

    A row that a step did not touch waits. Dense Adam would let its moments decay and move it by what is left of them;
    both are made up for when the row is touched next, n steps later: its moments m and v are multiplied by β1ⁿ and β2ⁿ,
    and it has moved by −lr · m̂ / (√v̂ + ε) · (r + r² + … + rⁿ) with r = β1 / √β2. Without this, rows that occur rarely
    would learn several times as slowly. What differs from dense Adam: a row is read before it is made up for, and
    weight decay reaches a row only when it is touched. Steps are counted for the whole table; where every row is
    touched, both are the same.

    Args:
        groups: as for ``torch.optim.Adam``; ``weight_decay`` is an L2 penalty's.
        lr: learning rate.
        betas: decay rates of the moments.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, lr: float, betas: tuple[float, float]) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": 1e-8, "weight_decay": 0.0, "fused": True})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Change every parameter that has a gradient; what the closure, if there is one, returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._change(parameter, parameter.grad, group)
        return loss

    def _change(self, parameter: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), device=parameter.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        tables = (parameter, state["exp_avg"], state["exp_avg_sq"])
        if not grad.is_sparse:
            _adam(tables, grad, state["step"], group)
            return
        if "last" not in state:
            # A float, because a loaded state is cast to the type of its parameter.
            state["last"] = torch.zeros(len(parameter), device=parameter.device)
        grad = grad.coalesce()
        before = state["step"].clone()
        for rows, part in zip(grad.indices()[0].split(ROWS), grad.values().split(ROWS), strict=True):
            chosen = [table.index_select(0, rows) for table in tables]
            _make_up(chosen, before - state["last"][rows], float(before), group)
            # Every block is of the same step, and the function counts one up.
            _adam(chosen, part, state["step"].copy_(before), group)
            for table, changed in zip(tables, chosen, strict=True):
                table.index_copy_(0, rows, changed)
            state["last"].index_copy_(0, rows, state["step"].expand(len(rows)))


def _make_up(tables: Iterable[Tensor], missed: Tensor, step: float, group: dict[str, Any]) -> None:
    """What ``missed`` steps without a gradient, the last of them number ``step``, would have done to each row."""
    parameter, mean, square = tables
    if not missed.any():
        return
    missed = missed.view(-1, *[1] * (parameter.ndim - 1))
    beta1, beta2 = group["betas"]
    ratio = beta1 / beta2**0.5
    moves = ratio * (1 - ratio**missed) / (1 - ratio) if ratio != 1 else missed
    scale = (square / (1 - beta2**step)).sqrt_().add_(group["eps"])
    parameter.sub_((mean / scale).mul_(moves * (group["lr"] / (1 - beta1**step))))
    mean.mul_(beta1**missed)
    square.mul_(beta2**missed)


def _adam(tables: Iterable[Tensor], grad: Tensor, step: Tensor, group: dict[str, Any]) -> None:
    parameter, mean, square = tables
    adam(
        [parameter],
        [grad],
        [mean],
        [square],
        [],
        [step],
        fused=True,
        amsgrad=False,
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        lr=group["lr"],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        maximize=False,
    )

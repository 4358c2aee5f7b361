"""Adam with sparse gradients: the cost of a step depends on the rows with a gradient, not on the size of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam

ROWS = 8192
"""Number of rows that are gathered, changed and written back at a time, so that they fit in the cache."""


class RowwiseAdam(torch.optim.Optimizer):
    """Adam (Kingma & Ba 2015) for dense gradients; for sparse ones, Adam on their rows only.

    Rows without a gradient are updated later. Dense Adam would let their moments decay and keep moving the rows by
    them.
    Both are caught up when a row has its next gradient, n steps later: its moments m and v are multiplied by β1ⁿ and
    β2ⁿ, and it is moved by −lr · m̂ / (√v̂ + ε) · (r + r² + … + rⁿ) with r = β1 / √β2. Without this, rare rows would
    learn several times as slowly. Two differences from dense Adam remain: a row is read before it is caught up, and
    weight decay only reaches rows with a gradient. Steps are counted for the whole table; if all rows have a gradient,
    both are the same.

    Args:
        groups: as for ``torch.optim.Adam``; ``weight_decay`` is an L2 penalty.
        lr: learning rate.
        betas: decay rates of the moments.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, lr: float, betas: tuple[float, float]) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": 1e-8, "weight_decay": 0.0, "fused": True})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update all parameters that have a gradient; return the value of the closure, if there is one."""
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
        # On an accelerator one block is fastest, and reading a number would need a synchronisation.
        here = parameter.device.type == "cpu"
        size, number = (ROWS, float(before)) if here else (max(1, grad.indices().shape[1]), before.clamp(min=1))
        for rows, part in zip(grad.indices()[0].split(size), grad.values().split(size), strict=True):
            chosen = [table.index_select(0, rows) for table in tables]
            missed = before - state["last"][rows]
            if not here or missed.any():
                _make_up(chosen, missed, number, group)
            # Every block belongs to the same step, and the function increments the counter.
            _adam(chosen, part, state["step"].copy_(before), group)
            for table, changed in zip(tables, chosen, strict=True):
                table.index_copy_(0, rows, changed)
            state["last"].index_copy_(0, rows, state["step"].expand(len(rows)))


def _make_up(tables: Iterable[Tensor], missed: Tensor, step: float | Tensor, group: dict[str, Any]) -> None:
    """Apply the effect of ``missed`` steps without a gradient, the last of them number ``step``, to each row."""
    parameter, mean, square = tables
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

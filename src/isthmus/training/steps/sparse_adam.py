"""Adam with sparse gradients: the cost of a step depends on the rows with a gradient, not on the size of the table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from isthmus.training.steps.by_group import GroupedOptimizer, fused_adam

ROWS = 8192
"""Number of rows that are gathered, changed and written back at a time, so that they fit in the cache."""


class RowwiseAdam(GroupedOptimizer):
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

    def change(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """Update the weights of a group."""
        for weight in weights:
            assert weight.grad is not None
            self._change(weight, weight.grad, group)

    def _change(self, parameter: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.moments(parameter)
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
    fused_adam([parameter], [grad], [mean], [square], [step], group=group, rate=group["lr"])

"""Adam for some weights and stochastic gradient descent for the others."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from isthmus.training.steps.by_group import GroupedOptimizer, gradients

ADAM_RATE = 3e-3
"""Learning rate of Adam for a learning rate of 1."""


class Mixed(GroupedOptimizer):
    """Groups with ``adam=True`` are updated by Adam (Kingma & Ba 2015), whose learning rate is ``ADAM_RATE`` times that
    of the others, which are updated by stochastic gradient descent."""

    def change(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """Update the weights of a group."""
        if group["adam"]:
            self.change_by_adam(weights, group, ADAM_RATE * group["lr"])
            return
        slopes = gradients(weights)
        if group["weight_decay"]:
            slopes = list(torch._foreach_add(slopes, weights, alpha=group["weight_decay"]))
        torch._foreach_add_(weights, torch._foreach_mul(slopes, -group["lr"]))

"""Muon: momentum whose matrices are made orthogonal, so that every direction of a layer learns at the same pace."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor

from isthmus.machine.hardware import multiplies_bf16
from isthmus.training.steps.by_group import GroupedOptimizer

SMALLEST = 16
"""Rows and columns from which a matrix is made orthogonal; smaller ones are updated by Adam."""

MOMENTUM = 0.95
ROUNDS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the polynomial of odd powers that is applied in each round; chosen by Jordan et al."""

LIKE_ADAM = 0.2
"""Root mean square of an update of Adam, to which updates are scaled so that the same learning rates suit both."""


class Muon(GroupedOptimizer):
    """Muon (Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024), with Adam for all that is
    not a large matrix.

    The weights of a convolution are a matrix of outputs and of everything that an output reads. Its update is the
    momentum U Σ Vᵀ with Σ replaced by ones, approximately, by five rounds of Newton-Schulz; scaled as in Liu et al.,
    "Muon is Scalable for LLM Training" (2025), equation 4. Learning rates are of the size that suits Adam.
    """

    def change(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        """Update the weights of a group."""
        self._orthogonal([weight for weight in weights if _is_large(weight)], group)
        self.change_by_adam([weight for weight in weights if not _is_large(weight)], group, group["lr"])

    def _orthogonal(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        by_shape: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
        for parameter in parameters:
            by_shape[_matrix(parameter).shape[0], _matrix(parameter).shape[1]].append(parameter)
        for shape, alike in by_shape.items():
            updates = orthogonal(torch.stack([self._momentum(parameter, group) for parameter in alike]))
            size = -group["lr"] * LIKE_ADAM * max(shape) ** 0.5
            for parameter, update in zip(alike, updates, strict=True):
                parameter.add_(update.view(parameter.shape) * size)

    def _momentum(self, parameter: Tensor, group: dict[str, Any]) -> Tensor:
        """Nesterov's momentum of the gradient, as a matrix."""
        state, grad = self.state[parameter], parameter.grad
        assert grad is not None
        if group["weight_decay"]:
            grad = grad + group["weight_decay"] * parameter
        if not state:
            state["momentum"] = torch.zeros_like(parameter, memory_format=torch.contiguous_format)
        momentum: Tensor = state["momentum"].lerp_(grad, 1 - MOMENTUM)
        return _matrix(grad.lerp(momentum, MOMENTUM))


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest matrices with orthonormal rows, or columns if these are fewer, approximately: singular values between
    0.7 and 1.2.

    Args:
        matrices: [count, rows, columns].
    """
    tall = matrices.shape[1] > matrices.shape[2]
    found = matrices.mT if tall else matrices
    found = found / (found.flatten(1).norm(dim=1)[:, None, None] + 1e-12)
    if multiplies_bf16(found.device.type):
        # Three digits are enough: the singular values are only about one anyway.
        found = found.bfloat16()
    one, three, five = COEFFICIENTS
    for _ in range(ROUNDS):
        square = found @ found.mT
        found = torch.baddbmm(found, torch.baddbmm(square, square, square, beta=three, alpha=five), found, beta=one)
    return (found.mT if tall else found).to(matrices.dtype)


def _matrix(weights: Tensor) -> Tensor:
    return weights.reshape(len(weights), -1)


def _is_large(parameter: Tensor) -> bool:
    return parameter.ndim > 1 and min(_matrix(parameter).shape) >= SMALLEST

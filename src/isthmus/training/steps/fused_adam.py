"""Adam in one fused operation for all weights, with little around it: with a small network, finding the lists of
weights and moments again in every step, as PyTorch's optimiser does, takes longer than the update."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from isthmus.reprs import brief


@brief
@dataclass(frozen=True)
class _Lists:
    """The weights of a group that have a gradient, and their moments and numbers of steps, in the same order.

    Attributes:
        of: the states that they were taken from.
        known: number of these states at that time; fewer are left when a part of the model starts anew.
    """

    of: Mapping[Any, Any]
    known: int
    weights: list[Tensor]
    means: list[Tensor]
    squares: list[Tensor]
    steps: list[Tensor]

    def hold(self, states: Mapping[Any, Any], weights: list[Tensor]) -> bool:
        """Whether these lists are still those of the weights with a gradient."""
        return (
            self.of is states
            and self.known == len(states)
            and len(self.weights) == len(weights)
            and all(ours is theirs for ours, theirs in zip(self.weights, weights, strict=True))
        )


class FusedAdam(torch.optim.Adam):
    """Adam (Kingma & Ba 2015) as in ``torch.optim.Adam``, with the same states and results.

    Args:
        groups: as for ``torch.optim.Adam``; ``weight_decay`` is an L2 penalty.
        lr: learning rate.
        betas: decay rates of the moments.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, lr: float, betas: tuple[float, float]) -> None:
        super().__init__(groups, lr=lr, betas=betas, fused=True)
        self._kept: dict[int, _Lists] = {}

    @torch.no_grad()
    def update(self) -> None:
        """``step`` on a CPU, without hooks and profiling."""
        for index, group in enumerate(self.param_groups):
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            lists = self._lists(index, group, weights)
            torch._foreach_add_(lists.steps, 1)
            torch._fused_adam_(
                lists.weights, [weight.grad for weight in weights], lists.means, lists.squares, [], lists.steps,
                lr=group["lr"], beta1=group["betas"][0], beta2=group["betas"][1], weight_decay=group["weight_decay"],
                eps=group["eps"], amsgrad=False, maximize=False,
            )  # fmt: skip

    def _lists(self, index: int, group: dict[str, Any], weights: list[Tensor]) -> _Lists:
        kept = self._kept.get(index)
        if kept is None or not kept.hold(self.state, weights):
            means: list[Tensor] = []
            squares: list[Tensor] = []
            steps: list[Tensor] = []
            self._init_group(group, [], [], means, squares, [], steps)  # type: ignore[no-untyped-call]
            kept = self._kept[index] = _Lists(self.state, len(self.state), weights, means, squares, steps)
        return kept

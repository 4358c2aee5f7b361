"""The optimiser with little around it makes the same steps as PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from isthmus.training.steps.fused_adam import FusedAdam

BETAS = (0.9, 0.999)
SHAPES = ((5, 3), (5,), (2, 5), (2,))


class Pair:
    """The same weights under both optimisers."""

    def __init__(self) -> None:
        g = torch.Generator().manual_seed(0)
        self.ours = [nn.Parameter(torch.randn(shape, generator=g)) for shape in SHAPES]
        self.theirs = deepcopy(self.ours)
        self.lean = FusedAdam(groups(self.ours), lr=0.1, betas=BETAS)
        self.plain = torch.optim.Adam(groups(self.theirs), lr=0.1, betas=BETAS, fused=True)

    def steps(self, count: int, frozen: tuple[int, ...] = ()) -> None:
        for gradients in drawn(count):
            for mine, other, gradient in zip(self.ours, self.theirs, gradients, strict=True):
                mine.grad, other.grad = gradient.clone(), gradient.clone()
            for index in frozen:
                self.ours[index].grad = self.theirs[index].grad = None
            self.lean.update()
            self.plain.step()

    def forget(self, *indices: int) -> None:
        for index in indices:
            del self.lean.state[self.ours[index]], self.plain.state[self.theirs[index]]

    def agree(self) -> None:
        for mine, other in zip(self.ours, self.theirs, strict=True):
            assert torch.equal(mine, other)
            a, b = self.lean.state[mine], self.plain.state[other]
            assert a.keys() == b.keys() == {"step", "exp_avg", "exp_avg_sq"}
            assert all(torch.equal(a[key], b[key]) for key in a)


def groups(weights: list[nn.Parameter]) -> list[dict[str, object]]:
    return [{"params": weights[::2], "weight_decay": 0.01}, {"params": weights[1::2], "weight_decay": 0.0}]


def drawn(count: int) -> Iterator[list[Tensor]]:
    g = torch.Generator().manual_seed(count)
    for _ in range(count):
        yield [torch.randn(shape, generator=g) for shape in SHAPES]


@pytest.mark.parametrize("frozen", [(), (0,), (1, 3), (0, 1)])
def test_steps_are_those_of_adam(frozen: tuple[int, ...]) -> None:
    pair = Pair()
    pair.steps(3)
    pair.steps(4, frozen)
    pair.steps(2)
    pair.agree()
    assert float(pair.lean.state[pair.ours[0]]["step"]) == (5 if 0 in frozen else 9)


def test_a_part_that_starts_anew() -> None:
    pair = Pair()
    pair.steps(3)
    pair.forget(0, 3)
    pair.steps(2)
    pair.agree()
    assert [float(pair.lean.state[weight]["step"]) for weight in pair.ours] == [2, 5, 5, 2]


def test_loaded_states_are_continued() -> None:
    pair = Pair()
    pair.steps(3)
    pair.lean.load_state_dict(deepcopy(pair.lean.state_dict()))
    pair.plain.load_state_dict(deepcopy(pair.plain.state_dict()))
    pair.steps(2)
    pair.agree()
    assert float(pair.lean.state[pair.ours[0]]["step"]) == 5


def test_the_rate_of_a_step_is_that_of_its_group() -> None:
    pair = Pair()
    for rate in (0.3, 0.0, 0.1):
        for optimizer in (pair.lean, pair.plain):
            for group in optimizer.param_groups:
                group["lr"] = rate
        pair.steps(1)
    pair.agree()

"""The rows of a batch that one of several processes computes, and the gradients that they sum.

Each process has the whole loss L and differentiates L / processes. The sum of these is L, whichever process computed
what, so the sum of all gradients is that of L: for rows that one process computed, and for what all of them computed
alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from isthmus.batch import Batch, Tensors, TokenRows
from isthmus.distributed.talk import Talk

TOGETHER = 1 << 20
"""Gradients with fewer numbers are summed together in one message."""


@dataclass(frozen=True)
class BatchShare:
    """Rows ``start`` to ``stop`` of a batch of ``size``, and their states; the methods are those of
    ``isthmus.core.shares.Share``.

    Attributes:
        first, last, states: first and last of the own states, and the number of all.
        talk: connection to the processes with the other rows.
    """

    start: int
    stop: int
    size: int
    first: int
    last: int
    states: int
    talk: Talk

    @classmethod
    def of(cls, inputs: Tensors, talk: Talk) -> BatchShare:
        """The share of this process; all have equally many rows, or one more."""
        size = inputs.size
        start, stop = (size * number // talk.size for number in (talk.rank, talk.rank + 1))
        if isinstance(inputs, TokenRows) and inputs.every:
            ends = [0, *inputs.mask.sum(1).cumsum(0).tolist()]
            return cls(start, stop, size, ends[start], ends[stop], ends[size], talk)
        return cls(start, stop, size, start, stop, size, talk)

    def holds(self, inputs: Tensors) -> bool:
        """Whether these are as many rows as the batch has."""
        return inputs.size == self.size

    def own(self, inputs: Tensors) -> Tensors:
        """The own rows of inputs."""
        return inputs.part(self.start, self.stop)

    def given(self, batch: Batch) -> Batch:
        """The own rows of a batch, with the targets of their states."""
        rows = batch.rows[self.start : self.stop]
        return Batch(rows, self.own(batch.inputs), batch.targets.part(self.first, self.last))

    def samples(self, sample: Tensor, samples: int) -> Tensor:
        """The samples of the own states, ``samples`` for each."""
        return sample[self.first * samples : self.last * samples]

    def joined(self, part: Tensor) -> Tensor:
        """The values of all states, from those of the own ones in each process; differentiable."""
        whole: Tensor = _Joined.apply(part, self)  # type: ignore[no-untyped-call]
        return whole

    def every(self, items: Int64[Tensor, " own"]) -> Int64[Tensor, " all"]:
        """The numbers of all processes, in their order."""
        return torch.cat(self.talk.collected(items))

    def counted(self, rows: int) -> int:
        """The number of rows that all processes have together, from that of this one: its states or their samples."""
        return self.states * (rows // max(1, self.last - self.first))

    def drawn(self, like: Tensor, draw: Callable[[Tensor], Tensor]) -> Tensor:
        """Random numbers for the whole batch, of which the own ones are returned."""
        of_each = len(like) // max(1, self.stop - self.start)
        whole = draw(torch.empty(self.size * of_each, *like.shape[1:], device=like.device))
        return whole[self.start * of_each : self.stop * of_each]


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, share: BatchShare) -> Tensor:
        ctx.share = share
        whole = part.new_zeros(share.states, *part.shape[1:])
        whole[share.first : share.last] = part
        return share.talk.added(whole)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        share: BatchShare = ctx.share
        return share.talk.added(grad)[share.first : share.last], None


def sum_gradients(parameters: Iterable[nn.Parameter], talk: Talk) -> None:
    """Replace the gradient of each parameter by the sum over all processes, which have gradients of the same
    parameters."""
    small: list[Tensor] = []
    for parameter in parameters:
        grad = parameter.grad
        if grad is None:
            continue
        if grad.is_sparse:
            parameter.grad = _sparse_sum(grad, talk)
        elif grad.numel() < TOGETHER:
            small.append(grad)
        else:
            grad.copy_(talk.added(grad))
    for kind in dict.fromkeys(grad.dtype for grad in small):
        alike = [grad for grad in small if grad.dtype == kind]
        sums = talk.added(torch.cat([grad.flatten() for grad in alike]))
        for grad, part in zip(alike, sums.split([grad.numel() for grad in alike]), strict=True):
            grad.copy_(part.view_as(grad))


def _sparse_sum(grad: Tensor, talk: Talk) -> Tensor:
    """The sum of gradients that each have some rows of a table."""
    grad = grad.coalesce()
    rows, values = grad.indices()[0], grad.values()
    if rows.device.type != "cpu":
        # Repetitions of the last row all have its gradient (``ops.bags.rows_of``). This has never been run.
        fresh = torch.cat([rows.new_ones(1, dtype=torch.bool), rows[1:] != rows[:-1]])
        rows, values = rows[fresh], values[fresh]
    every, parts = torch.cat(talk.collected(rows)), torch.cat(talk.collected(values))
    return torch.sparse_coo_tensor(every[None], parts, grad.shape, check_invariants=False).coalesce()

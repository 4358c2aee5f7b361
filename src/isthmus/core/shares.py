"""The share of each batch that a process computes, if several processes split the batches of a training.

Every process draws the same batches and the same noise. Encoder, decoder and likelihood, which are nearly all of the
work, only compute the rows of the process; hidden states and log-likelihoods are then exchanged, so that bottleneck,
objective and penalties see the whole batch. Statistics of the batch are therefore those of one process, and so is the
loss, up to rounding.

A training step opens its share (``sharing``), and the model asks for it (``share_of``). Parts that draw random numbers
for each row, or that look at the rows of a batch together, ask in which share they are computed (``computed``). In one
process this is ``WHOLE``, which does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from isthmus.batch import Batch, Tensors


@runtime_checkable
class Share(Protocol):
    """Some consecutive rows of a batch.

    A *state* is what the encoder returns for a record: one for each row or, for rows with ``every``, one for each
    token.
    """

    def holds(self, inputs: Tensors) -> bool:
        """Whether these are the inputs of the batch that is shared."""

    def own(self, inputs: Tensors) -> Tensors:
        """The own rows of inputs."""

    def given(self, batch: Batch) -> Batch:
        """The own rows of a batch, with the targets of their states."""

    def samples(self, sample: Float[Tensor, "states_samples ..."], samples: int) -> Float[Tensor, "own_samples ..."]:
        """The samples of the own states, ``samples`` for each."""

    def joined(self, part: Float[Tensor, "own ..."]) -> Float[Tensor, "states ..."]:
        """The values of all states, from those of the own ones in each process; differentiable."""

    def every(self, items: Int64[Tensor, " own"]) -> Int64[Tensor, " all"]:
        """The numbers of all processes, in their order."""

    def counted(self, rows: int) -> int:
        """The number of rows that all processes have together, from that of this one: its states or their samples."""

    def drawn(self, like: Tensor, draw: Callable[[Tensor], Tensor]) -> Tensor:
        """Random numbers of the shape of ``like``, whose first axis has the own rows. They are drawn for the whole
        batch, so that they do not depend on the share."""


@dataclass(frozen=True)
class Whole:
    """All rows."""

    def holds(self, inputs: Tensors) -> bool:
        """True."""
        return True

    def own(self, inputs: Tensors) -> Tensors:
        """The same inputs."""
        return inputs

    def given(self, batch: Batch) -> Batch:
        """The same batch."""
        return batch

    def samples(self, sample: Tensor, samples: int) -> Tensor:
        """The same samples."""
        return sample

    def joined(self, part: Tensor) -> Tensor:
        """The same values."""
        return part

    def every(self, items: Tensor) -> Tensor:
        """The same numbers."""
        return items

    def counted(self, rows: int) -> int:
        """The given number."""
        return rows

    def drawn(self, like: Tensor, draw: Callable[[Tensor], Tensor]) -> Tensor:
        """New random numbers."""
        return draw(torch.empty(like.shape, device=like.device))


WHOLE = Whole()

_open: ContextVar[Share] = ContextVar("share of the step", default=WHOLE)
_within: ContextVar[Share] = ContextVar("share that is computed", default=WHOLE)


def share_of(inputs: Tensors) -> Share:
    """The share of these inputs that this process computes: that of the training step, if they are its inputs."""
    # Exported models compute whole batches; the export cannot follow context variables.
    if torch.compiler.is_compiling():
        return WHOLE
    share = _open.get()
    return share if share.holds(inputs) else WHOLE


def computed() -> Share:
    """The share whose rows are computed at the moment."""
    return WHOLE if torch.compiler.is_compiling() else _within.get()


@contextmanager
def sharing(share: Share) -> Iterator[None]:
    """Inside this context, a training step is computed of which this process has a share."""
    token = _open.set(share)
    try:
        yield
    finally:
        _open.reset(token)


@contextmanager
def computing(share: Share) -> Iterator[None]:
    """Inside this context, the rows of a share are computed."""
    if torch.compiler.is_compiling():
        yield
        return
    token = _within.set(share)
    try:
        yield
    finally:
        _within.reset(token)

"""Batches of rows of similar length: little padding, and a different order in every epoch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Int64
from torch import Generator, Tensor

from isthmus.errors import SettingError


@runtime_checkable
class Batching(Protocol):
    """Splits the rows of an epoch into batches; each row occurs once."""

    def __call__(self, lengths: Int64[Tensor, " rows"], generator: Generator) -> Iterator[Int64[Tensor, " batch"]]:
        """Row numbers, batch by batch, on the CPU."""
        ...


@dataclass(frozen=True)
class Shuffled:
    """Uniformly shuffled batches of ``size`` rows; the last one may be smaller."""

    size: int = 500

    def __post_init__(self) -> None:
        if self.size < 1:
            raise SettingError(f"batch size {self.size}", expected="at least 1")

    def __call__(self, lengths: Int64[Tensor, " rows"], generator: Generator) -> Iterator[Int64[Tensor, " batch"]]:
        """Batches in a new order for each call."""
        yield from torch.randperm(len(lengths), generator=generator).split(self.size)


@dataclass(frozen=True)
class ShuffledByRows:
    """Uniformly shuffled batches whose size grows with the number of rows: ``steps`` batches per epoch, if their size
    is between ``least`` and ``most``.

    Few rows need small batches, because an epoch of a few steps learns little; many rows allow large ones, which are
    faster.
    """

    steps: int = 200
    least: int = 100
    most: int = 500

    def size(self, rows: int) -> int:
        """The number of rows per batch for this number of rows in total."""
        return min(self.most, max(self.least, rows // self.steps))

    def __call__(self, lengths: Int64[Tensor, " rows"], generator: Generator) -> Iterator[Int64[Tensor, " batch"]]:
        """Batches in a new order for each call."""
        yield from Shuffled(self.size(len(lengths)))(lengths, generator)


def shuffled(size: int | None) -> Shuffled | ShuffledByRows:
    """Shuffled batches of ``size`` rows; None for a size that grows with the number of rows."""
    return ShuffledByRows() if size is None else Shuffled(size)


@dataclass(frozen=True)
class TokenBudget:
    """Batches of at most ``tokens`` tokens including padding: rows × longest row.

    The rows are shuffled and cut into windows. The rows of a window are sorted by length and cut into batches, and the
    batches of all windows are shuffled. A larger window has less padding but mixes rows less. A row longer than the
    budget is a batch of its own.

    Args:
        tokens: maximum number of tokens in a batch.
        window: number of rows that are sorted together.

    Raises:
        SettingError: ``tokens`` or ``window`` below 1.
    """

    tokens: int = 4096
    window: int = 16384

    def __post_init__(self) -> None:
        for name, value in (("tokens", self.tokens), ("window", self.window)):
            if value < 1:
                raise SettingError(f"{name}={value}", expected="at least 1")

    def __call__(self, lengths: Int64[Tensor, " rows"], generator: Generator) -> Iterator[Int64[Tensor, " batch"]]:
        """Batches that contain each row once, in a new order for each call."""
        batches: list[Tensor] = []
        for window in torch.randperm(len(lengths), generator=generator).split(self.window):
            batches += [window[rows] for rows in by_length(lengths[window], self.tokens)]
        for chosen in torch.randperm(len(batches), generator=generator).tolist():
            yield batches[chosen]


def by_length(lengths: Int64[Tensor, " rows"], tokens: int) -> list[Int64[Tensor, " batch"]]:
    """All rows from the shortest to the longest, in batches as large as ``tokens`` allows, including padding; a longer
    row is a batch of its own."""
    ascending, order = torch.sort(lengths, stable=True)
    return list(order.split(_cut(ascending.clamp(min=1).tolist(), tokens)))


def _cut(ascending: list[int], tokens: int) -> list[int]:
    """The sizes of the batches."""
    sizes, start = [], 0
    while start < len(ascending):
        most = min(tokens // ascending[start], len(ascending) - start)
        # Rows × longest row grows with the rows, because they are ascending.
        size = bisect_right(range(1, most + 1), tokens, key=lambda rows: rows * ascending[start + rows - 1])
        sizes.append(max(1, size))
        start += sizes[-1]
    return sizes

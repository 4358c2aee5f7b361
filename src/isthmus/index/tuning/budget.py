"""Limits of time and memory for an index, and the rule for exact search."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from functools import lru_cache

import torch

from isthmus.checked.arguments import ABOVE_ZERO, real
from isthmus.errors import BudgetError

FAST_ENOUGH = 0.005
"""Default time limit of one query, in seconds."""

SMALL = 16 << 20
"""Number of bytes that any machine reads within the limit."""

BUILD_SECONDS = 600.0
"""Default time limit for trying kinds, in seconds."""


@dataclass(frozen=True)
class Budget:
    """Limits for an index.

    Attributes:
        seconds: time of a search with a single query.
        bytes: memory of vectors and index together.
        build_seconds: time after which no further kind of index is tried.
    """

    seconds: float | None = None
    bytes: int | None = None
    build_seconds: float = BUILD_SECONDS

    def checked(self) -> Budget:
        """Check the limits, and return this object.

        Raises:
            SettingError: a limit that is not above 0.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                real(f"budget {field.name}", value, "more than 0", least=ABOVE_ZERO)
        return self

    def check_bytes(self, rows: int, width: int) -> None:
        """Check the memory of the vectors, which every index keeps, because scores are computed from them.

        Raises:
            BudgetError: the vectors alone need more.
        """
        need = 4 * rows * width
        if self.bytes is not None and need > self.bytes:
            raise BudgetError(
                f"{rows:,} vectors of {width} numbers take {need:,} bytes",
                expected=f"at most {self.bytes:,}",
                remedy="allow more, or reduce the dimension of the vectors",
            )

    def allows_exact(self, rows: int, width: int) -> bool:
        """Whether exact search is chosen: one query reads every vector once, which takes ``rows · width · 4`` bytes
        divided by the memory bandwidth, and this is at most ``seconds`` (0.005 by default)."""
        need = 4 * rows * width
        seconds = FAST_ENOUGH if self.seconds is None else self.seconds
        if self.seconds is None and need <= SMALL:
            return True
        return need / bandwidth() <= seconds


@lru_cache(maxsize=1)
def bandwidth() -> float:
    """Memory bandwidth in bytes per second, measured once per process."""
    table = torch.ones(1 << 18, 128)
    best = 0.0
    for _ in range(4):
        start = time.perf_counter()
        table.sum()
        best = max(best, 4 * table.numel() / (time.perf_counter() - start))
    return best

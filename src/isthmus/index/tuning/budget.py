"""How much time and memory an index may take, and when comparing with every vector is fast enough."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from functools import lru_cache

import torch

from isthmus.checked.arguments import ABOVE_ZERO, real
from isthmus.errors import BudgetError

FAST_ENOUGH = 0.005
"""Seconds that one query may take unless a budget says otherwise."""

SMALL = 16 << 20
"""Bytes that any machine reads in less."""

BUILD_SECONDS = 600.0
"""Seconds after which no further kind is tried, unless a budget says otherwise."""


@dataclass(frozen=True)
class Budget:
    """What an index may take.

    Attributes:
        seconds: of a search with a single query.
        bytes: of vectors and index together, in memory.
        build_seconds: after which no further kind of index is tried.
    """

    seconds: float | None = None
    bytes: int | None = None
    build_seconds: float = BUILD_SECONDS

    def checked(self) -> Budget:
        """The same.

        Raises:
            SettingError: something that is not above 0.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                real(f"budget {field.name}", value, "more than 0", least=ABOVE_ZERO)
        return self

    def check_bytes(self, rows: int, width: int) -> None:
        """Refuse what no index could hold: each keeps the vectors in full, because scores are computed from them.

        Raises:
            BudgetError: the vectors alone take more.
        """
        need = 4 * rows * width
        if self.bytes is not None and need > self.bytes:
            raise BudgetError(
                f"{rows:,} vectors of {width} numbers take {need:,} bytes",
                expected=f"at most {self.bytes:,}",
                remedy="grant more, or encode them into fewer numbers",
            )

    def allows_exact(self, rows: int, width: int) -> bool:
        """The rule: one query reads every vector once, so it takes ``rows · width · 4`` bytes over the bandwidth of
        the memory. Exact search is chosen where that is at most ``seconds`` (0.005, if not given)."""
        need = 4 * rows * width
        seconds = FAST_ENOUGH if self.seconds is None else self.seconds
        if self.seconds is None and need <= SMALL:
            return True
        return need / bandwidth() <= seconds


@lru_cache(maxsize=1)
def bandwidth() -> float:
    """Bytes a second that one pass over memory reads here; measured once for each process."""
    table = torch.ones(1 << 18, 128)
    best = 0.0
    for _ in range(4):
        start = time.perf_counter()
        table.sum()
        best = max(best, 4 * table.numel() / (time.perf_counter() - start))
    return best

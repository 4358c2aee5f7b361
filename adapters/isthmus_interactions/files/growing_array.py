"""A growing column that becomes one array without being in memory twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

PAGE_ROWS = 1 << 23
"""Size of a page: large enough to be returned to the system when it is freed; untouched parts take no memory."""

Array = npt.NDArray[Any]


@runtime_checkable
class Growing(Protocol):
    """Numbers that are appended piece by piece, in memory or in a file."""

    def __len__(self) -> int: ...

    def add(self, values: Array) -> None:
        """Append a copy of some numbers."""

    def take_array(self, change: Callable[[Array], Array] | None = None) -> Array | None:
        """All numbers as one array, which empties this object; None when there are none.

        Args:
            change: applied to each piece on the way; keeps the type.
        """


class GrowingArray:
    """Numbers of one type, appended piece by piece."""

    def __init__(self) -> None:
        self._pages: list[Array] = []
        self._used = PAGE_ROWS

    def __len__(self) -> int:
        return (len(self._pages) - 1) * PAGE_ROWS + self._used if self._pages else 0

    def add(self, values: Array) -> None:
        """Append a copy of some numbers."""
        while len(values):
            if self._used == PAGE_ROWS:
                self._pages.append(np.empty(PAGE_ROWS, values.dtype))
                self._used = 0
            part = values[: PAGE_ROWS - self._used]
            self._pages[-1][self._used : self._used + len(part)] = part
            self._used += len(part)
            values = values[len(part) :]

    def take_array(self, change: Callable[[Array], Array] | None = None) -> Array | None:
        """All numbers as one array; each page is freed once it has been copied. None if there are no numbers.

        Args:
            change: applied to each page on the way; keeps the type.
        """
        if not self._pages:
            return None
        joined = np.empty(len(self), self._pages[0].dtype)
        self._pages[-1] = self._pages[-1][: self._used]
        self._pages.reverse()
        start = 0
        while self._pages:
            page = self._pages.pop()
            joined[start : start + len(page)] = page if change is None else change(page)
            start += len(page)
        self._used = PAGE_ROWS
        return joined

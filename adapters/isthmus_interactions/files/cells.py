"""Converts events in any order to cells of a matrix, in place to limit peak memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from isthmus.errors import ValueRangeError
from isthmus_interactions.csr import Csr, csr_of
from isthmus_interactions.files.ids import Codes


class Cells:
    """One key (row times width plus column) and optionally a value for every event.

    Args:
        rows: the user of each event.
        columns: the item of each event.
        values: the value of each event; None if each event and each cell counts 1.
        shape: (users, items).
    """

    def __init__(
        self,
        rows: Codes,
        columns: Codes,
        values: npt.NDArray[np.float32] | None,
        shape: tuple[int, int],
    ) -> None:
        self._keys = rows.astype(np.int64)
        self._keys *= shape[1]
        self._keys += columns
        self._values, self._shape = values, shape

    def merged(self, *, counted: bool) -> Csr:
        """The matrix.

        Args:
            counted: without values, whether a cell contains the number of its events rather than 1.

        Raises:
            ValueRangeError: a sum does not fit in 32 bits.
        """
        self._sort()
        first = np.empty(len(self._keys), dtype=bool)
        first[:1] = True
        np.not_equal(self._keys[1:], self._keys[:-1], out=first[1:])
        if not first.all():
            self._reduce(np.flatnonzero(first), counted=counted)
        values = np.ones(len(self._keys), dtype=np.float32) if self._values is None else self._values
        if not np.isfinite(values).all():
            raise ValueRangeError("values of one user and item add up to more than 32 bits hold", expected="less")
        columns = (self._keys % self._shape[1]).astype(np.int32)
        self._keys //= self._shape[1]
        return csr_of(self._keys, columns, values, self._shape)

    def _sort(self) -> None:
        if self._values is None:
            self._keys.sort()
            return
        order = np.argsort(self._keys)
        self._keys = self._keys[order]
        self._values = self._values[order]

    def _reduce(self, starts: npt.NDArray[np.int64], *, counted: bool) -> None:
        if self._values is not None:
            # Summed in 64 bits, so that the result does not depend on the order of the rows.
            with np.errstate(over="ignore"):  # infinities are found and named later
                self._values = np.add.reduceat(self._values, starts, dtype=np.float64).astype(np.float32)
        elif counted:
            self._values = np.diff(starts, append=len(self._keys)).astype(np.float32)
        self._keys = self._keys[starts]

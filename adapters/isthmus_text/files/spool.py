"""Bytes that are written once and then only read: in memory while they are few, mapped from disk when they are many."""

from __future__ import annotations

import mmap
from tempfile import SpooledTemporaryFile

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

IN_MEMORY = 1 << 26
"""Up to here (64 MiB) bytes stay in memory."""


class Spool:
    """A place that grows. What no longer fits in memory goes to a temporary file without a name, which is gone as soon
    as nothing refers to it, whatever way the process ends.
    """

    def __init__(self) -> None:
        # It outlives this object: the mapping below needs it.
        self._file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
        self.size = 0

    def write(self, chunk: bytes | memoryview) -> None:
        """Append."""
        self._file.write(chunk)
        self.size += len(chunk)

    def mapped(self) -> Bytes:
        """All that was written, read-only. Nothing can be written afterwards."""
        with self._file as file:
            if self.size <= IN_MEMORY:
                file.seek(0)
                return np.frombuffer(file.read(), np.uint8)
            file.flush()
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)

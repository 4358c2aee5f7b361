"""Process settings during training: freed memory is kept for the next step.

A step frees and allocates gradients of the size of the tables. By default, the C library returns such blocks to the
system immediately, and the next step has to touch every page again, which takes a quarter of a step on a CPU. The cost
is that resident memory is higher by a few tables during training, because not every freed block fits the next one.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Numbers from malloc.h, and the defaults of glibc.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
DEFAULT_TRIM_THRESHOLD, DEFAULT_MMAP_MAX = 128 << 10, 65536
NEVER = 2**31 - 1


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Inside this context, the process keeps the memory that it frees (glibc on Linux; no effect elsewhere).

    Afterwards the defaults are restored and unused memory is returned.
    """
    library = _glibc()
    if library is None:
        yield
        return
    library.mallopt(M_MMAP_MAX, 0)
    library.mallopt(M_TRIM_THRESHOLD, NEVER)
    try:
        yield
    finally:
        library.mallopt(M_MMAP_MAX, DEFAULT_MMAP_MAX)
        library.mallopt(M_TRIM_THRESHOLD, DEFAULT_TRIM_THRESHOLD)
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    try:
        return library if library.mallopt and library.malloc_trim and library.gnu_get_libc_version else None
    except AttributeError:
        return None

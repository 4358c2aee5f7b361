"""Process settings during training: freed memory is kept for the next step, and denormal numbers are flushed to zero.

A step frees and allocates gradients of the size of the tables. By default the C library returns blocks of that size to
the system immediately, and the next step has to map every page again, which takes a quarter of a step on CPU. The cost
is that resident memory is a few tables higher during training, because not every freed block fits the next one.

Numbers below 1.2e-38 are denormal in fp32, and many processors are a hundred times slower with them. Gradients that
vanish along a sequence and the moments of rarely used weights become denormal: an epoch of an LSTM took 120 s instead
of 13. Flushing them to zero loses nothing, because Adam divides by at least 1e-8.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch

# Numbers from malloc.h, and the defaults of glibc.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
DEFAULT_TRIM_THRESHOLD, DEFAULT_MMAP_MAX = 128 << 10, 65536
NEVER = 2**31 - 1

# From omp.h: end the threads of the pool; the next parallel region starts new ones.
OMP_PAUSE_HARD = 2


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


@contextmanager
def denormals_as_zero() -> Iterator[None]:
    """Inside this context, denormal numbers are flushed to zero in this thread and in its worker threads on the CPU.

    This is a state of each thread that new threads inherit, so the OpenMP threads are ended on entry and exit, which
    takes a tenth of a millisecond. If that is not possible (it needs Linux and OpenMP 5), nothing changes, so that all
    threads compute in the same way.
    """
    renew = _renewal_of_threads()
    if renew is None or _denormals_are_zero() or not torch.set_flush_denormal(True):
        yield
        return
    renew()
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        renew()


def _denormals_are_zero() -> bool:
    return sys.float_info.min / 2 == 0.0


@cache
def _renewal_of_threads() -> Callable[[], object] | None:
    """A function that ends the worker threads of this one; None if torch has none, or they cannot be ended."""
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    if sys.platform != "linux" or not library.exists():
        return None
    try:
        # Through torch's library, because other packages bring their own OpenMP.
        pause = ctypes.CDLL(str(library)).omp_pause_resource_all
    except (OSError, AttributeError):
        return None
    return lambda: pause(OMP_PAUSE_HARD)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    try:
        return library if library.mallopt and library.malloc_trim and library.gnu_get_libc_version else None
    except AttributeError:
        return None

"""Makes forked processes safe by limiting them to one thread.

``os.fork`` copies the memory of a process, but only the thread that called it. The OpenMP worker threads of torch and
FAISS do not exist in the child although their pool says so, and the first parallel operation waits for ever. Importing
isthmus therefore registers, with ``os.register_at_fork``, that a child uses one thread in each of these libraries. A
library that was not imported before the fork has no pool to lose.
"""

from __future__ import annotations

import os
import sys
import threading
from functools import cached_property
from types import TracebackType
from typing import Any
from weakref import WeakSet

_forked = False
_cuda_in_use = False


def is_forked() -> bool:
    """Whether this process was forked from one in which isthmus was imported already."""
    return _forked


def cuda_is_lost() -> bool:
    """Whether CUDA was in use when this process was forked; it cannot be used in such a child."""
    return _forked and _cuda_in_use


class ForkSafeLock:
    """A lock that is released in a forked child, where the thread that held it does not exist."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        _locks.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def open(self) -> None:
        """Reset the lock."""
        self._lock = threading.Lock()


_locks: WeakSet[ForkSafeLock] = WeakSet()


def _before_fork() -> None:
    global _cuda_in_use
    torch = sys.modules.get("torch")
    _cuda_in_use = hasattr(torch, "cuda") and bool(torch.cuda.is_initialized())  # type: ignore[union-attr]


def _after_fork() -> None:
    global _forked
    _forked = True
    for lock in _locks:
        lock.open()
    _open_cached_properties()
    # A module that another thread was still importing may lack these attributes.
    for name, setter in (("torch", "set_num_threads"), ("faiss", "omp_set_num_threads")):
        keep_to: Any = getattr(sys.modules.get(name), setter, None)
        if keep_to is not None:
            keep_to(1)
    # Packages that bring further copies of OpenMP (scikit-learn, implicit) also install this library.
    limits: Any = getattr(sys.modules.get("threadpoolctl"), "threadpool_limits", None)
    if limits is not None:
        limits(limits=1, user_api="openmp")


def _open_cached_properties() -> None:
    """Python 3.11 has one lock per ``cached_property`` for all objects; a computation during the fork would keep it
    locked in the child."""
    if sys.version_info >= (3, 12):
        return
    for name, module in list(sys.modules.items()):
        if name.startswith("isthmus"):
            for kind in [one for one in vars(module).values() if isinstance(one, type)]:
                for member in vars(kind).values():
                    if isinstance(member, cached_property):
                        vars(member)["lock"] = threading.RLock()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

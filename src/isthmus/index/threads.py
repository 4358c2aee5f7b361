"""Limits the number of threads of torch, FAISS and BLAS together.

Each of them has its own thread pool. FAISS's number belongs to the thread that set it, so every search sets it again.
On macOS the wheels of torch and FAISS each bring their own OpenMP, and two multi-threaded ones crash, so FAISS always
uses one thread there. A forked process uses one thread for everything, see ``isthmus.machine.processes``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec

import torch

from isthmus.errors import SettingError
from isthmus.machine import processes

_asked: int | None = 1 if sys.platform == "darwin" else None


@contextmanager
def limit(threads: int) -> Iterator[None]:
    """Use at most this many threads for each operation of torch, FAISS and BLAS inside this context, in the whole
    process.

    This also applies to searches that other threads start meanwhile; enter it from one thread. BLAS is limited if
    ``threadpoolctl`` is installed.

    Raises:
        SettingError: ``threads`` below 1.
    """
    global _asked
    if threads < 1:
        raise SettingError(f"threads is {threads}", expected="at least 1")
    asked, of_torch = _asked, torch.get_num_threads()
    with ExitStack() as stack:
        if find_spec("threadpoolctl") is not None:
            from threadpoolctl import threadpool_limits

            stack.enter_context(threadpool_limits(limits=threads, user_api="blas"))
        try:
            torch.set_num_threads(1 if processes.is_forked() else threads)
            _asked = 1 if sys.platform == "darwin" else threads
            yield
        finally:
            torch.set_num_threads(of_torch)
            _asked = asked


def clock() -> float:
    """Seconds, to measure searches with: those of the calling thread on the processor if it is the only one, so that
    other work on the machine does not count, otherwise those of a clock on the wall."""
    alone = torch.get_num_threads() == 1 and (_asked == 1 or processes.is_forked())
    return time.thread_time() if alone else time.perf_counter()


@contextmanager
def limited_to(read: Callable[[], int], write: Callable[[int], None], threads: int | None = None) -> Iterator[None]:
    """Limit a library to ``threads``, or to the number of ``limit``, in the calling thread inside this context.

    Args:
        read: returns the library's number of threads.
        write: sets it.
        threads: maximum number; by default that of ``limit``.
    """
    wanted = 1 if processes.is_forked() else _asked if threads is None else threads
    if wanted is None:
        yield
        return
    before = read()
    write(wanted)
    try:
        yield
    finally:
        write(before)

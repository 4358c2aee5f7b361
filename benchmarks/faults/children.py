"""Work in child processes of a warm interpreter: one that dies or hangs takes a single piece of work along."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

ROOM = 4 << 30
"""Bytes that a child may ask for beyond what its parent has."""

Outcome = dict[str, Any]


HUNG = 75
"""The exit status of a child whose work had its time, and did not say so itself."""


def outcomes(
    works: int, work: Callable[[int], Outcome], *, together: int = 20, limit: float = 30.0
) -> Iterator[Outcome]:
    """What became of each piece of work, in order.

    Args:
        works: how many pieces there are.
        work: does the piece of a number, in a child.
        together: pieces of one child.
        limit: seconds that one piece may take.

    Yields:
        What ``work`` returned, or ``{"outcome": "crash", "signal": ...}`` or ``{"outcome": "hang"}``.
    """
    start = 0
    while start < works:
        stop = min(works, start + together)
        found = yield from _one_child(range(start, stop), work, limit)
        start += found


def _one_child(numbers: range, work: Callable[[int], Outcome], limit: float) -> Any:
    sys.stdout.flush()
    sys.stderr.flush()
    out, into = os.pipe()
    child = os.fork()
    if not child:
        os.close(out)
        _work_off(numbers, work, limit, into)
    os.close(into)
    done = 0
    try:
        for line in _lines(out, limit):
            if line is None:
                os.kill(child, signal.SIGKILL)
                yield {"outcome": "hang", "number": numbers[done]}
                return done + 1
            yield json.loads(line)
            done += 1
    finally:
        os.close(out)
        status = os.waitpid(child, 0)[1]
    if done < len(numbers):
        died = os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)
        ended = {"outcome": "hang"} if died == -HUNG else {"outcome": "crash", "signal": died}
        yield {**ended, "number": numbers[done]}
        done += 1
    return done


def _work_off(numbers: range, work: Callable[[int], Outcome], limit: float, into: int) -> None:
    """In the child: never returns."""
    try:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + ROOM, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        signal.signal(signal.SIGALRM, _too_long)
        for number in numbers:
            # Python is told a little before the parent loses its patience, so that it can say where it was.
            signal.setitimer(signal.ITIMER_REAL, 0.8 * limit)
            os.write(into, json.dumps(work(number)).encode() + b"\n")
    except TooLong:
        os._exit(HUNG)
    except BaseException:
        os._exit(1)
    # Nothing of the parent's (its buffers, its tests) is finished here.
    os._exit(0)


class TooLong(BaseException):
    """A piece of work has had its time."""


def _too_long(*_: object) -> None:
    raise TooLong


def _lines(out: int, limit: float) -> Iterator[bytes | None]:
    """Lines as they come; None where none came in time."""
    left, until = b"", time.monotonic() + limit
    while True:
        ready, _, _ = select.select([out], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            yield None
            return
        some = os.read(out, 1 << 16)
        if not some:
            return
        *whole, left = (left + some).split(b"\n")
        if whole:
            until = time.monotonic() + limit
        yield from whole


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")

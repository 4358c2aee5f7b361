"""Parts in processes of this machine, each with its own memory and threads."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, final

from isthmus.checked.arguments import path_of, whole
from isthmus.errors import PartError
from isthmus.index.sharded.building import name
from isthmus.index.sharded.contents import read_contents
from isthmus.index.sharded.hosts import Answer, PartHost, RemotePart, answered
from isthmus.index.sharded.sharded_index import ShardedIndex
from isthmus.index.storage.tensors import Verify
from isthmus.index.threads import limit
from isthmus.machine.processes import ForkSafeLock

SECONDS_TO_END = 10.0
"""A process that does not end by itself within this time is ended."""


@contextmanager
def open_in_processes(
    folder: str | Path, *, verify: Verify = "header", mmap: bool = True, threads: int = 1
) -> Iterator[ShardedIndex]:
    """An index whose parts live in processes of this machine, which are asked at the same time and end with this
    context. Changes are lost then, unless ``save`` was called.

    Args:
        folder: what ``ShardedIndex.build`` or ``save`` wrote.
        verify, mmap: as for ``ShardedIndex.load``.
        threads: of each process.

    Yields:
        The index.

    Raises:
        BundleError: no such index, or parts that are missing or damaged.
        PartError: a process ended; also raised by every question that it cannot answer.
    """
    place = path_of("folder", folder)
    contents, count = read_contents(place)
    threads = whole("threads", threads, least=1)
    hosts: list[_Process] = []
    try:
        hosts.extend(_Process(str(place / name(part)), verify, mmap, threads) for part in range(count))
        yield ShardedIndex.of([RemotePart(host.ask) for host in hosts], contents, together=count)
    finally:
        for host in hosts:
            host.end()


@final
class _Process:
    """A process with one part, and the pipe to it."""

    def __init__(self, folder: str, verify: Verify, mmap: bool, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._folder, self._asking, self._asked = folder, ForkSafeLock(), 0
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, folder, verify, mmap, threads), daemon=True)
        self._process.start()
        there.close()

    def ask(self, verb: str, given: Mapping[str, Any]) -> Answer:
        """One question at a time goes through the pipe."""
        with self._asking:
            self._asked += 1
            number, answer = -1, dict[str, Any]()
            try:
                self._here.send((self._asked, verb, dict(given)))
                # After Ctrl-C the answer to an earlier question may still be in the pipe.
                while number != self._asked:
                    number, answer = self._here.recv()
            except (EOFError, OSError) as error:
                raise PartError(
                    f"the process of {self._folder!r} ended",
                    expected="a process that answers",
                    remedy="it may have been killed because memory was short; open the index again",
                ) from error
        return answer

    def end(self) -> None:
        """Let the process end."""
        self._here.close()
        self._process.join(SECONDS_TO_END)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(pipe: Connection, folder: str, verify: Verify, mmap: bool, threads: int) -> None:
    """Answer until the other side closes the pipe."""
    # Ctrl-C reaches all processes of a terminal; the one that asks decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with limit(threads):
        opened = answered(lambda: PartHost.open(folder, verify, mmap))
        host = opened.get("answer")
        while True:
            try:
                number, verb, given = pipe.recv()
            except EOFError:
                return
            pipe.send((number, opened if host is None else host.answer(verb, given)))

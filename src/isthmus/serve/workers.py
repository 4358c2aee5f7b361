"""Several server processes on one port, for machines with many cores.

The parent process opens the socket, checks that the bundles load, and starts workers that share the socket; each worker
loads its own models. The parent restarts a worker that has ended and passes reloads and stops on to all of them, but
answers no requests itself. Workers end with their parent, however it ends.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType

from prometheus_client.multiprocess import mark_process_dead

from isthmus.errors import InputError, SettingError
from isthmus.machine.processes import usable_cores
from isthmus.reprs import brief
from isthmus.serve.gate import log
from isthmus.serve.metrics import FOLDER
from isthmus.serve.opened import Opened, Place
from isthmus.serve.server import address, listening, serve_on
from isthmus.serve.settings import ServerSettings
from isthmus.serve.shelf import Shelf

READY, RELOADED = "ready", "reloaded"
"""Messages from workers to their parent."""

STOP, RELOAD = b"s", b"r"
"""Messages from signal handlers to the loop of the parent."""

PAUSES = 1.0, 10.0
"""Seconds before a worker is restarted: one that had been ready, and one that ended before it was ready."""


@dataclass(frozen=True)
class Work:
    """What a worker needs to start.

    Attributes:
        places: names and paths of the bundles.
        load: loads one of them; it must be possible to pickle it.
        settings: settings of the server.
        listener: the socket that all workers share.
        threads: threads of each worker for the models.
    """

    places: Sequence[Place]
    load: Callable[[Place], Opened]
    settings: ServerSettings
    listener: socket.socket
    threads: int


def run_workers(
    count: int,
    places: Sequence[Place],
    load: Callable[[Place], Opened],
    settings: ServerSettings,
    told: Callable[[str, Sequence[Opened]], None],
) -> None:
    """Serve bundles by several processes until SIGINT or SIGTERM. SIGHUP makes all of them load the bundles again.

    Args:
        count: number of workers.
        places: names and paths of the bundles.
        load: loads one of them; it must be possible to pickle it.
        settings: settings of the server.
        told: receives the address of the server and its models when all workers are ready.

    Raises:
        IsthmusError: a bundle that cannot be loaded.
        InputError: the address is not one of this machine or is in use, or a worker ends while it starts.
        SettingError: a system without the signals that this needs.
    """
    if not hasattr(signal, "SIGHUP"):
        raise SettingError(f"{count} workers on {sys.platform}", expected="1", remedy="start several servers")
    with listening(settings) as listener, _figures_of_all(), _heard() as heard:
        models = [load(place) for place in places]
        work = Work(places, load, settings, listener, max(1, usable_cores() // count))
        crew = _Crew(work, count, heard)
        try:
            if crew.begin():
                told(address(listener), models)
                # Only the workers need the models from here on.
                models.clear()
                crew.watch()
        finally:
            crew.end()
    log("stopped")


@brief
@dataclass(eq=False)
class _Worker:
    """One worker.

    Attributes:
        process: its process; None until it is started.
        told: the pipe on which it reports to the parent.
        ready: whether it answers requests.
        reloads: number of reloads that happened before it started, so that it has the new models already.
        due: time of its next start, on the clock of ``time.monotonic``.
    """

    process: BaseProcess | None = None
    told: Connection | None = None
    ready: bool = False
    reloads: int = 0
    due: float = field(default_factory=time.monotonic)

    def signal(self, number: int) -> None:
        if self.process is not None and self.process.is_alive() and self.process.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)


class _Crew:
    """The workers as their parent sees them."""

    def __init__(self, work: Work, count: int, heard: Connection) -> None:
        self._work, self._heard = work, heard
        self._workers = [_Worker() for _ in range(count)]
        self._reloads, self._stopping = 0, False

    def begin(self) -> bool:
        """Start all workers and wait until they are ready; False if a signal ended that.

        Raises:
            InputError: one of them ended.
        """
        while not self._stopping and not all(worker.ready for worker in self._workers):
            for ended in self._turn():
                status = None if ended.process is None else ended.process.exitcode
                raise InputError(
                    f"a worker that ended with status {status} while it started",
                    remedy="see the log; if memory is short, take fewer workers",
                )
        return not self._stopping

    def watch(self) -> None:
        """Restart workers that end and pass reloads on to the others, until a signal asks to stop."""
        while not self._stopping:
            for ended in self._turn():
                assert ended.process is not None
                log("worker ended", status=ended.process.exitcode)
                mark_process_dead(ended.process.pid)  # type: ignore[no-untyped-call]
                pause = PAUSES[0 if ended.ready else 1]
                ended.process, ended.told, ended.ready, ended.due = None, None, False, time.monotonic() + pause

    def end(self) -> None:
        """Stop all workers; requests in progress are finished first."""
        for worker in self._workers:
            worker.signal(signal.SIGTERM)
        deadline = time.monotonic() + self._work.settings.patience + 10
        for worker in self._workers:
            if worker.process is not None:
                worker.process.join(max(0.0, deadline - time.monotonic()))
                worker.signal(signal.SIGKILL)
                worker.process.join()

    def _turn(self) -> list[_Worker]:
        """Wait for the next event and handle it; return the workers that have ended."""
        now = time.monotonic()
        for worker in self._workers:
            if worker.process is None and worker.due <= now:
                self._start(worker)
        waiting = [worker.due - now for worker in self._workers if worker.process is None]
        objects = [self._heard, *(one for worker in self._workers for one in _parts(worker))]
        happened = wait(objects, min(waiting, default=None))
        if self._heard in happened:
            self._hear(self._heard.recv_bytes())
        for worker in self._workers:
            if worker.told in happened:
                self._listen(worker)
        return [one for one in self._workers if one.process is not None and one.process.sentinel in happened]

    def _start(self, worker: _Worker) -> None:
        told, tells = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("spawn").Process(target=_answer, args=(self._work, tells))
        # Ctrl-C reaches all processes of a terminal: until a worker can stop in order, its parent does that.
        before = {one: signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, signal.SIGHUP)}
        try:
            process.start()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        tells.close()
        worker.process, worker.told, worker.reloads = process, told, self._reloads

    def _hear(self, what: bytes) -> None:
        if what == STOP:
            self._stopping = True
        else:
            self._reload(None)

    def _listen(self, worker: _Worker) -> None:
        assert worker.told is not None
        try:
            what = worker.told.recv()
        except (EOFError, OSError):
            # The sentinel of its process also reports its end.
            worker.told = None
            return
        if what == READY:
            worker.ready = True
            if worker.reloads < self._reloads:
                worker.signal(signal.SIGHUP)
        elif what == RELOADED:
            self._reload(worker)

    def _reload(self, done: _Worker | None) -> None:
        """Make all workers reload except the one that has just done so; those still starting reload once they are
        ready."""
        self._reloads += 1
        for worker in self._workers:
            if worker.ready and worker is not done:
                worker.signal(signal.SIGHUP)


def _parts(worker: _Worker) -> list[Connection | int]:
    """The objects to wait on for one worker: its pipe and the end of its process."""
    parts: list[Connection | int] = [] if worker.told is None else [worker.told]
    return parts if worker.process is None else [*parts, worker.process.sentinel]


def _answer(work: Work, tells: Connection) -> None:
    """The main function of a worker process."""
    import torch

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("isthmus")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(work.threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    shelf = Shelf(work.places, work.load)
    serve_on(work.listener, shelf, work.settings, lambda: tells.send(READY), lambda: tells.send(RELOADED))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def _heard() -> Iterator[Connection]:
    """What signals say, as messages, since a process that waits for messages is not woken by a signal."""
    heard, says = multiprocessing.Pipe(duplex=False)

    def received(number: int, _: FrameType | None) -> None:
        says.send_bytes(RELOAD if number == signal.SIGHUP else STOP)

    before = {one: signal.signal(one, received) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _figures_of_all() -> Iterator[None]:
    """A folder where the Prometheus client adds up the figures of all workers."""
    before = os.environ.get(FOLDER)
    with tempfile.TemporaryDirectory(prefix="isthmus-figures-") as folder:
        os.environ[FOLDER] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ[FOLDER]
            else:
                os.environ[FOLDER] = before

"""Load for a server on this machine, and what it made of it.

A connection is kept open and carries one request at a time, as those of browsers and of most clients. Nothing but the
standard library is used, so that the load costs as little as possible of the cores that it shares with the server.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any
from urllib.parse import urlsplit

from isthmus.errors import InputError

LOCAL = ("127.0.0.1", "::1", "localhost")


@dataclass
class Measured:
    """The requests of one measurement.

    Attributes:
        seconds: how long it took.
        latencies: seconds of each answered request.
        statuses: number of answers by status of HTTP; 0 for connections that broke.
    """

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Answers with status 200 in a second."""
        return self.statuses[200] / self.seconds if self.seconds else 0.0

    def milliseconds(self, share: float) -> float:
        """The time within which this share of the requests was answered; NaN without any."""
        ordered = sorted(self.latencies)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan


class Questions:
    """Requests to one path of a server on this machine.

    Args:
        address: of the server.
        path: of the requests.
        documents: their bodies, asked in turn.

    Raises:
        InputError: the address of another machine.
    """

    def __init__(self, address: str, path: str, documents: Sequence[Mapping[str, Any]]) -> None:
        parts = urlsplit(address)
        if parts.hostname not in LOCAL or parts.port is None:
            raise InputError(f"load for {address}", expected="a server on this machine")
        self.host, self.port = parts.hostname, parts.port
        self._bodies = cycle([_request(path, parts.netloc, document) for document in documents])

    def __next__(self) -> bytes:
        return next(self._bodies)


async def paced(questions: Questions, rate: float, seconds: float) -> Measured:
    """Ask at a fixed rate, whether or not earlier requests are answered. A latency counts from the moment when the
    request was due.

    Args:
        questions: what is asked.
        rate: requests in a second.
        seconds: how long.
    """
    found, free = Measured(), deque[_Connection]()
    started = time.perf_counter()
    running: set[asyncio.Task[None]] = set()

    async def one(due: float) -> None:
        connection = free.pop() if free else _Connection(questions)
        status = await connection.ask(next(questions))
        found.statuses[status] += 1
        found.latencies.append(time.perf_counter() - due)
        free.append(connection)

    for number in range(max(1, int(rate * seconds))):
        due = started + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(one(due))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    found.seconds = time.perf_counter() - started
    for connection in free:
        connection.close()
    return found


async def crowded(questions: Questions, clients: int, seconds: float) -> Measured:
    """Ask from several clients, each as soon as it has its answer.

    Args:
        questions: what is asked.
        clients: how many at a time.
        seconds: how long.
    """
    found, started = Measured(), time.perf_counter()

    async def one() -> None:
        connection = _Connection(questions)
        while (asked := time.perf_counter()) < started + seconds:
            found.statuses[await connection.ask(next(questions))] += 1
            found.latencies.append(time.perf_counter() - asked)
        connection.close()

    await asyncio.gather(*(one() for _ in range(clients)))
    found.seconds = time.perf_counter() - started
    return found


class _Connection:
    """A connection that is opened when it is needed."""

    def __init__(self, questions: Questions) -> None:
        self._place = questions.host, questions.port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> int:
        """The status of the answer; 0 if the connection broke."""
        kept = self._streams is not None
        status = await self._asked(request)
        # A server closes connections that were idle for some seconds; clients then open another one.
        return await self._asked(request) if status == 0 and kept else status

    async def _asked(self, request: bytes) -> int:
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(*self._place)
            reader, writer = self._streams
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(_length(head))
            return int(head[9:12])
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            self.close()
            return 0

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _request(path: str, host: str, document: Mapping[str, Any]) -> bytes:
    body = json.dumps(document).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)

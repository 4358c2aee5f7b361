"""Requests that arrive within a few milliseconds are answered together.

A queue has a thread. The first request of a batch waits for others for ``window`` seconds, unless none came within the
last ``window`` seconds: then it is likely to stay alone, and is answered at once. What arrives while the thread
computes is the next batch, without waiting. Requests that cannot be answered together (other actions, other settings)
are answered one group after the other. If a group fails, each of its requests is answered alone, so that a mistake in
one does not reach the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from isthmus.actions import Action
from isthmus.serve.problems import Problem, busy


@dataclass(frozen=True)
class Answered:
    """The answer to one request.

    Attributes:
        body: a JSON document.
        error: why there is none.
    """

    body: bytes = b""
    error: Exception | None = None


@dataclass(eq=False)
class Waiting:
    """A request in the queue."""

    action: str
    request: Any
    answer: asyncio.Future[Answered]
    since: float
    company: bool
    """Whether another request arrived shortly before."""


class Batcher:
    """The queue of one model.

    Args:
        model: its name, which every answer tells.
        find: the current action of a name, which a reload may replace.
        window: seconds to wait for others.
        together: requests in one batch at most.
        room: requests that may wait.
        watch: receives the size of each group that is answered.
    """

    def __init__(
        self,
        model: str,
        find: Callable[[str], Action | None],
        *,
        window: float,
        together: int,
        room: int,
        watch: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._model, self._find, self._watch = model, find, watch
        self._window, self._together, self._room = window, together, room
        self._waiting: deque[Waiting] = deque()
        self._latest = -math.inf
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"isthmus-{model}")
        self._worker: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    async def ask(self, action: str, request: Any) -> bytes:
        """The document that answers a checked request.

        Raises:
            Problem: the queue is full.
            IsthmusError: the request cannot be answered.
        """
        if len(self._waiting) >= self._room:
            raise busy(len(self._waiting))
        if self._worker is None or self._worker.done():
            # An event belongs to the loop that waits for it first, and a worker to the loop that it was made in.
            self._arrived = asyncio.Event()
            self._worker = asyncio.create_task(self._work())
        now = time.monotonic()
        company, self._latest = now - self._latest <= self._window, now
        one = Waiting(action, request, asyncio.get_running_loop().create_future(), now, company)
        self._waiting.append(one)
        self._arrived.set()
        answered = await one.answer
        if answered.error is not None:
            raise answered.error
        return answered.body

    async def close(self) -> None:
        """End the worker and its thread; the server waits for requests before it calls this."""
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
        for one in self._waiting:
            one.answer.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._gather()
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._together))]
            # Whoever has gone away needs no answer.
            batch = [one for one in batch if not one.answer.done()]
            if not batch:
                continue
            try:
                answers = await loop.run_in_executor(self._thread, self._answers, batch)
            except Exception as error:
                answers = [Answered(error=error) for _ in batch]
            for one, answered in zip(batch, answers, strict=True):
                if not one.answer.done():
                    one.answer.set_result(answered)

    async def _gather(self) -> None:
        """Wait for a request, and then for others until its window is over or the batch is full."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        first = self._waiting[0]
        action = self._find(first.action)
        if action is None or action.together is None or not (first.company or len(self._waiting) > 1):
            return
        while len(self._waiting) < self._together:
            left = first.since + self._window - time.monotonic()
            if left <= 0:
                return
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), left)

    def _answers(self, batch: Sequence[Waiting]) -> list[Answered]:
        """The answers, in order; runs in the thread."""
        groups: dict[Hashable, list[int]] = {}
        actions = [self._find(one.action) for one in batch]
        for place, (one, action) in enumerate(zip(batch, actions, strict=True)):
            alone = action is None or action.together is None
            key = (place,) if alone or action is None else (one.action, action.alike(one.request))
            groups.setdefault(key, []).append(place)
        found: dict[int, Answered] = {}
        for places in groups.values():
            self._watch(len(places))
            answered = _group(actions[places[0]], [batch[place].request for place in places], self._model)
            found.update(zip(places, answered, strict=True))
        return [found[place] for place in range(len(batch))]


def _group(action: Action | None, requests: Sequence[Any], model: str) -> list[Answered]:
    """The answers to requests that may be answered together."""
    if action is None:
        gone = Problem("unknown-path", 404, "No such path", "the model that was loaded last does not answer this")
        return [Answered(error=gone) for _ in requests]
    if len(requests) > 1 and action.together is not None:
        # One request that cannot be answered fails all of them: then each is answered alone.
        with contextlib.suppress(Exception):
            return [_encoded(one, model) for one in action.together(requests)]
    return [_alone(action, one, model) for one in requests]


def _alone(action: Action, request: Any, model: str) -> Answered:
    try:
        return _encoded(action.answer(request), model)
    except Exception as error:
        return Answered(error=error)


def _encoded(document: dict[str, Any], model: str) -> Answered:
    return Answered(to_json({"model": model, **document}, inf_nan_mode="null"))

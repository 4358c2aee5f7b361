"""Indexes of several parts on Ray: parts that live in actors, and parts that are built by tasks. ::

    from isthmus.index import ShardedIndex
    from isthmus.integrations.ray_index import open_on_ray, ray_tasks

    ShardedIndex.build("/shared/vectors", "/shared/vectors.index", shards=64, engine=ray_tasks)
    with open_on_ray("/shared/vectors.index") as index:
        hits = index.search(queries)

The folders must be visible to all machines under the same paths. One CPU of Ray stays free: actors that hold all of
them leave none for the tasks that they wait for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus.checked.arguments import path_of
from isthmus.errors import PartError, SettingError
from isthmus.index import ShardedIndex
from isthmus.index.sharded.building import PartBuilt, PartRequest, build_part, name
from isthmus.index.sharded.contents import read_contents
from isthmus.index.sharded.hosts import Answer, Ask, PartHost, RemotePart, answered, content
from isthmus.index.storage.tensors import Verify
from isthmus.machine.ray_here import LEAST, started

FINEST = 10_000
"""Ray counts CPUs in parts of this size."""


@contextmanager
def open_on_ray(
    folder: str | Path, *, verify: Verify = "header", mmap: bool = True, patience: float = 600.0
) -> Iterator[ShardedIndex]:
    """An index whose parts live in actors of Ray, which are asked at the same time and end with this context. Changes
    are lost then, unless ``save`` was called.

    A running Ray is used, or the one of the environment variable ``RAY_ADDRESS``; otherwise one is started for this
    machine, bound to loopback and without a dashboard, and stopped afterwards.

    Args:
        folder: what ``ShardedIndex.build`` or ``save`` wrote, visible to all machines.
        verify, mmap: as for ``ShardedIndex.load``.
        patience: seconds until all actors must have loaded their parts.

    Yields:
        The index.

    Raises:
        MissingLibraryError: Ray is not installed.
        SettingError: Ray has fewer than two CPUs.
        BundleError: no such index, or parts that are missing or damaged.
        PartError: the actors did not start in time, or one ended; also raised by every question that it cannot answer.
    """
    place = Path(os.path.abspath(path_of("folder", folder)))
    contents, count = read_contents(place)
    with started(None) as ray:
        share = _share(_free_cpus(ray), count)
        kind = ray.remote(num_cpus=share, scheduling_strategy="SPREAD")(_Actor)
        actors = [kind.remote(str(place / name(part)), verify, mmap) for part in range(count)]
        try:
            _, late = ray.wait([one.answer.remote("about", {}) for one in actors], num_returns=count, timeout=patience)
            if late:
                raise PartError(
                    f"{len(late)} of {count} parts are not there after {patience:g} s",
                    expected="an actor for each part",
                    remedy="give Ray more CPUs or memory, or be more patient",
                )
            yield ShardedIndex.of([RemotePart(_asking(ray, one)) for one in actors], contents, together=count)
        finally:
            for one in actors:
                ray.kill(one)


def ray_tasks(requests: Sequence[PartRequest]) -> Iterator[PartBuilt]:
    """Build the parts of an index by tasks of Ray, a CPU each, on all CPUs but one: the ``engine`` of
    ``ShardedIndex.build``.

    Args:
        requests: one for each part; sources and folders are visible to all machines.

    Yields:
        What became of each part, in order.

    Raises:
        MissingLibraryError: Ray is not installed.
        SettingError: Ray has fewer than two CPUs.
        PartError: a task was lost. Other errors are those of ``build_part``.
    """
    with started(None) as ray:
        task, free = ray.remote(num_cpus=1)(_built), _free_cpus(ray)
        handed: list[Any] = []
        running: list[Any] = []
        for request in requests:
            if len(running) >= free:
                _, running = ray.wait(running, num_returns=1)
            handed.append(task.remote(request))
            running.append(handed[-1])
        for one in handed:
            built: PartBuilt = content(_got(ray, one, "a task that built a part"))
            yield built


class _Actor:
    """A ``PartHost`` that loads its index in the actor, so that an error of loading is an answer, too."""

    def __init__(self, folder: str, verify: Verify, mmap: bool) -> None:
        self._opened = answered(lambda: PartHost.open(folder, verify, mmap))

    def answer(self, verb: str, given: Mapping[str, Any]) -> Answer:
        host = self._opened.get("answer")
        if not isinstance(host, PartHost):
            return self._opened
        return host.answer(verb, given)


def _built(request: PartRequest) -> Answer:
    return answered(lambda: build_part(request))


def _asking(ray: Any, actor: Any) -> Ask:
    return lambda verb, given: _got(ray, actor.answer.remote(verb, dict(given)), "the actor of a part")


def _got(ray: Any, reference: Any, what: str) -> Answer:
    try:
        answer: Answer = ray.get(reference)
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()
        raise PartError(
            f"{what} was lost: {reason[0] if reason else type(error).__name__}", remedy="open or build the index again"
        ) from error
    return answer


def _free_cpus(ray: Any) -> int:
    """The CPUs of Ray but one."""
    cpus = int(ray.cluster_resources().get("CPU", 0))
    if cpus < LEAST:
        raise SettingError(f"Ray with {cpus} CPU", expected=f"at least {LEAST}", remedy="use open_in_processes")
    return cpus - 1


def _share(free: int, parts: int) -> float:
    """The CPUs that each actor holds, so that all of them together leave one free."""
    return min(1.0, free * FINEST // parts / FINEST)

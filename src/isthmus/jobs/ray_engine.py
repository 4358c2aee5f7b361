"""Parts answered by Ray Data, on this machine or on a cluster with a shared file system. This is the only file of jobs
that imports Ray, from the extra ``ray``."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from isthmus.errors import MissingLibraryError, SettingError
from isthmus.jobs.part import Part
from isthmus.jobs.work import Outcome, Question, Told, answered

STORE_BYTES = 200_000_000
"""Shared memory of a Ray that is started here; parts go through files, so that little is needed."""

BLOCK_BYTES = 1 << 20

SETTINGS = {
    # Ray tells its makers how it is used, unless told otherwise.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Workers are polite by default, so that on a busy machine they would hardly begin.
    "RAY_worker_niceness": "0",
    # With clusters switched off, Ray binds to loopback; an address given to ray.init is resolved to a public one.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
"""Of a Ray that is started here; read by Ray when it is imported."""

LEAST = 2
"""CPUs: what holds all of them leaves none for what feeds it, and the job would wait for ever."""


def ray_data(question: Question, parts: Sequence[Part], workers: int | None, told: Told) -> None:
    """Answer parts in tasks of Ray Data; each of its processes loads the bundle once.

    A running Ray is used, or the one of the environment variable ``RAY_ADDRESS``; otherwise one is started for this
    machine, bound to loopback and without a dashboard, and stopped afterwards.

    Args:
        question: what is asked.
        parts: which are to be answered.
        workers: tasks at a time; None for all CPUs but one.
        told: receives what became of each part.

    Raises:
        MissingLibraryError: Ray is not installed.
        SettingError: fewer than two CPUs, or more workers than CPUs without one.
    """
    ray = _ray()
    own = not ray.is_initialized()
    if own:
        _start(ray, workers)
    try:
        size = _tasks(int(ray.cluster_resources().get("CPU", 0)), workers, len(parts))
        rows = [{**asdict(part), "question": json.dumps(asdict(question))} for part in parts]
        asked = ray.data.from_items(rows, override_num_blocks=len(rows))
        # Tasks, whose processes keep the bundle, and not actors: those would hold their CPUs for the whole job.
        made = asked.map(_answer, num_cpus=1, concurrency=size)
        for row in made.iter_rows():
            told(Outcome(_part(row), int(row["rows"]), str(row["failed"])))
    finally:
        if own:
            ray.shutdown()


def _answer(row: dict[str, Any]) -> dict[str, Any]:
    question, part = Question(**json.loads(row.pop("question"))), _part(row)
    found = answered(question, part)
    return {**asdict(part), "rows": found.rows, "failed": found.failed}


def _part(row: dict[str, Any]) -> Part:
    return Part(str(row["source"]), int(row["start"]), int(row["stop"]), str(row["target"]), str(row["stamp"]))


def _start(ray: Any, workers: int | None) -> None:
    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=False)
        return
    ray.init(
        address="local",
        num_cpus=max(LEAST, os.cpu_count() or LEAST) if workers is None else workers + 1,
        include_dashboard=False,
        object_store_memory=STORE_BYTES,
        log_to_driver=False,
    )


def _tasks(cpus: int, workers: int | None, parts: int) -> int:
    """How many tasks there may be at a time: one CPU stays free."""
    if cpus < LEAST:
        raise SettingError(f"Ray with {cpus} CPU", expected=f"at least {LEAST}", remedy="use the engine local")
    if workers is not None and workers > cpus - 1:
        raise SettingError(f"{workers} workers on {cpus} CPUs", expected=f"at most {cpus - 1}, as one stays free")
    return min(workers or cpus - 1, parts)


def _ray() -> Any:
    if not os.environ.get("RAY_ADDRESS"):
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingLibraryError("the engine ray needs Ray", remedy='pip install "isthmus[ray]"') from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # Rows are the names of parts. With the usual size, Ray reserves more than the shared memory that is asked for.
    context.target_max_block_size = BLOCK_BYTES
    return ray

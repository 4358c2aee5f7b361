"""Parts answered by Ray Data, on this machine or on a cluster with a shared file system. From the extra ``ray``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from isthmus.errors import MissingLibraryError, SettingError
from isthmus.jobs.part import Part
from isthmus.jobs.work import Outcome, Question, Told, answered
from isthmus.machine.ray_here import LEAST, started

BLOCK_BYTES = 1 << 20
"""Rows are the names of parts. With blocks of the usual size, Ray reserves more shared memory than it has here."""


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
    with started(None if workers is None else workers + 1) as ray:
        data = _data()
        size = _tasks(int(ray.cluster_resources().get("CPU", 0)), workers, len(parts))
        rows = [{**asdict(part), "question": json.dumps(asdict(question))} for part in parts]
        asked = data.from_items(rows, override_num_blocks=len(rows))
        # Tasks, whose processes keep the bundle, and not actors: those would hold their CPUs for the whole job.
        made = asked.map(_answer, num_cpus=1, concurrency=size)
        for row in made.iter_rows():
            told(Outcome(_part(row), int(row["rows"]), str(row["failed"])))


def _answer(row: dict[str, Any]) -> dict[str, Any]:
    question, part = Question(**json.loads(row.pop("question"))), _part(row)
    found = answered(question, part)
    return {**asdict(part), "rows": found.rows, "failed": found.failed}


def _part(row: dict[str, Any]) -> Part:
    return Part(str(row["source"]), int(row["start"]), int(row["stop"]), str(row["target"]), str(row["stamp"]))


def _tasks(cpus: int, workers: int | None, parts: int) -> int:
    """How many tasks there may be at a time: one CPU stays free."""
    if cpus < LEAST:
        raise SettingError(f"Ray with {cpus} CPU", expected=f"at least {LEAST}", remedy="use the engine local")
    if workers is not None and workers > cpus - 1:
        raise SettingError(f"{workers} workers on {cpus} CPUs", expected=f"at most {cpus - 1}, as one stays free")
    return min(workers or cpus - 1, parts)


def _data() -> Any:
    try:
        import ray.data as data
    except ImportError as error:
        raise MissingLibraryError("the engine ray needs Ray Data", remedy='pip install "isthmus[ray]"') from error
    context = data.DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = BLOCK_BYTES
    return data

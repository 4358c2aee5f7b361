"""A job: the input cut into parts, answered by an engine, and the manifest when all are there."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.bundle.manifest import peek
from isthmus.checked.arguments import path_of
from isthmus.errors import SettingError
from isthmus.jobs import parts as folder
from isthmus.jobs.work import Engine, Outcome, Question, failure
from isthmus.reprs import counted

logger = logging.getLogger(__name__)

ENGINES = ("local", "torchrun", "ray")


@dataclass(frozen=True)
class Done:
    """A job that is whole.

    Attributes:
        path: the folder of the answers.
        parts: their number.
        rows: of all answers.
        done: parts that this call answered; the others were there.
    """

    path: Path
    parts: int
    rows: int
    done: int


def run(
    bundle: str | Path,
    source: Any,
    out: str | Path,
    task: str = "recommend",
    *,
    engine: str = "local",
    workers: int | None = None,
    rows: int = folder.ROWS,
    told: Callable[[str], None] = logger.info,
    **options: Any,
) -> Done:
    """Answer all rows of Parquet files. Parts that are there, whole and up to date are not done again.

    Args:
        bundle: a saved model.
        source: a Parquet file, a folder of them, a pattern such as ``users/*.parquet``, or a list of these.
        out: the folder of the answers, which is made, or continued after an interruption.
        task: ``recommend`` and ``score`` for recommenders, ``encode`` and ``anomalies`` for other models.
        engine: ``local`` for processes of this machine, ``torchrun`` in processes that torchrun started, or ``ray``.
            With several machines, bundle, input and output are on a file system that all of them see.
        workers: how many parts are answered at a time; by default one a core, with Ray all CPUs but one.
        rows: of a part at most.
        told: receives a line about each part.
        options: of the task: ``k``, ``exclude_seen`` and ``calibrated`` for ``recommend``, ``items`` for ``score``,
            ``column`` and ``copy`` for ``encode`` and ``anomalies``.

    Returns:
        How many parts and rows there are now. With torchrun, every process returns the same.

    Raises:
        JobError: parts failed; the message names the input of the first one, and the others are whole.
        InputError: an input without rows, or a folder that holds something else.
        SettingError: no such engine or task, or an option that the task does not have.
        BundleError: no bundle.
        MissingLibraryError: the engine is not installed.
    """
    call = _engine(engine)
    peek(bundle)
    place = Path(os.path.realpath(path_of("out", out)))
    files = folder.files_of(source)
    whole = folder.parts_of(bundle, files, place, task, options, rows)
    folder.prepare(place, whole)
    todo = folder.missing(whole)
    if len(todo) < len(whole):
        told(f"{counted(len(whole) - len(todo), 'part')} of {len(whole):,} are there already")
    failed: list[Outcome] = []

    def take(outcome: Outcome) -> None:
        if outcome.failed:
            failed.append(outcome)
        what = f"failed: {outcome.failed}" if outcome.failed else counted(outcome.rows, "row")
        told(f"{outcome.part.name}: {what}")

    if todo:
        call(Question(str(bundle), task, options), todo, workers, take)
    left = folder.missing(whole)
    if left:
        known = {outcome.part.target: outcome for outcome in failed}
        said = [known.get(part.target, Outcome(part, failed="another process failed")) for part in left]
        with contextlib.suppress(OSError):
            place.rmdir()  # if nothing is there
        raise failure(said, len(whole) - len(left))
    return Done(place, len(whole), folder.finish(bundle, place, whole, task, options), len(todo))


def _engine(name: str) -> Engine:
    """An engine by its name; its packages are imported here."""
    if name == "local":
        from isthmus.jobs.local import processes

        return processes
    if name == "torchrun":
        from isthmus.jobs.torchrun import place, ranks

        place()
        return ranks
    if name == "ray":
        from isthmus.jobs.ray_engine import ray_data

        return ray_data
    raise SettingError(f"engine {name!r}", expected=f"one of {', '.join(ENGINES)}")

"""The work that every engine has in common: answer a part of a job, or record why it failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from isthmus.errors import JobError
from isthmus.jobs.part import Options, Part, answer_part
from isthmus.reprs import counted


@dataclass(frozen=True)
class Question:
    """The question that a job puts to each of its parts.

    Attributes:
        bundle: path of a saved model.
        task: name of the task.
        options: options of the task.
    """

    bundle: str
    task: str
    options: Options


@dataclass(frozen=True)
class Outcome:
    """The result of one part.

    Attributes:
        part: the part.
        rows: number of rows in its answer.
        failed: the error message if there is no answer, else empty.
    """

    part: Part
    rows: int = 0
    failed: str = ""


Told = Callable[[Outcome], None]
"""Called with the outcome of each part as soon as it is known."""

Engine = Callable[[Question, Sequence[Part], int | None, Told], None]
"""Answers parts: takes the question, the parts, how many run at a time (None: as many as there are cores or workers),
and the callback for outcomes."""


def answered(question: Question, part: Part) -> Outcome:
    """Answer one part. Errors are returned in the outcome; only what ends the process, such as Ctrl-C, is raised."""
    try:
        rows = (part.start, part.stop)
        done = answer_part(
            question.bundle,
            part.source,
            part.target,
            question.task,
            rows=rows,
            stamp=part.stamp,
            **question.options,
        )
        return Outcome(part, done)
    except Exception as error:
        return Outcome(part, failed=f"{type(error).__name__}: {error}")


def failure(failed: Sequence[Outcome], done: int) -> JobError:
    """The error for a job some of whose parts failed; the parts that are complete are kept."""
    first = failed[0]
    counts = f"{counted(len(failed), 'part')} failed, and {counted(done, 'part')} are complete"
    return JobError(
        f"{counts}; {first.part.name}: {first.failed}",
        remedy="the same call computes only what is missing",
    )

"""What every engine does with a part: answer it, or say why it failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from isthmus.errors import JobError
from isthmus.jobs.part import Options, Part, answer_part
from isthmus.reprs import counted


@dataclass(frozen=True)
class Question:
    """What is asked of every part.

    Attributes:
        bundle: a saved model.
        task: what is asked.
        options: of the task.
    """

    bundle: str
    task: str
    options: Options


@dataclass(frozen=True)
class Outcome:
    """What became of a part.

    Attributes:
        part: which one.
        rows: of its answer.
        failed: why there is none; empty if there is.
    """

    part: Part
    rows: int = 0
    failed: str = ""


Told = Callable[[Outcome], None]


Engine = Callable[[Question, Sequence[Part], int | None, Told], None]
"""Has parts answered: the question, the parts, how many at a time (None for what there is), and who is told of each."""


def answered(question: Question, part: Part) -> Outcome:
    """The outcome of one part. Nothing is raised except what ends the process."""
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
    """The error for a job of which parts failed; those that are whole stay."""
    first = failed[0]
    counts = f"{counted(len(failed), 'part')} failed, and {counted(done, 'part')} are there"
    return JobError(
        f"{counts}; {first.part.name}: {first.failed}",
        remedy="the same call does what is missing",
    )

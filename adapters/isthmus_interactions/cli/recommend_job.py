"""``isthmus recommend --engine``: for all users of a file, part by part."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.cli.jobs.batch import document_of, page_of
from isthmus.cli.output import emit, status
from isthmus.errors import InputError
from isthmus.jobs import run
from isthmus_interactions.cli.documents import Filters
from isthmus_interactions.jobs.inputs import inputs_of
from isthmus_interactions.recommender import Recommender


@dataclass(frozen=True)
class Work:
    """What is asked of whom.

    Attributes:
        engine: local, torchrun or ray.
        workers: how many parts are answered at a time.
        k: items for each user.
        filters: further options of ``Recommender.recommend``.
    """

    engine: str
    workers: int | None
    k: int
    filters: Filters


def recommend_job(
    recommender: Recommender, directory: Path, users: Sequence[str], out: Path | None, work: Work, as_json: bool
) -> None:
    """Recommend for the users of files, and write a folder of Parquet files.

    Args:
        recommender: what was saved in ``directory``.
        directory: a saved recommender.
        users: ``all``, Parquet files of users or of events, or a store.
        out: the folder of the answers.
        work: what is asked of whom.
        as_json: whether to print a JSON document.

    Raises:
        InputError: no folder for the answers.
        JobError: parts failed.
    """
    if out is None:
        raise InputError("recommendations for a file of users need --out", expected="a folder for Parquet parts")
    place = Path(os.path.realpath(out))
    inputs = inputs_of(recommender.fitted, users, place, status)
    asked: dict[str, Any] = {"k": work.k, **{name: value for name, value in work.filters.items() if value is not None}}
    if inputs.histories is not None:
        asked["histories"] = inputs.histories
    source = list(inputs.files)
    done = run(directory, source, place, engine=work.engine, workers=work.workers, told=status, **asked)
    emit(document_of(done), as_json, lambda: page_of(done))

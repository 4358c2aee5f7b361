"""The input of a batch job: users of the training data, rows that name users, or events (stored first)."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from isthmus.disk import remove, written
from isthmus.errors import InputError
from isthmus.files import Told, told_in
from isthmus.jobs.parts import files_of
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.files.read import columns_of
from isthmus_interactions.files.read_like import remembered_columns
from isthmus_interactions.files.reading import ROLES, Reading
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.store.parts import parts_of
from isthmus_interactions.store.store import InteractionStore, is_store

USERS, HISTORIES, KEY = "_users.parquet", "_histories", "_inputs.json"
EVERYBODY = "all"


@dataclass(frozen=True)
class Inputs:
    """The rows of a job.

    Attributes:
        files: Parquet files with a row for each user.
        histories: the store that has their histories; None if the rows have them, or the training data.
    """

    files: Sequence[str]
    histories: str | None = None


def inputs_of(fitted: FittedRecommender, users: Sequence[str], out: Path, told: Callable[[str], None]) -> Inputs:
    """The rows of a job. Files that are derived from events or ids are kept in the folder of the answers.

    Args:
        fitted: the recommender.
        users: ``all``; Parquet files with a column ``user`` and perhaps ``history``; files of events; or a store.
        out: the folder of the answers.
        told: receives lines about the progress.

    Returns:
        Rows of users, and where their histories are.

    Raises:
        InputError: files that are neither, or that cannot be read.
    """
    if list(users) == [EVERYBODY]:
        return Inputs([_write_users(fitted.adapter.users, out)])
    if len(users) == 1 and is_store(users[0]):
        store = InteractionStore.open(users[0])
        return Inputs([_write_users(store.users, out)], os.path.realpath(users[0]))
    if _are_rows(users):
        return Inputs(files_of(list(users)))
    made = _stored(fitted, users, out, told)
    return Inputs([_write_users(made.users, out)], str(made.path))


def is_input(users: Sequence[str]) -> bool:
    """Whether the argument names files rather than ids."""
    return bool(users) and all(
        is_store(one) or (one.endswith((".parquet", ".pq")) and (os.path.exists(one) or glob.has_magic(one)))
        for one in users
    )


def _are_rows(users: Sequence[str]) -> bool:
    """Whether the first file has a row for each user."""
    path = next(iter(parts_of(list(users), None, Told(), Path())))
    if not path.name.endswith((".parquet", ".pq")):
        return False
    names = path.open().header
    return "history" in names or names == ["user"] or set(names) == {"user", "items"}


def _stored(
    fitted: FittedRecommender, users: Sequence[str], out: Path, told: Callable[[str], None]
) -> InteractionStore:
    """The store of the events; an existing one is reused."""
    parts = parts_of(list(users), None, told_in(fitted.facts.get("file", {})), out)
    reading = _reading(fitted, parts[0].open())
    said = json.dumps([[part.stamp for part in parts], dict(reading)], sort_keys=True)
    key, place = hashlib.sha256(said.encode()).hexdigest(), out / HISTORIES
    if (out / KEY).exists() and is_store(place) and json.loads((out / KEY).read_text())["key"] == key:
        return InteractionStore.open(place)
    out.mkdir(parents=True, exist_ok=True)
    remove(place)
    made = InteractionStore.create(list(users), place, told=told, **reading)
    (out / USERS).unlink(missing_ok=True)
    (out / KEY).write_text(json.dumps({"key": key}), encoding="utf-8")
    return made


def _reading(fitted: FittedRecommender, table: Any) -> Reading:
    """The reading options of the training, which also apply to these events."""
    facts, timed = fitted.facts, fitted.histories is not None and fitted.histories.times is not None
    columns = remembered_columns(table.header, facts.get("columns", {}), {})
    if not timed:
        columns["time"] = ""
    found = columns_of(table, **{role: columns.get(role) for role in ROLES})
    keep = "all" if found.value is None else str(facts.get("keep", "all"))
    reading: Reading = {**columns, "keep": keep, "weights": facts.get("weights", "binary")}  # type: ignore[typeddict-item]
    return {**reading, "ordered": fitted.histories is not None, **told_in(facts.get("file", {})).said()}  # type: ignore[typeddict-item]


def _write_users(users: Vocabulary, out: Path) -> str:
    """A file with a row for each of some users; one that says the same stays, so that its parts count as done."""
    if os.path.lexists(out) and not out.is_dir():
        raise InputError(f"{str(out)!r} is no folder", expected="a folder for the parts")
    out.mkdir(parents=True, exist_ok=True)
    path, table = out / USERS, pa.table({"user": pa.array(users.ids.tolist())})
    if not path.exists() or not pq.read_table(path).equals(table):
        with written(path) as file:
            pq.write_table(table, file)
    return str(path)

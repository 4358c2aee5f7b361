"""Recommendations for many users, streamed to a Parquet file."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from isthmus.answers import Answers, id_type
from isthmus.errors import InputError
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.adapter import InteractionsAdapter
from isthmus_interactions.recommend.answers import Answer
from isthmus_interactions.recommend.histories import GivenId

USERS_AT_A_TIME = 2048
"""Asked about at a time, and a row group of the file."""


def check_place(path: Path) -> None:
    """Ask before long work whether a file could be written there; an older file is replaced.

    Raises:
        InputError: a directory stands at that place, or there is none to hold the file.
    """
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a directory", expected="the name of a file", remedy="add recs.parquet")
    if not path.absolute().parent.is_dir():
        raise InputError(f"no directory {str(path.parent)!r}", expected="one that exists", remedy="make it first")


def write(
    path: Path,
    users: Iterable[GivenId],
    adapter: InteractionsAdapter,
    ask: Callable[[Sequence[GivenId]], Answers[Answer]],
) -> int:
    """Ask in blocks and write user, rank (from 1), item and score. The file appears whole or not at all.

    Args:
        path: of the Parquet file.
        users: ids, in the order of the rows.
        adapter: for the types of ids.
        ask: answers for some users.

    Returns:
        The number of rows.

    Raises:
        InputError: a directory stands at that place, or there is none to hold the file.
    """
    check_place(path)
    schema = pa.schema(
        [("user", _type(adapter.users)), ("rank", pa.int32()), ("item", _type(adapter.items)), ("score", pa.float32())]
    )
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}.partial")
    rows, remaining = 0, iter(users)
    try:
        with pq.ParquetWriter(partial, schema) as writer:
            while some := list(islice(remaining, USERS_AT_A_TIME)):
                table = _table(some, ask(some), schema)
                writer.write_table(table)
                rows += len(table)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return rows


def _table(users: Sequence[GivenId], answers: Iterable[Answer], schema: pa.Schema) -> pa.Table:
    columns = {
        "user": [user for user, answer in zip(users, answers, strict=True) for _ in answer.ids],
        "rank": [rank for answer in answers for rank in range(1, len(answer) + 1)],
        "item": [id_ for answer in answers for id_ in answer.ids],
        "score": [score for answer in answers for score in answer.scores],
    }
    return pa.table(columns, schema=schema)


def _type(vocabulary: Vocabulary) -> pa.DataType:
    return pa.string() if vocabulary.kind == "string" else id_type(vocabulary.kind)

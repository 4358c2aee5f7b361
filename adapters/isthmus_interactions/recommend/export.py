"""Recommendations for many users, written to a Parquet file in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from isthmus.answers import Answers, id_type
from isthmus.disk import written
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.adapter import InteractionsAdapter
from isthmus_interactions.recommend.answers import Answer
from isthmus_interactions.recommend.histories import GivenId

USERS_AT_A_TIME = 2048
"""Number of users per block, and per row group of the file."""


def write(
    path: Path,
    users: Iterable[GivenId],
    adapter: InteractionsAdapter,
    ask: Callable[[Sequence[GivenId]], Answers[Answer]],
    *,
    calibrated: bool = False,
) -> int:
    """Recommend in blocks and write the columns user, rank (from 1), item, score and, if requested, chance. The file is
    written completely or not at all.

    Args:
        path: path of the Parquet file.
        users: ids, in the order of the rows.
        adapter: determines the types of the ids.
        ask: recommends for some users.
        calibrated: whether the answers have chances.

    Returns:
        The number of rows.

    Raises:
        InputError: the path is a directory, or its parent directory does not exist.
        OSError: for example, the disk is full; an older file is kept.
    """
    schema = _schema(_type(adapter.users), adapter, calibrated)
    rows, remaining = 0, iter(users)
    with written(path) as file, pq.ParquetWriter(file, schema) as writer:
        while some := list(islice(remaining, USERS_AT_A_TIME)):
            table = _table(some, ask(some), schema)
            writer.write_table(table)
            rows += len(table)
    return rows


def answers_table(
    users: Sequence[GivenId],
    answers: Answers[Answer],
    adapter: InteractionsAdapter,
    kind: pa.DataType,
    calibrated: bool,
) -> pa.Table:
    """Answers as rows.

    Args:
        users: an id for each answer.
        answers: the recommendations.
        adapter: determines the type of the items.
        kind: the type of the users.
        calibrated: whether the answers have chances.

    Returns:
        Columns user, rank (from 1), item, score (higher is better) and perhaps chance.
    """
    return _table(users, answers, _schema(kind, adapter, calibrated))


def _schema(users: pa.DataType, adapter: InteractionsAdapter, calibrated: bool) -> pa.Schema:
    fields = [("user", users), ("rank", pa.int32()), ("item", _type(adapter.items)), ("score", pa.float32())]
    return pa.schema([*fields, *([("chance", pa.float32())] if calibrated else [])])


def _table(users: Sequence[GivenId], answers: Iterable[Answer], schema: pa.Schema) -> pa.Table:
    columns = {
        "user": [user for user, answer in zip(users, answers, strict=True) for _ in answer.ids],
        "rank": [rank for answer in answers for rank in range(1, len(answer) + 1)],
        "item": [id_ for answer in answers for id_ in answer.ids],
        "score": [score for answer in answers for score in answer.scores],
        "chance": [chance for answer in answers for chance in answer.chances or []],
    }
    return pa.table({name: columns[name] for name in schema.names}, schema=schema)


def _type(vocabulary: Vocabulary) -> pa.DataType:
    return pa.string() if vocabulary.kind == "string" else id_type(vocabulary.kind)

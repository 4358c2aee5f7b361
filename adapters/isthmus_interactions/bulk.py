"""Recommendations for everybody, streamed to a Parquet file."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from isthmus.vocabulary import Id, Vocabulary
from isthmus_interactions.adapter import InteractionsAdapter
from isthmus_interactions.answers import Answer

PEOPLE = 2048
"""Asked about at a time, and a row group of the file."""


def write(
    path: Path, users: Iterable[Id], adapter: InteractionsAdapter, ask: Callable[[Sequence[Id]], list[Answer]]
) -> int:
    """Ask in blocks and write user, rank, item and score; returns the number of rows. The file appears whole or not."""
    schema = pa.schema(
        [("user", _type(adapter.users)), ("rank", pa.int32()), ("item", _type(adapter.items)), ("score", pa.float32())]
    )
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}.partial")
    rows, remaining = 0, iter(users)
    try:
        with pq.ParquetWriter(partial, schema) as writer:
            while some := list(islice(remaining, PEOPLE)):
                table = _table(some, ask(some), schema)
                writer.write_table(table)
                rows += len(table)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return rows


def _table(users: Sequence[Id], answers: Sequence[Answer], schema: pa.Schema) -> pa.Table:
    columns = {
        "user": [user for user, answer in zip(users, answers, strict=True) for _ in answer.ids],
        "rank": [rank for answer in answers for rank in range(1, len(answer) + 1)],
        "item": [id_ for answer in answers for id_ in answer.ids],
        "score": [score for answer in answers for score in answer.scores],
    }
    return pa.table(columns, schema=schema)


def _type(vocabulary: Vocabulary) -> pa.DataType:
    return pa.int64() if vocabulary.kind == "int64" else pa.string()

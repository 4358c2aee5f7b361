"""What a recommender answers for the rows of a table, a row for each user; see ``isthmus.jobs``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from isthmus.answers import id_type
from isthmus.errors import ColumnError, SettingError
from isthmus.jobs.tasks import Options, PartTask, check_options, column_of
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.files.report import Report
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.recommend.export import USERS_AT_A_TIME, answers_table
from isthmus_interactions.recommend.histories import Histories
from isthmus_interactions.store.store import InteractionStore

ASKED = ("k", "exclude_seen", "exclude", "allow", "diversity", "calibrated")
"""Options of ``Recommender.recommend``."""

SCORES_AT_A_TIME = 256
"""Users whose items are scored together where each has items of their own."""


def recommend(face: Any, table: pa.Table, options: Options) -> pa.Table:
    """The best items of each user.

    Args:
        face: a recommender.
        table: a column ``user`` and, unless they are users of the training data, a column ``history`` of lists of
            items, oldest first, perhaps with lists of times in ``time``; or option ``histories``.
        options: those of ``Recommender.recommend``; ``histories``, the path of a store that has the histories.

    Returns:
        Columns ``user``, ``rank`` (from 1), ``item``, ``score`` (higher is better) and, if asked for, ``chance``.

    Raises:
        ColumnError: no column of users.
        UnknownIdError: a user without a history who is not in the training data, or not in the store.
    """
    check_options(options, (*ASKED, "histories"))
    asked = {name: options[name] for name in ASKED if name in options}
    calibrated = bool(asked.get("calibrated", False))
    parts = []
    for some in _blocks(table, USERS_AT_A_TIME):
        users, histories = column_of(some, "user").to_pylist(), _histories(face.fitted, some, options)
        answers = face.recommend_users(users, **asked) if histories is None else face.recommend(histories, **asked)
        parts.append(answers_table(users, answers, face.adapter, table.schema.field("user").type, calibrated))
    return pa.concat_tables(parts)


def score(face: Any, table: pa.Table, options: Options) -> pa.Table:
    """Scores of given items for each user.

    Args:
        face: a recommender.
        table: as for ``recommend``; a column ``items`` of lists, unless the option says which items.
        options: ``items``, the same ones for all users; ``histories``, as for ``recommend``.

    Returns:
        Columns ``user``, ``item`` and ``score``; higher is better, and -inf for items that are not in the catalogue.

    Raises:
        ColumnError: no column of users, or no items.
        UnknownIdError: as for ``recommend``.
    """
    check_options(options, ("items", "histories"))
    given, parts = options.get("items"), []
    for some in _blocks(table, USERS_AT_A_TIME if given else SCORES_AT_A_TIME):
        users = column_of(some, "user").to_pylist()
        wanted = [list(given)] * len(users) if given else [list(one or ()) for one in _items(some)]
        histories = _histories(face.fitted, some, options)
        histories = _of_training(face.fitted, users) if histories is None else histories
        candidates = list(dict.fromkeys(item for items in wanted for item in items))
        scores = face.score(histories, candidates)
        place = {item: column for column, item in enumerate(candidates)}
        rows = np.repeat(np.arange(len(users)), [len(items) for items in wanted])
        items = [item for one in wanted for item in one]
        columns = np.array([place[item] for item in items], dtype=np.int64)
        kind = _kind(face.adapter.items)
        held = [face.adapter.items.held(item) for item in items]
        named = column_of(some, "user").combine_chunks().take(pa.array(rows))
        fields = {"user": named, "item": pa.array(held, kind), "score": pa.array(scores[rows, columns], pa.float32())}
        parts.append(pa.table(fields))
    return pa.concat_tables(parts)


PART_TASKS: Mapping[str, PartTask] = {"recommend": recommend, "score": score}


def _kind(vocabulary: Vocabulary) -> pa.DataType:
    return pa.string() if vocabulary.kind == "string" else id_type(vocabulary.kind)


def _blocks(table: pa.Table, size: int) -> Iterator[pa.Table]:
    for start in range(0, max(1, len(table)), size):
        yield table.slice(start, size)


def _items(table: pa.Table) -> list[Any]:
    if "items" not in table.column_names:
        raise ColumnError("no items to score", expected="a column of lists 'items', or the option items")
    found: list[Any] = column_of(table, "items").to_pylist()
    return found


def _histories(fitted: FittedRecommender, table: pa.Table, options: Options) -> Histories | None:
    """The histories of the rows; None for users of the training data."""
    path = options.get("histories")
    if path is not None:
        if "history" in table.column_names:
            raise SettingError("a column 'history' and the option histories", expected="one of them")
        stored = _stored(str(path))
        return stored.select_users(stored.users.rows(column_of(table, "user").to_pylist()))
    if "history" not in table.column_names:
        return None
    histories = column_of(table, "history").to_pylist()
    if "time" not in table.column_names:
        return [list(one or ()) for one in histories]
    times = column_of(table, "time").to_pylist()
    return [_timed(one or (), when or (), row) for row, (one, when) in enumerate(zip(histories, times, strict=True))]


def _timed(items: Sequence[Any], times: Sequence[Any], row: int) -> list[Any]:
    if len(items) != len(times):
        raise ColumnError(
            f"row {row + 1} has {len(items)} items in 'history' and {len(times)} times in 'time'", expected="as many"
        )
    return list(zip(items, times, strict=True))


def _of_training(fitted: FittedRecommender, users: Sequence[Any]) -> Interactions:
    """The interactions of users of the training data."""
    known, adapter = fitted.interactions, fitted.adapter
    whole = Interactions(adapter.users, adapter.items, known, fitted.histories, Report(int(known.nnz)))
    return whole.select_users(fitted.adapter.users.rows(users))


@lru_cache(maxsize=1)
def _stored(path: str) -> Interactions:
    return Interactions.read(InteractionStore.open(path))

"""The tasks of batch jobs: results of a model for the rows of a table. Faces may have their own tasks
(``part_tasks``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from isthmus.errors import ColumnError, SettingError

Options = Mapping[str, Any]
PartTask = Callable[[Any, pa.Table, Options], pa.Table]
"""A function from a face, some rows and the options of a task to the rows of the result."""


def task_of(face: Any, name: str) -> Callable[[pa.Table, Options], pa.Table]:
    """A task of a model.

    Raises:
        SettingError: the model does not have it; the message lists those that it has.
    """
    having = tasks_of(face)
    if name not in having:
        raise SettingError(
            f"task {name!r} for a {type(face).__name__}", expected=f"one of {', '.join(sorted(having)) or '(none)'}"
        )
    return partial(having[name], face)


def tasks_of(face: Any) -> dict[str, PartTask]:
    """All tasks of a model, by name."""
    own: dict[str, PartTask] = dict(getattr(face, "part_tasks", {}))
    general = {"encode": ("encode", encode), "anomalies": ("anomaly_scores", anomalies)}
    return {name: task for name, (method, task) in general.items() if hasattr(face, method)} | own


def encode(face: Any, table: pa.Table, options: Options) -> pa.Table:
    """A code for each row.

    Args:
        face: a model with codes.
        table: the rows.
        options: ``column``, if the records are in one column, such as texts; ``copy``, columns that are copied.

    Returns:
        The copied columns, and ``code``, a list of float32 of one length.
    """
    check_options(options, ("column", "copy"))
    codes = np.ascontiguousarray(face.encode(_records(table, options)), dtype=np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(codes.ravel()), codes.shape[1])
    return _copied(table, options).append_column("code", column)


def anomalies(face: Any, table: pa.Table, options: Options) -> pa.Table:
    """An anomaly score for each row.

    Args:
        face: a model with anomaly scores.
        table: the rows.
        options: as for ``encode``.

    Returns:
        The copied columns, ``score`` (higher is more anomalous), ``p`` (lower is more anomalous) and ``anomaly``,
        whether the score is above the threshold.
    """
    check_options(options, ("column", "copy"))
    records = _records(table, options)
    scores = np.asarray(face.anomaly_scores(records), dtype=np.float64)
    found = _copied(table, options).append_column("score", pa.array(scores))
    if hasattr(face, "anomaly_p_values"):
        found = found.append_column("p", pa.array(np.asarray(face.anomaly_p_values(scores), dtype=np.float64)))
    return found.append_column("anomaly", pa.array(np.asarray(face.is_anomaly(records), dtype=bool)))


def check_options(options: Options, known: Sequence[str]) -> None:
    """Check that a task has all given options. Raises SettingError."""
    odd = [name for name in options if name not in known]
    if odd:
        raise SettingError(f"option {odd[0]!r}", expected=f"one of {', '.join(known)}")


def column_of(table: pa.Table, name: str) -> pa.ChunkedArray:
    """A column of a table.

    Raises:
        ColumnError: there is no column of that name, or several.
    """
    if table.column_names.count(name) != 1:
        raise ColumnError(
            f"{table.column_names.count(name) or 'no'} column {name!r} among {', '.join(table.column_names[:30])}",
            expected="exactly one",
        )
    return table.column(name)


def _records(table: pa.Table, options: Options) -> Any:
    name = options.get("column")
    return table if name is None else column_of(table, name).to_pylist()


def _copied(table: pa.Table, options: Options) -> pa.Table:
    """The columns to copy, in a table of as many rows."""
    names = options.get("copy") or ()
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        column_of(table, name)
    return table.select(names) if names else pa.table({"row": pa.array(range(len(table)), pa.int64())}).select([])

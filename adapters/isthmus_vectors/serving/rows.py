"""Rows of a request as a model reads them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from isthmus.errors import BudgetError, InputError, IsthmusError
from isthmus_vectors.serving.requests import MOST_ROWS, OfRows

T = TypeVar("T")

NAME = "rows.csv"


def asked(request: OfRows, ask: Callable[[Any], T]) -> T:
    """Ask a model about the rows of a request.

    Args:
        request: has rows in one of three forms.
        ask: a method of the model that takes what ``Vectors.read`` takes.

    Returns:
        What the method returns.

    Raises:
        InputError: rows that cannot be read.
        BudgetError: a table of too many rows.
    """
    if request.csv is not None:
        return _of_csv(request.csv, ask)
    if request.rows is not None:
        return ask(_table(request.rows))
    return ask(_matrix(request.vectors or []))


def _matrix(vectors: list[list[float]]) -> Any:
    widths = {len(row) for row in vectors}
    if len(widths) > 1:
        raise InputError(f"rows of {min(widths)} and of {max(widths)} numbers", expected="rows of one length")
    return np.array(vectors, dtype=np.float64)


def _table(rows: list[Any]) -> Any:
    try:
        return pa.Table.from_pylist(rows)
    except (pa.ArrowException, OverflowError) as error:
        raise InputError(f"rows that are no table ({str(error)[:100]})", expected="one type in each column") from None


def _of_csv(text: str, ask: Callable[[Any], T]) -> T:
    """The table is read as a file is on the command line, with its separator found out."""
    if text.count("\n") > MOST_ROWS:
        raise BudgetError(f"a table of {text.count(chr(10)):,} lines", expected=f"at most {MOST_ROWS:,}")
    with tempfile.TemporaryDirectory(prefix="isthmus-") as folder:
        path = Path(folder) / NAME
        path.write_bytes(text.encode("utf-8"))
        try:
            return ask(path)
        except IsthmusError as error:
            said = [part.replace(str(path), "the table") for part in (error.given, error.expected, error.remedy)]
            raise InputError(said[0], expected=said[1], remedy=said[2]) from None

"""Reads a column of values (ratings or amounts), batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.errors import ColumnError, ValueRangeError
from isthmus_interactions.files.growing_array import Growing, GrowingArray
from isthmus_interactions.files.threshold import Levels, widen

Values = npt.NDArray[np.float32]

Where = Callable[[int, str], str]
"""A function that names a row, counted from 0, and a column in messages."""

_IGNORED = {
    "remedy": "correct or remove such rows, or ignore the column with value=''",
    "option": "correct or remove such rows, or ignore the column with --value ''",
}


@dataclass(frozen=True)
class TakenValues:
    """All values of a column.

    Attributes:
        numbers: finite values, one for each kept row.
        levels: the distinct values, ascending; None for more than ``threshold.MOST_LEVELS``.
        negative: the first row with a value below 0, for messages.
    """

    numbers: Values | None
    levels: Levels | None
    negative: str | None


class ValueColumn:
    """The values of one column as they are read.

    Args:
        name: name of the column.
        where: names a row for messages.
        kept: container for the values.
    """

    def __init__(self, name: str, where: Where, kept: Growing | None = None) -> None:
        self._name, self._where = name, where
        self._values: Growing = GrowingArray() if kept is None else kept
        self._levels: Levels | None = np.empty(0, np.float32)
        self._negative: str | None = None

    def add(self, column: pa.Array, complete: npt.NDArray[np.bool_] | None, before: int) -> None:
        """Append a batch.

        Args:
            column: numbers, or texts of numbers.
            complete: which rows are kept; None for all.
            before: rows read before.

        Raises:
            ColumnError: a type that is not numeric.
            ValueRangeError: a value that is missing or not finite.
        """
        values = self._numbers(column, before)
        bad = ~np.isfinite(values) if complete is None else ~np.isfinite(values) & complete
        if bad.any():
            row = int(np.argmax(bad))
            found = column[row].as_py()
            raise ValueRangeError(
                f"{self._where(before + row, self._name)} holds {'nothing' if _is_nothing(found) else found}",
                expected="a value in every row, none missing and none infinite",
                **_IGNORED,
            )
        below = values < 0
        if self._negative is None and below.any():
            row = int(np.argmax(below))
            self._negative = f"{self._where(before + row, self._name)} holds {column[row].as_py()}"
        values = values if complete is None else values[complete]
        self._values.add(values)
        self._levels = widen(self._levels, values)

    def state(self) -> dict[str, Any]:
        """The state without the values, as JSON."""
        return {
            "levels": None if self._levels is None else self._levels.astype(np.float64).tolist(),
            "negative": self._negative,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """The inverse of ``state``, for a column whose values are stored elsewhere."""
        levels = state["levels"]
        self._levels = None if levels is None else np.asarray(levels, np.float32)
        self._negative = state["negative"]

    def taken(self) -> TakenValues:
        """All values; this object is empty afterwards."""
        return TakenValues(self._values.take_array(), self._levels, self._negative)

    def _numbers(self, column: pa.Array, before: int) -> Values:
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        kind: Any = column.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            column = self._parsed(column.cast(pa.large_string()), before)
        elif pa.types.is_decimal(kind):
            column = column.cast(pa.float64())
        elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or _is_bare(kind)):
            raise ColumnError(
                f"column {self._name!r} of type {kind}",
                expected="numbers",
                remedy="value='' ignores the column",
                option="--value '' ignores the column",
            )
        with np.errstate(over="ignore"):
            numbers: Values = column.cast(pa.float32(), safe=False).to_numpy(zero_copy_only=False).astype(np.float32)
        return numbers

    def _parsed(self, texts: pa.Array, before: int) -> pa.Array:
        """Parse texts as numbers; missing values become null."""
        texts = pc.utf8_trim_whitespace(texts)
        texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, texts.type), texts)
        try:
            return texts.cast(pa.float64())
        except pa.ArrowInvalid:
            number = r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"
            known = pc.fill_null(pc.match_substring_regex(texts, number), True)
            row = int(np.argmin(known.to_numpy(zero_copy_only=False)))
            raise ValueRangeError(
                f"{self._where(before + row, self._name)} holds {texts[row].as_py()!r}",
                expected="a number in every row",
                **_IGNORED,
            ) from None


def _is_bare(kind: pa.DataType) -> bool:
    return bool(pa.types.is_boolean(kind) or pa.types.is_null(kind))


def _is_nothing(found: Any) -> bool:
    return found is None or found != found or not str(found).strip()

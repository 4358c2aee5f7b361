"""Selects columns of a table by name and order, and reads their numbers."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.checked import arguments
from isthmus.errors import ColumnError, InputError
from isthmus.files import NOTHING_TOLD, Told
from isthmus.plugins import closest
from isthmus.reprs import brief

Numbers = tuple[npt.NDArray[np.floating[Any]], tuple[str, ...]]

Columns: TypeAlias = Sequence[str | int] | str
"""Names, or positions if there are no names; may be a single name."""

LISTED = 20
"""Maximum number of names in a message."""

LOOKED_AT = 10_000
"""Number of rows in which a non-numeric cell is searched."""


@brief
@dataclass(frozen=True)
class Places:
    """Columns that were selected by position.

    Attributes:
        chosen: positions of the columns.
        width: width of the rows from which they were selected.
    """

    chosen: tuple[int, ...]
    width: int


@dataclass(frozen=True)
class Known:
    """The training columns of a model.

    Attributes:
        names: names of the columns; None if they had none.
        width: number of columns.
        places: their positions in rows without names, if some were left out.
        written: file options that the caller gave for the training file.
    """

    names: tuple[str, ...] | None
    width: int
    places: Places | None = None
    written: Told = NOTHING_TOLD


@dataclass(frozen=True)
class Choice:
    """The columns to select from a table.

    Attributes:
        columns: names to select, in this order; None selects all.
        drop: names to leave out.
        known: columns of the model that the rows are for; if they have names, only these columns are selected.
    """

    columns: tuple[str, ...] | None
    drop: tuple[str, ...]
    known: Known | None = None

    @classmethod
    def of(cls, columns: Columns | None, drop: Columns, known: Known | None = None) -> Choice:
        """Create a choice from the arguments of a user."""
        return cls(None if columns is None else _as_names(columns), _as_names(drop), known)

    @property
    def sought(self) -> tuple[str, ...] | None:
        """The names of the model's columns, if there are any."""
        return None if self.known is None else self.known.names

    @property
    def taken_by_name(self) -> set[str]:
        """All names that were requested."""
        return {*(self.columns or ()), *(self.sought or ())}

    def among(self, present: Sequence[str], where: str) -> list[str]:
        """The columns of a table to read, in order.

        Args:
            present: names of the existing columns.
            where: name of the table, for messages.

        Raises:
            ColumnError: a missing or duplicate name.
        """
        left = choose_columns(present, where, self.columns, self.drop)
        if self.sought is None:
            return left
        holders = {name: _holder(name, left) for name in self.sought}
        missing = [name for name, holder in holders.items() if holder is None]
        if missing:
            raise lacking(missing, left, where, self.sought)
        wanted = list(dict.fromkeys(name for name in holders.values() if name is not None))
        for name in wanted:
            if left.count(name) != 1:
                raise ColumnError(f"{left.count(name)} columns {name!r} in {where}", expected="one")
        return wanted

    def ordered(self, values: npt.NDArray[np.floating[Any]], names: tuple[str, ...], where: str) -> Numbers:
        """Numbers in the order of the model's columns.

        Raises:
            ColumnError: a column of lists with another length than in the training.
        """
        if self.sought is None or names == self.sought:
            return values, names
        if set(names) != set(self.sought):
            strange = next(name for name in (*names, *self.sought) if (name in names) != (name in self.sought))
            stem = strange.rpartition(".")[0]
            counts = [sum(name.startswith(f"{stem}.") for name in some) for some in (names, self.sought)]
            raise ColumnError(
                f"column {stem!r} of {where} with {counts[0] or 'no'} numbers a row",
                expected=f"{counts[1]}, as in the rows that were trained on",
            )
        places = {name: place for place, name in enumerate(names)}
        return values[:, [places[name] for name in self.sought]], self.sought


def as_table(source: object) -> pa.Table | None:
    """The source as an Arrow table if it is one; None for a single column and for everything else.

    Tables are objects with the Arrow PyCapsule interface: pyarrow, pandas, polars, DuckDB.

    Raises:
        ColumnError: a pandas table with duplicate column names.
    """
    if not hasattr(source, "__arrow_c_stream__"):
        return None
    try:
        return pa.RecordBatchReader.from_stream(source).read_all()
    except (pa.ArrowException, TypeError):
        return None
    except ValueError as error:
        # The error of pandas for duplicate column names.
        raise ColumnError(f"a table that Arrow cannot hold ({error})", expected="columns of different names") from None


def row_number(row: int, name: str | None = None) -> str:
    """The name of a row (given from 0), and optionally a column, in messages, counted from 1."""
    return f"row {row + 1:,}" + ("" if name is None else f", column {name!r}")


def numbers(
    table: pa.Table, where: str, choice: Choice, place: Callable[[int, str | None], str] = row_number
) -> Numbers:
    """The chosen columns side by side, and their names; a missing value is NaN.

    Args:
        table: the source.
        where: its name, for messages.
        choice: the columns to select.
        place: function that names a row and a column in messages.

    Raises:
        ColumnError: a column that is missing, duplicate or not numeric.
        InputError: a column of lists of different lengths.
    """
    index = _index_of(table.schema)
    present = [name for name in table.column_names if name not in index or name in choice.taken_by_name]
    names = choice.among(present, where)
    _check_distinct(present, names, where)
    _check_numbers(table, names, where, choice, place)
    parts = [_part(table.column(name), name, where) for name in names]
    whole = all(part.dtype == np.float32 for part, _ in parts)
    kind = np.float32 if whole and parts else np.float64
    given = [part for part, _ in parts] or [np.empty((len(table), 0))]
    values: npt.NDArray[np.floating[Any]] = np.concatenate(given, 1).astype(kind)
    found = tuple(name for _, own in parts for name in own)
    chosen, found = choice.ordered(values, found, where) if len(table) else (values, found)
    return np.ascontiguousarray(chosen), found


def choose_columns(
    present: Sequence[str], where: str, columns: Sequence[str] | None, drop: Sequence[str] = ()
) -> list[str]:
    """The names of the selected columns, in order.

    Args:
        present: names of the existing columns.
        where: name of the table, for messages.
        columns: names to select; None selects all.
        drop: names to leave out.

    Raises:
        ColumnError: a missing or duplicate name.
    """
    for name in (*(columns or ()), *drop):
        if present.count(name) != 1:
            raise ColumnError(
                f"{'no column' if name not in present else 'several columns'} {name!r} in {where}",
                expected=f"one of {listed(present)}",
                remedy=closest(name, set(present)),
            )
    return [name for name in (present if columns is None else columns) if name not in drop]


def choose_places(width: int, columns: Columns | None, drop: Columns) -> Places:
    """Select columns by position, for rows without names.

    Args:
        width: width of the rows.
        columns: positions to select, in this order, from 0; None selects all.
        drop: positions to leave out.

    Raises:
        ColumnError: a name, or a position that does not exist.
    """
    chosen, left_out = (_positions(some, width) for some in (range(width) if columns is None else columns, drop))
    return Places(tuple(place for place in chosen if place not in left_out), width)


def lacking(missing: Sequence[str], present: Sequence[str], where: str, known: Sequence[str]) -> ColumnError:
    """The error for training columns that a table lacks.

    Args:
        missing: names of the missing columns.
        present: names of the existing columns.
        where: name of the table.
        known: the training columns of the model.
    """
    one = len(missing) == 1
    left = set(present) - set(known)
    near = [f"{name!r}: {closest(name, left)}" for name in missing[:LISTED] if closest(name, left)]
    advice = "" if not near else (near[0].partition(": ")[2] if one else "; ".join(near)) + "; "
    return ColumnError(
        f"no column{'' if one else 's'} {listed(missing)} in {where}, which has {listed(present, 8)}",
        expected=f"all {len(known)} columns that the model was trained on, in any order",
        remedy=f"{advice}rename or add {'it' if one else 'them'}, or fit a model without {'it' if one else 'them'} "
        f"({left_out(missing)})",
    )


def left_out(names: Sequence[str]) -> str:
    """The arguments that leave columns out, in Python and on the command line."""
    options = " ".join(f"--drop {shlex.quote(name)}" for name in names[:LISTED])
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"drop={list(names[:LISTED])}{more} in Python, {options}{more} on the command line"


def listed(names: Sequence[str], most: int = LISTED) -> str:
    """Names in quotes, abbreviated if there are many."""
    shown = ", ".join(map(repr, names[:most]))
    return (shown + (f" and {len(names) - most} more" if len(names) > most else "")) or "none"


def _as_names(given: Columns | Iterable[str | int]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(map(str, arguments.listed("columns", given, "names")))


def _positions(given: Columns | Iterable[str | int], width: int) -> tuple[int, ...]:
    found = []
    for name in _as_names(given):
        place = int(name) if name.removeprefix("-").isdecimal() else None
        if place is None or not -width <= place < width:
            raise ColumnError(
                f"column {name!r} of rows whose columns have no names",
                expected=f"positions from 0 to {width - 1}, or a table with names",
            )
        found.append(place % width)
    return tuple(found)


def _holder(name: str, present: Sequence[str]) -> str | None:
    """The column that contains a model's column ``name``: the column of this name, or a column of lists."""
    if name in present:
        return name
    stem, _, place = name.rpartition(".")
    return stem if place.isdecimal() and stem in present else None


def _index_of(schema: pa.Schema) -> set[str]:
    """Names of columns that are the index of a pandas table and contain no data."""
    held = schema.pandas_metadata
    return {name for name in held["index_columns"] if isinstance(name, str)} if held else set()


def _check_distinct(present: Sequence[str], names: Sequence[str], where: str) -> None:
    for name in names:
        if present.count(name) > 1:
            numbers_of = " and ".join(str(place + 1) for place, held in enumerate(present) if held == name)
            raise ColumnError(
                f"{present.count(name)} columns {name!r} in {where}, its columns {numbers_of}",
                expected="a name of its own for every column",
                remedy="rename one of them, or choose others with columns= (--columns)",
            )


def _check_numbers(
    table: pa.Table, names: Sequence[str], where: str, choice: Choice, place: Callable[[int, str | None], str]
) -> None:
    schema = table.schema
    strange = [name for name in names if not _is_number(_inner(schema.field(name).type))]
    if not strange:
        return
    one = len(strange) == 1
    them = "it" if one else "them"
    kinds = ", ".join(dict.fromkeys(_kind(schema.field(name).type) for name in strange))
    cell = next((found for name in strange if (found := _odd_cell(table.column(name), name, place))), "")
    if choice.sought is not None:
        remedy = f"turn {them} into numbers, as in the rows that were trained on"
    elif choice.known is not None:
        remedy = (
            f"the model was trained on rows without names of columns: choose {choice.known.width} columns with "
            f"isthmus_vectors.Vectors.read(source, drop={strange[:LISTED]}) in Python, --drop on the command line"
        )
    else:
        remedy = f"leave {them} out ({left_out(strange)}), or turn {them} into numbers"
    raise ColumnError(
        f"{'column' if one else 'columns'} {listed(strange)} of {where} with {kinds}{cell}",
        expected="numbers",
        remedy=remedy,
    )


def _odd_cell(column: pa.ChunkedArray, name: str, place: Callable[[int, str | None], str]) -> str:
    """The first non-numeric cell of a text column that mostly contains numbers."""
    if not _is_text(column.type):
        return ""
    cells = column.slice(0, LOOKED_AT).to_pylist()
    odd = [row for row, cell in enumerate(cells) if cell is not None and not _reads_like_number(cell)]
    return f" ({place(odd[0], name)} holds {cells[odd[0]]!r})" if 0 < len(odd) < len(cells) / 2 else ""


def _reads_like_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _kind(kind: pa.DataType) -> str:
    if _is_text(kind):
        return "text"
    if pa.types.is_dictionary(kind):
        return "categories"
    return "dates or times" if pa.types.is_temporal(kind) else str(kind)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _part(column: pa.ChunkedArray, name: str, where: str) -> tuple[npt.NDArray[np.floating[Any]], list[str]]:
    kind = column.type
    if not _is_list(kind):
        return _floats(column)[:, None], [name]
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.float64)
    if not len(lengths):
        return np.empty((0, 0)), []
    if not (lengths == lengths[0]).all():
        row = int(np.nonzero(lengths != lengths[0])[0][0])
        raise InputError(
            f"row {row + 1:,} of column {name!r} of {where} holds {_count(lengths[row])}",
            expected=f"{_count(lengths[0])}, as in row 1",
        )
    width = int(lengths[0])
    flat = _floats(pc.list_flatten(column))
    return flat.reshape(len(column), width), [f"{name}.{place}" for place in range(width)]


def _floats(column: pa.ChunkedArray) -> npt.NDArray[np.floating[Any]]:
    narrow = pa.types.is_float32(column.type) or pa.types.is_float16(column.type)
    plain = column if not pa.types.is_boolean(column.type) else column.cast(pa.uint8())
    floats: npt.NDArray[np.floating[Any]] = plain.cast(pa.float32() if narrow else pa.float64()).to_numpy()
    return floats


def _inner(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if _is_list(kind) else kind


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)
    return any(test(kind) for test in tests)


def _count(length: float) -> str:
    return "nothing" if np.isnan(length) else f"{int(length)} numbers"

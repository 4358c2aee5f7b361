"""``Vectors``: rows of numbers from files, arrays and tables, dense or sparse, with column names if they have any."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, Unpack

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, issparse

from isthmus.checked.dense import as_float, real_numbers
from isthmus.checked.sparse import checked_csr
from isthmus.errors import InputError, SettingError, SourceError, ValueRangeError
from isthmus.files import NOTHING_TOLD, FileOptions, Told, told_in
from isthmus.reprs import counted, described, joined
from isthmus.sources import even_rows
from isthmus_vectors import columns as arrow
from isthmus_vectors import files
from isthmus_vectors.columns import Choice, Columns, Known, Places

Dense: TypeAlias = npt.NDArray[np.floating[Any]]
Rows: TypeAlias = npt.NDArray[np.int64]

logger = logging.getLogger(__name__)

BLOCK = 4096
"""Number of rows that are processed together if all of them would need too much memory."""

FEWEST_NUMBERED = 16
"""Minimum number of rows for the check whether a column numbers them."""

ID_NAMES = re.compile(r"(?i:(^|[\W_])(id|idx|index|row|rownum|row_?number)$|^unnamed: ?\d+$)|[a-z]I[Dd]$")
"""Usual names of columns of ids and row numbers."""

TOO_WIDE = (
    "take the columns that were trained on, with isthmus_vectors.Vectors.read(source, columns=[...]) in Python or "
    "--columns on the command line"
)


@dataclass(frozen=True, eq=False, repr=False)
class Vectors:
    """Finite numbers, shape (rows, width). Created by ``read`` or ``of``.

    Attributes:
        values: fp32 or fp64; or CSR with ascending columns and no stored zeros, never made dense as a whole.
        columns: names of the columns; None if there are none.
        places: positions of the columns, if some were selected by position.
        written: file options that the caller gave.
    """

    values: Dense | csr_array
    columns: tuple[str, ...] | None = None
    places: Places | None = None
    written: Told = NOTHING_TOLD

    @classmethod
    def read(
        cls,
        source: Any,
        *,
        columns: Columns | None = None,
        drop: Columns = (),
        known: Known | None = None,
        **file: Unpack[FileOptions],
    ) -> Vectors:
        """Read rows from a file or an object.

        Args:
            source: the path of a file of delimited text (CSV, TSV, ...), JSON or Parquet, of a NumPy array (.npy) or of
                a sparse matrix (.npz, as ``scipy.sparse.save_npz`` writes it); a NumPy array, a torch tensor, a sparse
                matrix of SciPy, nested lists, or a table of pandas, polars, pyarrow, DuckDB. A column of equally long
                lists counts as that many columns, which is how tables store embeddings.
            columns: names of the columns to select, in this order; by default all. For arrays, which have no names,
                positions from 0.
            drop: names or positions of columns to leave out.
            known: columns of the model that the rows are for: they are found by name, in any order, and others are
                ignored. Rows without names are used unchanged.
            file: encoding, delimiter and header of a text file, if they are not detected correctly.

        Raises:
            SourceError: a file that cannot be read, or no rows.
            ColumnError: a column that is missing or not numeric, or names for an object without names.
            InputError: not rows of numbers, or rows of another width than the model's.
            ValueRangeError: NaN, infinity or a missing value; the message names row and column.
        """
        choice, told = Choice.of(columns, drop, known), told_in(file)
        if isinstance(source, str | Path):
            path, read = str(source), files.read_file(Path(source), choice, told)
            if read.table is None:
                made = cls(_matrix(read.array))._with_columns(choice)
            else:
                made = cls(*read.table, written=told)
            return made._for(known, path)._checked(path, known, read.where)
        if told.said():
            raise SettingError(f"{' and '.join(told.said())} for {type(source).__name__}", expected="a file of text")
        if isinstance(source, Vectors):
            return source._with_columns(choice)._for(known, "the rows")
        stream = arrow.as_table(source)
        if stream is None:
            return cls(_matrix(source))._with_columns(choice)._for(known, "the source")._checked("the source", known)
        table = arrow.numbers(stream, "the table", choice)
        return cls(*table)._for(known, "the table")._checked("the table", known)

    of = read

    @classmethod
    def for_training(cls, source: Any, columns: Columns | None, drop: Columns, **file: Unpack[FileOptions]) -> Vectors:
        """``read``, with a log message about the training columns, and a warning about columns that look like
        row numbers or ids. Raises the errors of ``read``."""
        rows = cls.read(source, columns=columns, drop=drop, **file)
        # Sparse rows may be very wide, and none of their columns is looked at.
        names = rows.columns or (() if rows.is_sparse else tuple(map(str, range(rows.width))))
        called = "" if rows.columns is None else f": {arrow.listed(names)}"
        logger.info("trains on %s of %s%s", counted(len(rows), "row"), counted(rows.width, "column"), called)
        strange = [name for place, name in enumerate(names) if rows._numbers_rows(place, name)]
        if strange:
            logger.warning(
                "columns that look like row numbers or ids are used: %s; if they are not measurements, leave "
                "them out (%s)",
                arrow.listed(strange),
                arrow.left_out(strange),
            )
        return rows

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def __repr__(self) -> str:
        sparse = "sparse" if issparse(self.values) else ""
        named = "" if self.columns is None else "with names of columns"
        size = f"{counted(len(self), 'row')} of {counted(int(self.values.shape[1]), 'number')}"
        return described(self, joined([size, sparse, named]))

    @property
    def width(self) -> int:
        """The number of columns."""
        return int(self.values.shape[1])

    @property
    def is_sparse(self) -> bool:
        """Whether only nonzero values are stored."""
        return not isinstance(self.values, np.ndarray)

    def select(self, rows: Rows) -> Vectors:
        """The given rows, in the given order."""
        return replace(self, values=self.values[rows])

    def subsample(self, count: int) -> Vectors:
        """At most this many rows, evenly spaced."""
        return self if count >= len(self) else self.select(even_rows(len(self), count).numpy())

    def blocks(self, size: int = BLOCK) -> Iterator[Vectors]:
        """All rows in order, in blocks."""
        for start in range(0, len(self), size):
            yield replace(self, values=self.values[start : start + size])

    def dense(self) -> Dense:
        """All values, including zeros; only use it for a few rows at a time."""
        return self.values if isinstance(self.values, np.ndarray) else self.values.toarray()

    def select_columns(self, columns: tuple[str, ...] | None) -> Vectors:
        """The columns with these names, in this order; all columns if either side has no names.

        Raises:
            ColumnError: a name that these rows do not have.
        """
        if columns is None or self.columns is None or columns == self.columns:
            return self
        return self._for(Known(columns, len(columns)), "the rows")

    def _with_columns(self, choice: Choice) -> Vectors:
        if choice.columns is None and not choice.drop:
            return self
        if self.columns is None:
            places = arrow.choose_places(self.width, choice.columns, choice.drop)
            return Vectors(self.values[:, list(places.chosen)], places=places)
        return self._named(arrow.choose_columns(self.columns, "the table", choice.columns, choice.drop))

    def _for(self, known: Known | None, where: str) -> Vectors:
        """The columns of a model: by name if both sides have names, otherwise by position."""
        if known is None:
            return self
        if known.names is not None and self.columns is not None:
            missing = [name for name in known.names if name not in self.columns]
            if missing:
                raise arrow.lacking(missing, self.columns, where, known.names)
            return self if known.names == self.columns else self._named(known.names)
        places = known.places
        if self.columns is None and self.places is None and places is not None and self.width == places.width:
            return Vectors(self.values[:, list(places.chosen)], places=places)
        if self.width != known.width:
            raise InputError(
                f"rows of {self.width} numbers in {where}",
                expected=f"{known.width}, as in the rows that were trained on"
                + ("" if self.columns is None else ", which had no names of columns"),
                remedy="" if self.width < known.width else TOO_WIDE,
            )
        return self

    def _named(self, names: Sequence[str]) -> Vectors:
        assert self.columns is not None
        values = self.values[:, [self.columns.index(name) for name in names]]
        return Vectors(values, tuple(names), written=self.written)

    def _numbers_rows(self, place: int, name: str) -> bool:
        """Whether a column looks like a row number or an id: it has such a name and distinct integers, or it increases
        by 1 from row to row."""
        if not isinstance(self.values, np.ndarray) or len(self) < FEWEST_NUMBERED:
            return False
        values = self.values[:, place]
        # The first rows identify most columns of measurements, so that wide tables are not read twice.
        if not all(np.array_equal(some, np.floor(some)) for some in (values[:FEWEST_NUMBERED], values)):
            return False
        return bool((np.diff(values) == 1).all()) or (
            ID_NAMES.search(name) is not None and len(np.unique(values)) == len(values)
        )

    def _checked(
        self, where: str, known: Known | None = None, place: Callable[[int, str | None], str] = arrow.row_number
    ) -> Vectors:
        if not len(self):
            raise SourceError(f"{where} has no rows", expected="at least one")
        if not self.width:
            raise SourceError(f"{where} has no columns", expected="at least one")
        for start, block in zip(range(0, len(self), BLOCK), self.blocks(), strict=False):
            stored = block.values if isinstance(block.values, np.ndarray) else block.values.data
            if not np.isfinite(stored).all():
                row, column = (int(place[0]) for place in np.nonzero(~np.isfinite(block.dense())))
                held = block.dense()[row, column]
                if self.columns is None:
                    said = f"{place(start + row, None)}, column {column + 1}"
                else:
                    said = place(start + row, self.columns[column])
                raise ValueRangeError(
                    f"{said} of {where} holds {'no number' if np.isnan(held) else held}{self._holes()}",
                    expected="finite numbers",
                    remedy="fill in what is missing, or leave these rows out" + ("" if known else " or the column"),
                )
        return self

    def _holes(self) -> str:
        """The number of rows with a cell that is not a finite number, if more than one."""
        if self.is_sparse:
            return ""
        rows = sum(int((~np.isfinite(block.dense())).any(1).sum()) for block in self.blocks())
        return f" ({rows:,} of {len(self):,} rows have such a cell)" if rows > 1 else ""


def _matrix(source: Any) -> Dense | csr_array:
    if issparse(source):
        given = checked_csr(source)
        matrix = csr_array(given.astype(_precision(given.dtype), copy=False))
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        return matrix
    numbers = real_numbers(source, "rows of numbers, all of one length")
    if not numbers.ndim:
        raise InputError(f"a single {type(source).__name__}", expected="rows of numbers")
    if numbers.ndim != 2:
        raise InputError(
            f"numbers of shape {numbers.shape}",
            expected="(rows, width)",
            remedy="reshape(-1, 1) makes one column of them, reshape(1, -1) one row",
        )
    return as_float(numbers, _precision(numbers.dtype))


def _precision(kind: Any) -> type[np.float32] | type[np.float64]:
    return np.float32 if kind in (np.float32, np.float16) else np.float64

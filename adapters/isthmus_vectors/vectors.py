"""Rows of numbers from files, arrays and tables, dense or sparse, with the names of their columns if they have any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_array, issparse

from isthmus.errors import ColumnError, InputError, SourceError, ValueRangeError
from isthmus.sources import even_rows
from isthmus_vectors import columns as arrow
from isthmus_vectors import files

Dense: TypeAlias = npt.NDArray[np.floating[Any]]
Rows: TypeAlias = npt.NDArray[np.int64]

BLOCK = 4096
"""Rows that are processed together, where all of them would take too much memory."""


@dataclass(frozen=True, eq=False)
class Vectors:
    """Finite numbers, shape (rows, width). Made by ``read`` or ``of``.

    Attributes:
        values: fp32 or fp64; or CSR with ascending columns and no stored zeros, never made dense as a whole.
        columns: their names; None where none were given.
    """

    values: Dense | csr_array
    columns: tuple[str, ...] | None = None

    @classmethod
    def read(cls, source: Any, *, columns: Sequence[str] | None = None, drop: Sequence[str] = ()) -> Vectors:
        """Rows of a file or of an object.

        Args:
            source: the path of a CSV, TSV or Parquet file, of a NumPy array (.npy) or of a sparse matrix (.npz, as
                ``scipy.sparse.save_npz`` writes it); a NumPy array, a torch tensor, a sparse matrix of SciPy, nested
                lists, or a table of pandas, polars, pyarrow, DuckDB. A column of equally long lists counts as so many
                columns: that is how tables hold embeddings.
            columns: the names of the columns to take, in this order; all if not given.
            drop: names of columns to leave out.

        Raises:
            SourceError: a file that cannot be read, or no rows.
            ColumnError: a column that is missing or holds no numbers, or names for what has none.
            InputError: something else than rows of numbers.
            ValueRangeError: NaN, infinity or a missing value; row and column are named.
        """
        if isinstance(source, Vectors):
            return source._with_columns(columns, drop)
        table = None
        if isinstance(source, str | Path):
            found, table = files.read_file(Path(source), columns, drop)
            where = str(source)
        else:
            found, where = source, "the table"
            stream = arrow.as_table(source)
            table = None if stream is None else arrow.numbers(stream, where, columns, drop)
        if table is not None:
            return cls(*table)._checked(where)
        return (
            cls(_matrix(found))._with_columns(columns, drop)._checked("the source" if where == "the table" else where)
        )

    of = read

    def __len__(self) -> int:
        return int(self.values.shape[0])

    @property
    def width(self) -> int:
        """Numbers of a row."""
        return int(self.values.shape[1])

    @property
    def is_sparse(self) -> bool:
        """Whether only what is not zero is stored."""
        return not isinstance(self.values, np.ndarray)

    def select(self, rows: Rows) -> Vectors:
        """The given rows, in the order given."""
        return replace(self, values=self.values[rows])

    def subsample(self, count: int) -> Vectors:
        """At most this many rows, evenly spaced."""
        return self if count >= len(self) else self.select(even_rows(len(self), count).numpy())

    def blocks(self, size: int = BLOCK) -> Iterator[Vectors]:
        """All rows in their order, some at a time."""
        for start in range(0, len(self), size):
            yield replace(self, values=self.values[start : start + size])

    def dense(self) -> Dense:
        """All numbers, zeros included: only for a few rows at a time."""
        return self.values if isinstance(self.values, np.ndarray) else self.values.toarray()

    def select_columns(self, columns: tuple[str, ...] | None) -> Vectors:
        """The columns of these names, in this order; as they are where either side has no names.

        Raises:
            ColumnError: a name that these rows lack.
        """
        if columns is None or self.columns is None or columns == self.columns:
            return self
        return self._with_columns(columns, ())

    def _with_columns(self, columns: Sequence[str] | None, drop: Sequence[str]) -> Vectors:
        if columns is None and not drop:
            return self
        if self.columns is None:
            raise ColumnError(
                "names of columns for numbers that have none", expected="a table", remedy="choose columns by slicing"
            )
        chosen = arrow.choose_columns(self.columns, "the table", columns, drop)
        places = [self.columns.index(name) for name in chosen]
        return Vectors(self.values[:, places], tuple(chosen))

    def _checked(self, where: str) -> Vectors:
        if not len(self):
            raise SourceError(f"{where} has no rows", expected="at least one")
        if not self.width:
            raise SourceError(f"{where} has no columns", expected="at least one")
        for start, block in zip(range(0, len(self), BLOCK), self.blocks(), strict=False):
            stored = block.values if isinstance(block.values, np.ndarray) else block.values.data
            if not np.isfinite(stored).all():
                row, column = (int(place[0]) for place in np.nonzero(~np.isfinite(block.dense())))
                name = f"column {column}" if self.columns is None else f"column {self.columns[column]!r}"
                raise ValueRangeError(
                    f"row {start + row} of {where} has {block.dense()[row, column]} in {name}",
                    expected="finite numbers",
                    remedy="fill in or leave out what is missing",
                )
        return self


def _matrix(source: Any) -> Dense | csr_array:
    if issparse(source):
        given: Any = source
        if given.dtype.kind not in "fiub":
            raise InputError(f"a sparse matrix of {given.dtype}", expected="real numbers")
        matrix = csr_array(given.astype(_precision(given.dtype)), copy=True)
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        return matrix
    held = source.detach().cpu().numpy() if isinstance(source, torch.Tensor) else source
    try:
        array = np.asarray(held)
        numbers = array.astype(np.float64) if array.dtype.kind == "O" else array
    except (TypeError, ValueError) as error:
        raise InputError(f"{type(source).__name__} ({error})", expected="rows of numbers, all of one length") from None
    if not numbers.ndim:
        raise InputError(f"a single {type(source).__name__}", expected="rows of numbers")
    if numbers.dtype.kind not in "fiub":
        raise InputError(f"an array of {numbers.dtype}", expected="real numbers")
    if numbers.ndim != 2:
        raise InputError(
            f"numbers of shape {numbers.shape}",
            expected="(rows, width)",
            remedy="reshape(-1, 1) makes one column of them, reshape(1, -1) one row",
        )
    whole: Dense = np.array(numbers, dtype=_precision(numbers.dtype), order="C")
    return whole


def _precision(kind: Any) -> type[np.float32] | type[np.float64]:
    return np.float32 if kind in (np.float32, np.float16) else np.float64

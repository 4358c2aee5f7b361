"""The adapter for rows of numbers, which turns them into batches."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
import torch
from scipy.sparse import csr_array

from isthmus.batch import Bag, Vector
from isthmus.errors import BundleError, ValueRangeError
from isthmus.files import NOTHING_TOLD, FileOptions, Told, told_in
from isthmus.reprs import brief
from isthmus.sources import BagSource, VectorSource
from isthmus_vectors.columns import Columns, Known, Places
from isthmus_vectors.scaling import Scaling
from isthmus_vectors.vectors import Vectors

SCALING, TABLE = "scaling.json", "table.json"


@brief
@dataclass(frozen=True, eq=False)
class VectorAdapter:
    """Created by ``fit`` or ``restore``.

    Attributes:
        scaling: scaling, learned from the training rows.
        columns: names of the columns, if they have any.
        is_sparse: whether rows become bags, which only store nonzero values.
        places: positions of the columns in rows without names, if some columns were left out.
        written: file options that the caller gave for the training file.
    """

    scaling: Scaling
    columns: tuple[str, ...] | None
    is_sparse: bool
    places: Places | None = None
    written: Told = NOTHING_TOLD

    @property
    def signal(self) -> Vector | Bag:
        """Sizes of a row."""
        return Bag(self.scaling.width) if self.is_sparse else Vector(self.scaling.width)

    @classmethod
    def read(cls, source: Any, **options: Any) -> Vectors:
        """Rows of a file or of an object; see ``Vectors.read``."""
        return Vectors.read(source, **options)

    @classmethod
    def fit(cls, records: Vectors, scaling: str = "robust") -> VectorAdapter:
        """Learn the scale of each column. Raises the errors of ``Scaling.fit``."""
        scales = Scaling.fit(records, scaling)
        return cls(scales, records.columns, records.is_sparse, records.places, records.written)

    @property
    def known(self) -> Known:
        """The columns that were trained on."""
        return Known(self.columns, self.scaling.width, self.places, self.written)

    def rows(
        self, source: Any, *, columns: Columns | None = None, drop: Columns = (), **file: Unpack[FileOptions]
    ) -> Vectors:
        """Rows with the training columns; other columns are ignored. Raises the errors of ``Vectors.read``."""
        return Vectors.read(source, columns=columns, drop=drop, known=self.known, **file)

    def prepare(self, records: Vectors) -> VectorSource | BagSource:
        """All rows scaled, fp32. Columns are found by name where both sides have names.

        Raises:
            ColumnError: a column that the rows lack.
            InputError: rows of another width.
            ValueRangeError: numbers too large for fp32, without a scaling that compresses them.
        """
        exact = self.prepare_float64(records)
        if isinstance(exact, BagSource):
            assert exact.weights is not None
            weights = exact.weights.float()
            _check_finite(weights)
            return BagSource(exact.offsets, exact.indices, weights)
        values = exact.values.float()
        _check_finite(values)
        return VectorSource(values)

    def prepare_float64(self, records: Vectors) -> VectorSource | BagSource:
        """The same in fp64, for a few rows at a time. Raises the errors of ``prepare``, except for large numbers."""
        rows = records.select_columns(self.columns)
        self.scaling.check_width(rows.width)
        if self.is_sparse:
            matrix = csr_array(rows.values) if isinstance(rows.values, np.ndarray) else rows.values
            scaled = self.scaling.sparse(matrix)
            offsets = torch.from_numpy(np.array(scaled.indptr, np.int64))
            return BagSource(
                offsets, torch.from_numpy(np.array(scaled.indices, np.int32)), torch.from_numpy(scaled.data)
            )
        return VectorSource(torch.from_numpy(self.scaling.dense(rows.dense())))

    def state(self) -> Mapping[str, str]:
        """The documents that ``restore`` reads."""
        table: dict[str, Any] = {"columns": self.columns, "is_sparse": self.is_sparse}
        if self.places is not None:
            table |= {"places": self.places.chosen, "places_of": self.places.width}
        if self.written.said():
            table["file"] = self.written.said()
        return {SCALING: self.scaling.to_json(), TABLE: json.dumps(table, ensure_ascii=False)}

    @classmethod
    def restore(cls, state: Mapping[str, str]) -> VectorAdapter:
        """The inverse of ``state``.

        Raises:
            BundleError: not such documents.
        """
        if not {SCALING, TABLE} <= state.keys():
            raise BundleError(f"documents {sorted(state)}", expected=f"{SCALING} and {TABLE}")
        scaling = Scaling.from_json(state[SCALING])
        try:
            table = json.loads(state[TABLE])
            columns, is_sparse = table["columns"], table["is_sparse"]
            places = Places(tuple(map(int, table["places"])), int(table["places_of"])) if "places" in table else None
            written = told_in(table.get("file", {}))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise BundleError("not a table document", expected="columns and is_sparse") from None
        named = columns is None or (isinstance(columns, list) and all(isinstance(name, str) for name in columns))
        if not named or not isinstance(is_sparse, bool) or (columns is not None and len(columns) != scaling.width):
            raise BundleError("an invalid table document", expected="a name for each column, and is_sparse")
        if places is not None and not (
            len(places.chosen) == scaling.width and all(0 <= place < places.width for place in places.chosen)
        ):
            raise BundleError("an invalid table document", expected="a place for each column")
        return cls(scaling, None if columns is None else tuple(columns), is_sparse, places, written)


def _check_finite(values: torch.Tensor) -> None:
    if not bool(values.isfinite().all()):
        raise ValueRangeError("numbers too large for fp32", expected="below 3e38", remedy="use scaling='robust'")

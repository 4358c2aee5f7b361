"""Features of items: tags, texts, vectors.

``Recommender.with_features`` uses them to rank items without interactions.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, diags_array, hstack, issparse

from isthmus.checked.arguments import flag, listed
from isthmus.checked.dense import as_float, real_numbers
from isthmus.checked.sparse import checked_csr
from isthmus.errors import InputError, SettingError, ValueRangeError
from isthmus.files import FileOptions, Told, told_in
from isthmus.ids import Id
from isthmus.reprs import brief
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.cold_start import tables as feature_tables
from isthmus_interactions.csr import Csr

logger = logging.getLogger(__name__)

Dense = npt.NDArray[np.float32]
Matrix = Csr | Dense
"""A row for each item: SciPy CSR for tags and words, an array for embeddings."""


@brief
@dataclass(frozen=True, eq=False)
class ItemFeatures:
    """Items and their features. Created by ``of`` or ``read``; immutable.

    Attributes:
        items: the items, one for each row of ``matrix``.
        matrix: float32, shape (items, features), rows of norm 1, so that inner products are cosines; zeros for items
            without features.
        titles: titles of items, for those that have one.
    """

    items: Vocabulary
    matrix: Matrix
    titles: Mapping[Id, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        ids: Vocabulary | Iterable[Id] | npt.NDArray[np.generic],
        matrix: Any,
        *,
        idf: bool = False,
        titles: Mapping[Id, str] | None = None,
    ) -> ItemFeatures:
        """Features from a matrix, shape (items, features).

        Args:
            ids: an id for each row.
            matrix: a SciPy sparse matrix, or an array such as embeddings; copied.
            idf: weight each feature by log((1 + items) / (1 + items that have it)) + 1, which is recommended for plain
                tags.
            titles: titles of items, by id.

        Returns:
            Features with rows of norm 1.

        Raises:
            InputError: not two dimensions, no items, no features, duplicate ids, or a different number of ids and rows.
            ValueRangeError: values that are NaN, infinite or not numbers.
        """
        items = ids if isinstance(ids, Vocabulary) else Vocabulary(listed("ids", ids, "an id for each row of features"))
        if titles is not None and not isinstance(titles, Mapping):
            raise InputError(f"titles is a {type(titles).__name__}", expected="titles by id, such as {1: 'Dune'}")
        weighed, taken = flag("idf", idf), _adopted(matrix)
        if taken.shape[0] != len(items):
            raise InputError(f"{len(items):,} ids for {taken.shape[0]:,} rows of features", expected="an id for each")
        if not all(taken.shape):
            raise InputError(f"features of shape {taken.shape}", expected="at least one item and one feature")
        unit = _unit(_rarer(taken) if weighed else taken)
        silent = int((_norms(unit) == 0).sum())
        if silent:
            logger.warning("%d of %d items have no features: their rows are all 0", silent, len(items))
        return cls(items, unit, dict(titles or {}))

    @classmethod
    def read(
        cls,
        source: object,
        *,
        id: str | None = None,
        tags: str | Sequence[str] | None = None,
        text: str | Sequence[str] | None = None,
        vectors: str | Sequence[str] | None = None,
        title: str | None = None,
        separator: str = "|",
        beside: Told | None = None,
        **file: Unpack[FileOptions],
    ) -> ItemFeatures:
        """Read a table with one item per row. Tags, texts and vectors each become rows of norm 1, which are
        concatenated.

        Args:
            source: a path to delimited text (CSV, TSV, ...), JSON or Parquet, or any object with the Arrow PyCapsule
                interface.
            id: the column of ids; by default found under the names that ``Interactions.read`` knows for items, or "id".
            tags: columns of tags, separated by ``separator``, such as genres; a column of numbers is one tag each.
            text: columns of prose; words are weighted by tf-idf, which needs the extra ``features`` (scikit-learn).
            vectors: a column of lists of numbers (Parquet, Arrow), or several columns of numbers.
            title: the column of titles; by default "title" if it exists.
            separator: separator between tags.
            beside: options of another file, such as that of the interactions, used as far as they fit.
            file: encoding, delimiter and header of a text file, if they are not detected correctly.

        Returns:
            Features with rows of norm 1, one item per row.

        Raises:
            SourceError: nothing that can be read as a table, or no rows.
            ColumnError: a column that is missing or has the wrong type.
            InputError: duplicate ids, or no column of features.
            ValueRangeError: a number that is NaN or missing.
            MissingLibraryError: texts without scikit-learn.
        """
        columns = feature_tables.FeatureColumns.asked(id, tags, text, vectors, title)
        if not isinstance(separator, str) or not separator:
            raise SettingError(f"separator={separator!r}", expected="what stands between two tags, such as '|'")
        found = feature_tables.read(source, columns, separator, told_in(file), beside)
        parts = [_unit(_rarer(_adopted(block)) if rare else _adopted(block)) for block, rare in found.blocks]
        whole = parts[0] if len(parts) == 1 else hstack([csr_array(part) for part in parts], format="csr")
        return cls.of(found.items, whole, titles=found.titles)

    def __len__(self) -> int:
        return len(self.items)

    def rows(self, rows: npt.NDArray[np.int64]) -> Matrix:
        """The features of some items, in the given order."""
        return self.matrix[rows]


def _adopted(matrix: Any) -> Matrix:
    given: Any = matrix
    try:
        taken: Matrix = (
            checked_csr(given, "features").astype(np.float32)
            if issparse(matrix)
            else as_float(real_numbers(given, "a matrix of numbers"), np.float32)
        )
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise ValueRangeError(f"features that are not numbers ({error})", expected="a matrix of numbers") from None
    if taken.ndim != 2:
        raise InputError(f"features of {taken.ndim} dimensions", expected="two: items and features")
    if isinstance(taken, csr_array):
        taken.sum_duplicates()
    values = taken.data if isinstance(taken, csr_array) else taken
    if not np.isfinite(values).all():
        raise ValueRangeError("features contain NaN or infinity", expected="finite numbers")
    return taken


def _rarer(matrix: Matrix) -> Matrix:
    """The same features, each weighted by its inverse document frequency (Spärck Jones 1972, smoothed)."""
    stored: Any = matrix != 0
    had = np.asarray(stored.sum(0)).ravel()
    weights = (np.log((1 + matrix.shape[0]) / (1 + had)) + 1).astype(np.float32)
    return csr_array(matrix @ diags_array(weights)) if isinstance(matrix, csr_array) else matrix * weights


def _norms(matrix: Any) -> Dense:
    squares: Any = matrix * matrix if isinstance(matrix, csr_array) else np.square(matrix, dtype=np.float64)
    return np.sqrt(np.asarray(squares.sum(1), dtype=np.float64).ravel()).astype(np.float32)


def _unit(matrix: Any) -> Matrix:
    norms = _norms(matrix)
    scale = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0)
    unit: Matrix = csr_array(diags_array(scale) @ matrix) if isinstance(matrix, csr_array) else matrix * scale[:, None]
    return unit

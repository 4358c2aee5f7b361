"""What is known of items beside interactions: tags, texts, vectors.

``Recommender.with_features`` gives items without interactions a place in the ranking by them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, diags_array, hstack, issparse

from isthmus.checked.sparse import checked_csr
from isthmus.errors import InputError, ValueRangeError
from isthmus.files import FileOptions, told_in
from isthmus.reprs import brief
from isthmus.vocabulary import Id, Vocabulary
from isthmus_interactions.cold_start import tables as feature_tables
from isthmus_interactions.csr import Csr

logger = logging.getLogger(__name__)

Dense = npt.NDArray[np.float32]
Matrix = Csr | Dense
"""A row for each item: SciPy CSR for tags and words, an array for embeddings."""


@brief
@dataclass(frozen=True, eq=False)
class ItemFeatures:
    """Items and what is known of them. Made by ``of`` or ``read``; nothing in it changes.

    Attributes:
        items: the items, one for each row of ``matrix``.
        matrix: float32, shape (items, features), rows of norm 1, so that inner products are cosines; a row of zeros
            where nothing is known of an item.
        titles: what to show for an item, where there is something.
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
        """Take over a matrix, shape (items, features).

        Args:
            ids: an id for each row.
            matrix: a SciPy sparse matrix, or an array such as the embeddings of a language model; copied.
            idf: weigh a feature by log((1 + items) / (1 + items that have it)) + 1, which is right for plain tags.
            titles: texts to show with items, by id.

        Returns:
            Features with rows of norm 1.

        Raises:
            InputError: not two dimensions, no items, no features, an id twice, or ids that are not as many as rows.
            ValueRangeError: a number that is NaN or infinite, or no number at all.
        """
        items = ids if isinstance(ids, Vocabulary) else Vocabulary(ids)
        taken = _adopted(matrix)
        if taken.shape[0] != len(items):
            raise InputError(f"{len(items):,} ids for {taken.shape[0]:,} rows of features", expected="an id for each")
        if not all(taken.shape):
            raise InputError(f"features of shape {taken.shape}", expected="at least one item and one feature")
        unit = _unit(_rarer(taken) if idf else taken)
        silent = int((_norms(unit) == 0).sum())
        if silent:
            logger.warning("nothing is known of %d of %d items: their features are all 0", silent, len(items))
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
        **file: Unpack[FileOptions],
    ) -> ItemFeatures:
        """Read a table with an item a row. Each of tags, text and vectors becomes rows of norm 1, side by side.

        Args:
            source: a path to delimited text (CSV, TSV, ...), JSON or Parquet, or anything with the Arrow PyCapsule
                interface.
            id: the column of ids; found by the names that ``Interactions.read`` knows for items, or "id", if not given.
            tags: columns of tags with ``separator`` between them, such as genres; a column of numbers is a tag each.
            text: columns of prose; words are weighed by tf-idf, which needs the extra ``features`` (scikit-learn).
            vectors: a column of lists of numbers (Parquet, Arrow), or several columns of numbers.
            title: the column of what to show; "title" where there is one, if not given.
            separator: what stands between tags.
            file: encoding, delimiter and header of a file of text, where they are not found out.

        Returns:
            Features with rows of norm 1, an item a row.

        Raises:
            SourceError: nothing that can be read as a table, or no rows.
            ColumnError: a column that is missing or of another type.
            InputError: an id twice, or no column of features.
            ValueRangeError: a number that is NaN or missing.
            MissingLibraryError: texts without scikit-learn.
        """
        columns = feature_tables.FeatureColumns.asked(id, tags, text, vectors, title)
        found = feature_tables.read(source, columns, separator, told_in(file))
        parts = [_unit(_rarer(_adopted(block)) if rare else _adopted(block)) for block, rare in found.blocks]
        whole = parts[0] if len(parts) == 1 else hstack([csr_array(part) for part in parts], format="csr")
        return cls.of(found.items, whole, titles=found.titles)

    def __len__(self) -> int:
        return len(self.items)

    def rows(self, rows: npt.NDArray[np.int64]) -> Matrix:
        """The features of some items, in the order given."""
        return self.matrix[rows]


def _adopted(matrix: Any) -> Matrix:
    given: Any = matrix
    try:
        taken: Matrix = (
            checked_csr(given, "features").astype(np.float32) if issparse(matrix) else np.array(given, dtype=np.float32)
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
        raise ValueRangeError("features hold NaN or infinity", expected="finite numbers")
    return taken


def _rarer(matrix: Matrix) -> Matrix:
    """The same features, each weighed by its inverse document frequency (Spärck Jones 1972, smoothed)."""
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

"""Weights of rows in linear models: by length, and relative to additional rows with features of the columns.

Without weights, a row of n entries adds n² pairs to XᵀX, so that a few long rows may dominate. With weights w the
problem of ``isthmus.core.linear.dense`` becomes

    minimise Σ_u w_u ‖x_u − x_u B‖² + ‖Λ^½ B‖²,     w_u = c · n_u^−a

which is the same problem for the rows √w_u x_u. Features of columns F [columns, features] are added as rows √v Fᵀ,
which adds v F Fᵀ to XᵀX: columns with few entries then become similar to those with the same features. With rows of F
of length 1, v is the number of entries that the features of a column are worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, vstack

from isthmus.errors import SettingError
from isthmus.reprs import brief


@brief
@dataclass(frozen=True)
class RowWeights:
    """Weights of rows; by default all are equal, and features have no weight.

    Attributes:
        length_power: a; the weight of a row is its length to minus this power.
        feature_weight: v, the number of entries that the features of a column are worth.
    """

    length_power: float = 0.0
    feature_weight: float = 0.0

    def joined(self, matrix: csr_array, features: csr_array | None) -> csr_array:
        """The rows whose Gram matrix is that of the weighted problem.

        Args:
            matrix: X, shape (rows, columns).
            features: Fᵀ, shape (features, columns); None if there are none.

        Raises:
            SettingError: features have a weight, but there are none.
        """
        rows = weighed_by_length(matrix, self.length_power)
        further = self.features(features, rows.dtype)
        return rows if further is None else csr_array(vstack([rows, further], format="csr"))

    def features(self, features: csr_array | None, dtype: npt.DTypeLike) -> csr_array | None:
        """The rows that features add; None if they have no weight. Raises the errors of ``joined``."""
        if not self.feature_weight:
            return None
        if features is None:
            raise SettingError(
                f"feature_weight={self.feature_weight:g} without features of items",
                remedy="fit with features=, or with feature_weight=0",
                option="fit with --features FILE, or with --setting feature_weight=0",
            )
        return csr_array((features * np.float32(np.sqrt(self.feature_weight))).astype(dtype))


def row_weights(lengths: npt.NDArray[np.int64], power: float) -> npt.NDArray[np.float64]:
    """w of each row: proportional to ``length ** -power``; empty rows have 0 unless the power is 0.

    Args:
        lengths: number of entries of each row.
        power: a, from 0 (all weights are 1) upwards; larger values give long rows less weight.

    Returns:
        Weights whose mean over all entries is 1, so that λ means the same for every power.
    """
    if not power:
        return np.ones(len(lengths))
    weights = np.where(lengths > 0, np.maximum(lengths, 1).astype(np.float64) ** -power, 0.0)
    entries = float((weights * lengths).sum())
    return weights * (lengths.sum() / entries) if entries else weights


def weighed_by_length(matrix: csr_array, power: float) -> csr_array:
    """The rows √w_u x_u of a matrix, whose Gram matrix is that of the weighted problem; the matrix itself for 0."""
    return weighed(matrix, row_weights(np.diff(matrix.indptr).astype(np.int64), power)) if power else matrix


def weighed(matrix: csr_array, weights: npt.NDArray[np.float64]) -> csr_array:
    """The rows √w_u x_u of a matrix, for given weights."""
    factors = np.sqrt(weights).repeat(np.diff(matrix.indptr).astype(np.int64))
    scaled = (matrix.data * factors).astype(matrix.dtype)
    return csr_array((scaled, matrix.indices, matrix.indptr), shape=matrix.shape)

"""Weights of rows by their length, for linear models: without them a row counts by the square of its length.

A row of n entries adds n² pairs to XᵀX, so that few long rows may decide what goes together. With weights w the problem
of ``isthmus.core.linear.dense`` becomes

    minimise Σ_u w_u ‖x_u − x_u B‖² + ‖Λ^½ B‖²,     w_u = c · n_u^−a

which is the same problem for the rows √w_u x_u.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array


def row_weights(lengths: npt.NDArray[np.int64], power: float) -> npt.NDArray[np.float64]:
    """w of each row: proportional to ``length ** -power``; empty rows have 0 unless the power is 0.

    Args:
        lengths: number of entries of each row.
        power: a, from 0 (all rows weigh 1) upwards; larger values let long rows count less.

    Returns:
        Weights whose mean over all entries is 1, so that λ means the same for every power.
    """
    if not power:
        return np.ones(len(lengths))
    weights = np.where(lengths > 0, np.maximum(lengths, 1).astype(np.float64) ** -power, 0.0)
    entries = float((weights * lengths).sum())
    return weights * (lengths.sum() / entries) if entries else weights


def weighed_by_length(matrix: csr_array, power: float) -> csr_array:
    """The rows √w_u x_u of a matrix, whose Gram matrix is that of the weighed problem; the matrix itself for 0."""
    if not power:
        return matrix
    lengths = np.diff(matrix.indptr).astype(np.int64)
    factors = np.sqrt(row_weights(lengths, power)).repeat(lengths)
    scaled = (matrix.data * factors).astype(matrix.dtype)
    return csr_array((scaled, matrix.indices, matrix.indptr), shape=matrix.shape)

"""The leading singular vectors of a sparse matrix whose rows and columns are normalised by their lengths.

    R = D_u^−a X D_i^−b = U Σ Vᵀ,     D_u and D_i: numbers of entries of rows and columns

V is found by randomised subspace iteration (Halko, Martinsson & Tropp, SIAM Review 2011) on RᵀR and a Rayleigh-Ritz
step. No matrix of size rows × columns or rows × vectors is built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from isthmus.checked.sparse import check_csr
from isthmus.reprs import brief

PASSES = 5
"""Number of products with RᵀR. If the spectrum decays slowly, the last vectors are mixed with the next ones, whose
responses are nearly the same."""

LEAST_OVERSAMPLING, OVERSAMPLING = 10, 8
"""Oversampling: this many additional vectors, or one in this many of the requested ones, are iterated and dropped."""

BLOCK_BYTES = 64 << 20
"""Maximum size of the product of a block of rows with all vectors."""

Numbers = npt.NDArray[np.float32]


@brief
@dataclass(frozen=True)
class Spectrum:
    """Leading right singular vectors, from which the weights of any filter response are computed.

    Attributes:
        vectors: V, float32 [columns, k], with orthonormal columns in the order of their singular values.
        shares: σ² of each vector divided by the largest, descending from 1.
        degrees: number of entries of each column; 1 for empty columns.
        powers: a and b.
    """

    vectors: Numbers
    shares: npt.NDArray[np.float64]
    degrees: npt.NDArray[np.float64]
    powers: tuple[float, float]


def leading(
    matrix: csr_array,
    vectors: int,
    row_power: float,
    column_power: float,
    *,
    seed: int,
    told: Callable[[int], None] | None = None,
) -> Spectrum:
    """The leading right singular vectors of a normalised matrix.

    Args:
        matrix: X, shape (rows, columns).
        vectors: k; at most the number of columns are returned.
        row_power: a; with 0 rows are not normalised.
        column_power: b; with 0 columns are not normalised.
        seed: seed of the first subspace.
        told: called with the number of passes after each of them.

    Returns:
        The vectors and their shares.
    """
    check_csr(matrix)
    lengths = np.maximum(np.diff(matrix.indptr), 1).astype(np.float64)
    degrees = np.maximum(np.bincount(matrix.indices, minlength=matrix.shape[1]), 1).astype(np.float64)
    rows = np.repeat(lengths**-row_power, np.diff(matrix.indptr))
    values = (matrix.data * rows * degrees[matrix.indices] ** -column_power).astype(np.float32)
    normal = csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)
    width = matrix.shape[1]
    kept = min(vectors, width)
    many = min(width, kept + max(LEAST_OVERSAMPLING, kept // OVERSAMPLING))
    drawn = np.random.default_rng(seed % 2**63).standard_normal((width, many), dtype=np.float32)
    basis = _orthonormal(drawn)
    for number in range(1, PASSES):
        basis = _orthonormal(_twice(normal, basis))
        if told is not None:
            told(number)
    squares, mixed = np.linalg.eigh((basis.T @ _twice(normal, basis)).astype(np.float64))
    if told is not None:
        told(PASSES)
    best = np.argsort(-squares, kind="stable")[:kept]
    shares = np.clip(squares[best] / max(float(squares[best[0]]), np.finfo(np.float32).tiny), 0.0, 1.0)
    return Spectrum(basis @ mixed[:, best].astype(np.float32), shares, degrees, (row_power, column_power))


def _orthonormal(columns: Numbers) -> Numbers:
    basis: Numbers = np.linalg.qr(columns)[0]
    return basis


def _twice(normal: csr_array, basis: Numbers) -> Numbers:
    """RᵀR times the basis, in blocks of rows."""
    total = np.zeros_like(basis)
    block = max(1, BLOCK_BYTES // (4 * max(1, basis.shape[1])))
    for start in range(0, normal.shape[0], block):
        some = normal[start : start + block]
        total += some.T @ (some @ basis)
    return total

"""Predicts columns of new items as combinations of known ones, by ridge regression on features.

Let f_k be the features of n known items and K a kernel, here a power of the cosine, K_kl = ⟨f_k, f_l⟩^p. A quantity y_k
that is known for these items is predicted for an item j as

    ŷ_j = ȳ-like level + Σ_k y_k M_kj,     M = κ − 1/n,     Σ_k M_kj = 0

where κ_j = A⁻¹ (k_j + 1 · (1 − 1ᵀA⁻¹k_j) / (1ᵀA⁻¹1)) and A = K + μ I: generalised least squares with an unpenalised
constant, which is kernel ridge regression with an intercept (Saunders, Gammerman & Vovk, ICML 1998). Because the
weights do not depend on y, the same M is used for all users, with the scores of known items as y.

For p = 1 and fewer features than items, the same M is (F − 1 f̄ᵀ) G⁻¹ (f_j − f̄) with G = FᵀF − n f̄ f̄ᵀ + μ I, which
is stored as two thin factors.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from isthmus.errors import SettingError
from isthmus_interactions.cold_start.features import Dense, Matrix

LARGEST = 30_000
"""Maximum size of a linear system: 3.6 GB in 32 bits."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Mixing:
    """M = left · right, the weights of known items (rows) for new ones (columns).

    Attributes:
        left: float32, shape (known, inner).
        right: float32, shape (inner, unknown); None if ``left`` is M itself.
    """

    left: Dense
    right: Dense | None

    def of(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Σ_k values_k M_kj, shape (batch, unknown), for values of shape (batch, known)."""
        inner = values @ self.left
        return inner if self.right is None else inner @ self.right

    def columns(self, start: int, stop: int) -> Dense:
        """Some columns of M."""
        return self.left[:, start:stop] if self.right is None else self.left @ self.right[:, start:stop]


def mixing(known: Matrix, unknown: Matrix, regularisation: float, power: int = 1) -> Mixing:
    """Compute M.

    Args:
        known: features of the known items, rows of norm 1 or 0.
        unknown: features of the new items, with the same columns.
        regularisation: μ, above 0.
        power: p; above 1, nearer items count more.

    Returns:
        The weights M.

    Raises:
        SettingError: the smaller of the numbers of items and features is too large, or μ is too small.
    """
    items, features = known.shape
    dual = power > 1 or features > items
    check_size(items, features, dual)
    try:
        return _dual(known, unknown, regularisation, power) if dual else _primal(known, unknown, regularisation)
    except np.linalg.LinAlgError:
        raise SettingError(f"regularisation {regularisation}", expected="a larger number for these features") from None


def check_size(items: int, features: int, dual: bool) -> None:
    """Raise SettingError if a linear system of that size takes too much memory."""
    size = items if dual else features
    logger.debug("ridge regression on %d features of %d items: a system of %d", features, items, size)
    if size > LARGEST:
        raise SettingError(
            f"{features:,} features of {items:,} items",
            expected=f"at most {LARGEST:,} of either",
            remedy="give fewer tags, or embeddings with a few hundred dimensions",
        )


def products(one: Any, other: Any) -> Dense:
    """Inner products of all rows of two matrices, sparse or dense: shape (one, other)."""
    found = one @ other.T
    return np.asarray(found if isinstance(found, np.ndarray) else found.toarray(), dtype=np.float32)


def _primal(known: Matrix, unknown: Matrix, regularisation: float) -> Mixing:
    centre = np.asarray(known.mean(0), dtype=np.float64).ravel()
    gram = products(known.T, known.T).astype(np.float64) - len_of(known) * np.outer(centre, centre)
    gram[np.diag_indices_from(gram)] += regularisation
    factor = cho_factor(gram, overwrite_a=True)
    left = cho_solve(factor, (_dense(known) - centre).T).T
    return Mixing(left.astype(np.float32), (_dense(unknown) - centre).T.astype(np.float32))


def _dual(known: Matrix, unknown: Matrix, regularisation: float, power: int) -> Mixing:
    kernel = products(known, known) ** power
    kernel[np.diag_indices_from(kernel)] += np.float32(regularisation)
    factor = cho_factor(kernel, overwrite_a=True, check_finite=False)
    solved = cho_solve(factor, products(known, unknown) ** power, check_finite=False)
    ones = cho_solve(factor, np.ones(len(kernel), np.float32), check_finite=False)
    solved += np.outer(ones / ones.sum(), 1 - solved.sum(0)) - np.float32(1 / len(kernel))
    return Mixing(solved, None)


def len_of(matrix: Matrix) -> int:
    """The number of rows."""
    return int(matrix.shape[0])


def _dense(matrix: Matrix) -> npt.NDArray[np.float64]:
    plain = matrix.toarray() if isinstance(matrix, csr_array) else matrix
    return plain.astype(np.float64)

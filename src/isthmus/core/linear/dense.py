"""Linear models in closed form.

All of them are special cases of one problem. For data X, dropout p and a bound ξ on the diagonal,

    minimise ‖X − X B‖² + ‖Λ^½ B‖²   where B_jj ≤ ξ,     Λ = p / (1 − p) · diag(XᵀX) + λ I

    EASE    p = 0, ξ = 0        Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019
    EDLAE   ξ = 0               Steck, "Autoencoders that don't overfit towards the Identity", NeurIPS 2020
    RDLAE   any p and ξ         Moon, Kim & Lee, "It's Enough: Relaxing Diagonal Constraints in Linear Autoencoders for
                                Recommendation", SIGIR 2023
    ridge   ξ = 1               no bound: the diagonal of B = (XᵀX + Λ)⁻¹ XᵀX is below 1 of itself

p / (1 − p) · diag(XᵀX) is the expected penalty of dropout on the inputs. With C = (XᵀX + Λ)⁻¹ and multipliers μ of the
bound, the gradient is zero where B = I − C (Λ + μ). A column with a free diagonal has μ_j = 0, one at the bound has
1 − C_jj (Λ_j + μ_j) = ξ, so that

    B = I − C · diag(s),     s_j = Λ_j + μ_j = max(Λ_j, (1 − ξ) / C_jj)

which for ξ = 0 is B_ij = −C_ij / C_jj, because C_jj is never above 1 / Λ_j.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from scipy.linalg import lapack
from scipy.sparse import csr_array
from torch import Tensor, nn

from isthmus.batch import Bags, Tensors, require_bags
from isthmus.checked.sparse import check_csr
from isthmus.core.ops.bags import bag_sum
from isthmus.errors import SettingError
from isthmus.protocols import Columns
from isthmus.reprs import brief

BYTES = 12
"""Memory of a solution for each pair of columns: 8 for the Gram matrix, inverted in place, and 4 for the weights."""

BLOCK_BYTES = 256 << 20
"""Maximum additional memory of a block of the sparse Gram matrix."""

TOLD = 100 << 20
"""The memory is logged if it is at least this many bytes."""

TILE = 512
"""Number of rows of the solution that are written at a time."""

logger = logging.getLogger(__name__)


class LinearAutoencoder(nn.Module):
    """scores = x B with one matrix B [width, width] and no bottleneck."""

    weights: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.zeros(width, width))

    @property
    def width(self) -> int:
        """How many columns are ranked."""
        return len(self.weights)

    def prepare(self, inputs: Tensors) -> Bags:
        """Return the bags themselves, because nothing can be computed before the columns are known.

        Raises:
            SettingError: inputs that are not bags.
        """
        return require_bags(inputs, "a linear model")

    def scores(self, state: Bags, columns: Columns = None) -> Float[Tensor, "batch columns"]:
        """x B, for some columns or all."""
        if columns is None or columns == slice(0, self.width):
            return bag_sum(self.weights, state)
        # Only the rows of the items in the bags are gathered, not columns of the whole matrix.
        rows, places = state.indices.unique(return_inverse=True)
        table = self.weights[:, columns][rows] if isinstance(columns, slice) else self.weights[rows[:, None], columns]
        return bag_sum(table, Bags(places, state.offsets, state.weights))

    def weights_for(self, column: int) -> Float[Tensor, " width"]:
        """A column of B."""
        return self.weights[:, column]


@brief
@dataclass(frozen=True)
class Inverse:
    """C = (XᵀX + Λ)⁻¹, which yields the weights for every ξ.

    Attributes:
        upper: C in float64; only the elements on and above the diagonal are valid.
        ridge: the diagonal of Λ.
    """

    upper: npt.NDArray[np.float64]
    ridge: npt.NDArray[np.float64]

    def weights(self, xi: float = 0.0, out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """B = I − C · diag(s) with a diagonal of at most ξ, float32 [width, width].

        Args:
            xi: ξ, from 0 (no item predicts itself) to 1 (no restriction).
            out: array for B; by default a new one.
        """
        width = len(self.ridge)
        out = np.empty((width, width), np.float32) if out is None else out
        diagonal = self.upper.diagonal()
        scale = np.maximum(self.ridge, (1 - xi) / diagonal)
        for start in range(0, width, TILE):
            rows, rest = slice(start, start + TILE), slice(start + TILE, None)
            square, right = np.triu(self.upper[rows, rows]), self.upper[rows, rest]
            out[rows, rows] = -(square + np.triu(square, 1).T) * scale[rows]
            out[rows, rest] = -right * scale[rest]
            out[rest, rows] = -right.T * scale[rows]
        # 1 − C_jj s_j, without what rounding would leave of a zero.
        np.fill_diagonal(out, np.clip(1 - self.ridge * diagonal, 0.0, xi))
        return out


@brief
@dataclass(frozen=True)
class Gram:
    """XᵀX, computed once for all λ and p that are tried on the same X.

    Attributes:
        upper: float64 [width, width]; only the elements on and above the diagonal are valid.
    """

    upper: npt.NDArray[np.float64]

    @classmethod
    def of(cls, matrix: csr_array) -> Gram:
        """XᵀX of X, shape (rows, width)."""
        return cls.of_parts([matrix], matrix.shape[1])

    @classmethod
    def of_parts(cls, parts: Iterable[csr_array], width: int) -> Gram:
        """XᵀX of the rows of several matrices, each of shape (rows, width), which need not be in memory at the same
        time."""
        gram = np.zeros((width, width))
        for part in parts:
            _add_gram(part, gram)
        return cls(gram)

    def inverse(self, regularisation: float, dropout: float = 0.0) -> Inverse:
        """Like ``inverse`` for X, but on a copy, which takes 8 more bytes for each pair of columns."""
        return _inverted(self.upper.copy(), regularisation, dropout)


def inverse(matrix: csr_array, regularisation: float, dropout: float = 0.0) -> Inverse:
    """``inverse_of`` for the rows of one matrix X, shape (rows, width)."""
    return inverse_of([matrix], matrix.shape[1], regularisation, dropout)


def inverse_of(parts: Iterable[csr_array], width: int, regularisation: float, dropout: float = 0.0) -> Inverse:
    """C = (XᵀX + Λ)⁻¹ in float64 by one Cholesky factorisation, in place.

    Args:
        parts: the rows of X, in matrices of shape (rows, width), which need not be in memory at the same time.
        width: number of columns.
        regularisation: λ.
        dropout: p, the share of entries that Λ expects to be dropped.

    Raises:
        SettingError: λ is too small to make XᵀX + Λ positive definite in float64.
    """
    need = BYTES * width**2
    logger.log(
        logging.INFO if need >= TOLD else logging.DEBUG,
        "a linear model of %s columns takes about %.2f GB",
        f"{width:,}",
        need / 1e9,
    )
    return _inverted(Gram.of_parts(parts, width).upper, regularisation, dropout)


def _inverted(gram: npt.NDArray[np.float64], regularisation: float, dropout: float) -> Inverse:
    """The result of ``inverse``, in the memory of XᵀX."""
    diagonal = gram.diagonal().copy()
    ridge = dropout / (1 - dropout) * diagonal + regularisation
    np.fill_diagonal(gram, diagonal + ridge)
    # LAPACK is column-major: its lower triangle is the upper one here, and nothing is copied.
    _, failed = lapack.dpotrf(gram.T, lower=True, clean=False, overwrite_a=True)
    if not failed:
        _, failed = lapack.dpotri(gram.T, lower=True, overwrite_c=True)
    if failed:
        raise SettingError(f"regularisation {regularisation}", expected="a larger number for these data")
    return Inverse(gram, ridge)


def _add_gram(matrix: csr_array, gram: npt.NDArray[np.float64]) -> None:
    """Add XᵀX on and above the diagonal, one block of rows at a time, so that its whole sparse form is never in
    memory."""
    check_csr(matrix)
    exact = matrix.astype(np.float64)
    transposed, width = exact.T.tocsr(), exact.shape[1]
    block = max(1, min(BLOCK_BYTES // (BYTES * max(1, width)), -(-width // 8)))
    for start in range(0, width, block):
        rows = slice(start, start + block)
        gram[rows, start:] += (transposed[rows] @ exact[:, start:]).toarray()

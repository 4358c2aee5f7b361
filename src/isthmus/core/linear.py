"""Closed-form cores: solved, not trained; to tasks they look like any ranker."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from torch import Tensor, nn

from isthmus.batch import Bags
from isthmus.core.bags import bag_sum
from isthmus.errors import SettingError
from isthmus.protocols import Columns


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

    def prepare(self, inputs: Bags) -> Bags:
        """Nothing can be computed before the columns are known."""
        return inputs

    def scores(self, state: Bags, columns: Columns = None) -> Float[Tensor, "batch columns"]:
        """x B, for some columns or all."""
        if columns is None or columns == slice(0, self.width):
            return bag_sum(self.weights, state)
        # Only the rows that the bags hold are gathered, not the columns of the whole matrix.
        rows, places = state.indices.unique(return_inverse=True)
        table = self.weights[:, columns][rows] if isinstance(columns, slice) else self.weights[rows[:, None], columns]
        return bag_sum(table, Bags(places, state.offsets, state.weights))


def ease(matrix: csr_array, regularisation: float) -> npt.NDArray[np.float32]:
    """EASE: the B with a zero diagonal that minimises ‖X − X B‖² + λ ‖B‖².

    With P = (XᵀX + λ I)⁻¹, B_ij = −P_ij / P_jj and B_jj = 0 (Steck, "Embarrassingly Shallow Autoencoders for Sparse
    Data", WWW 2019, equation 8). Solved in float64 by one Cholesky factorisation, in place wherever that can be: it
    takes two matrices of float64 and the result.

    Raises:
        SettingError: λ is too small to make XᵀX + λ I positive definite in float64.
    """
    exact = matrix.astype(np.float64)
    gram = (exact.T @ exact).toarray()
    gram[np.diag_indices_from(gram)] += regularisation
    try:
        # LAPACK overwrites columns; the transposed view of a symmetric matrix has them without a copy.
        factor = cho_factor(gram.T, lower=True, overwrite_a=True, check_finite=False)
    except np.linalg.LinAlgError:
        raise SettingError(f"regularisation {regularisation}", expected="a larger number for these data") from None
    inverse = cho_solve(factor, np.eye(len(gram), order="F"), overwrite_b=True, check_finite=False)
    inverse /= -inverse.diagonal().copy()
    np.fill_diagonal(inverse, 0.0)
    return np.ascontiguousarray(inverse, dtype=np.float32)

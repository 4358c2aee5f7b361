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
        table = self.weights if columns is None else self.weights[:, columns].contiguous()
        return bag_sum(table, state)


def ease(matrix: csr_array, regularisation: float) -> npt.NDArray[np.float32]:
    """EASE: the B with a zero diagonal that minimises ‖X − X B‖² + λ ‖B‖².

    With P = (XᵀX + λ I)⁻¹, B_ij = −P_ij / P_jj and B_jj = 0 (Steck, "Embarrassingly Shallow Autoencoders for Sparse
    Data", WWW 2019, equation 8). Solved in float64 by one Cholesky factorisation.
    """
    gram = (matrix.T @ matrix).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += regularisation
    factor = cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
    inverse = cho_solve(factor, np.eye(len(gram)), overwrite_b=True, check_finite=False)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights.astype(np.float32)

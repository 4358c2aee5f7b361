"""What every model should beat."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.batch import Bags
from isthmus.core.linear import LinearAutoencoder
from isthmus.protocols import Columns
from isthmus_interactions.matrices import Csr


class Popularity:
    """The same ranking for everybody: the share of people who touched an item."""

    def __init__(self, shares: Float[Tensor, " width"]) -> None:
        self.shares = shares

    @classmethod
    def of(cls, matrix: Csr) -> Popularity:
        """Count the people of each item."""
        counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
        return cls(torch.from_numpy((counts / max(1, matrix.shape[0])).astype(np.float32)))

    @property
    def width(self) -> int:
        """How many items are ranked."""
        return len(self.shares)

    def prepare(self, inputs: Bags) -> int:
        """Only the number of people matters."""
        return inputs.size

    def scores(self, state: int, columns: Columns = None) -> Float[Tensor, "batch columns"]:
        """Shares between 0 and 1."""
        return self.shares[slice(None) if columns is None else columns].repeat(state, 1)


def item_neighbours(matrix: Csr, neighbours: int = 100) -> LinearAutoencoder:
    """Item-based collaborative filtering with cosine similarity (Sarwar et al., WWW 2001; Deshpande & Karypis 2004).

    The score of an item is the sum of its cosines with the items of the history; of each item only its nearest
    ``neighbours`` count.
    """
    norms = np.sqrt(np.maximum(matrix.multiply(matrix).sum(0), 1e-12))
    cosines = (matrix.T @ matrix).toarray() / np.outer(norms, norms)
    np.fill_diagonal(cosines, 0.0)
    if neighbours < len(cosines):
        smallest = np.partition(cosines, -neighbours, axis=0)[-neighbours]
        cosines[cosines < smallest] = 0.0
    model = LinearAutoencoder(matrix.shape[1])
    model.weights.copy_(torch.from_numpy(cosines.astype(np.float32)))
    return model

"""What every model should beat, and what stands in where a model has nothing to go by."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from isthmus.batch import Tensors, require_bags
from isthmus.core.linear.dense import LinearAutoencoder
from isthmus.errors import SettingError
from isthmus.protocols import Columns, Ranker
from isthmus_interactions.csr import Csr


class Popularity(nn.Module):
    """The same ranking for everybody: the share of people who touched an item."""

    shares: Tensor

    def __init__(self, shares: Float[Tensor, " width"]) -> None:
        super().__init__()
        self.register_buffer("shares", shares)

    @classmethod
    def of(cls, matrix: Csr, device: torch.device | None = None) -> Popularity:
        """Count the people of each item."""
        counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
        shares = torch.from_numpy((counts / max(1, matrix.shape[0])).astype(np.float32))
        return cls(shares.to(device))

    @property
    def width(self) -> int:
        """How many items are ranked."""
        return len(self.shares)

    def prepare(self, inputs: Tensors) -> int:
        """Only the number of people matters."""
        return inputs.size

    def scores(self, state: int, columns: Columns = None) -> Float[Tensor, "batch columns"]:
        """Shares between 0 and 1."""
        return self.shares[slice(None) if columns is None else columns].repeat(state, 1)


class OrPopular:
    """A ranker that answers an empty history with what is popular, and every other one with a model's scores.

    Args:
        ranker: the model.
        popularity: over the same columns, on the same device.
    """

    def __init__(self, ranker: Ranker, popularity: Popularity) -> None:
        self.ranker, self.popularity = ranker, popularity

    @property
    def width(self) -> int:
        """How many items are ranked."""
        return self.ranker.width

    def prepare(self, inputs: Tensors) -> tuple[Any, Bool[Tensor, " batch"] | None]:
        """The model's state, and which histories are empty; None where none is."""
        empty = require_bags(inputs, "popularity").lengths() == 0
        return self.ranker.prepare(inputs), empty if bool(empty.any()) else None

    def scores(
        self, state: tuple[Any, Bool[Tensor, " batch"] | None], columns: Columns = None
    ) -> Float[Tensor, "batch columns"]:
        """Of the model; shares between 0 and 1 where the history is empty."""
        inner, empty = state
        scores = self.ranker.scores(inner, columns)
        if empty is not None:
            scores[empty] = self.popularity.scores(1, columns).to(scores.dtype)
        return scores


def item_neighbours(matrix: Csr, neighbours: int = 100) -> LinearAutoencoder:
    """Item-based collaborative filtering with cosine similarity (Sarwar et al., WWW 2001; Deshpande & Karypis 2004).

    The score of an item is the sum of its cosines with the items of the history; of each item only its nearest
    ``neighbours`` count, and those that are as near as the last of them.

    Raises:
        SettingError: ``neighbours`` below 1.
    """
    if neighbours < 1:
        raise SettingError(f"neighbours={neighbours}", expected="at least 1")
    cosines = (matrix.T @ matrix).toarray()
    norms = np.sqrt(np.maximum(cosines.diagonal(), 1e-12))
    cosines /= norms[:, None]
    cosines /= norms
    np.fill_diagonal(cosines, 0.0)
    if neighbours < len(cosines):
        smallest = np.partition(cosines, -neighbours, axis=0)[-neighbours]
        cosines[cosines < smallest] = 0.0
    model = LinearAutoencoder(matrix.shape[1])
    model.weights.copy_(torch.from_numpy(cosines.astype(np.float32)))
    return model

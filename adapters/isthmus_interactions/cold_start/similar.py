"""Similar items when some items are known only by their features."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from isthmus.batch import Bags
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.readouts import ranks
from isthmus.index.exact.searcher import rank
from isthmus.index.searchers import searcher_over
from isthmus.protocols import Neighbours
from isthmus.rowlists import RowLists
from isthmus_interactions.cold_start.ranker import ColdStartRanker


class ColdStartSimilarity:
    """Finds nearest items, including new ones.

    For an autoencoder the score is the cosine similarity between rows of the readout, where the row of a new item is
    the mean row plus a combination of the others by M. For all other models it is the score of an item for a history
    that contains only the given one. Higher is nearer.

    Args:
        model: the ranker; its vectors, if it has any, are normalised once.
    """

    def __init__(self, model: ColdStartRanker) -> None:
        self._model = model
        inner = model.model
        self._vectors: Tensor | None = None
        if isinstance(inner, Autoencoder) and ranks(inner.readout):
            self._vectors = _continued(model, inner.readout.weight.detach())
            self._searcher = searcher_over(self._vectors, "cosine")

    def search(self, columns: Int64[Tensor, " batch"], k: int) -> Neighbours:
        """The k nearest columns of each given one, without the column itself.

        Raises:
            SettingError: ``k`` below 1.
        """
        itself = RowLists(columns, torch.arange(len(columns) + 1, device=columns.device))
        if self._vectors is not None:
            return self._searcher.search(self._vectors[columns], k, exclude=itself)
        single = Bags(columns, itself.offsets, torch.ones(len(columns), device=columns.device))
        return rank(self._model, single, k, exclude=itself)


def _continued(model: ColdStartRanker, weight: Float[Tensor, "known hidden"]) -> Float[Tensor, "width hidden"]:
    summed = model.left.T @ weight.to(model.left.dtype)
    above = model.right.T @ summed[1:] if model.right.numel() else summed[1:]
    vectors = weight.new_zeros(model.width, weight.shape[1])
    vectors[: model.known] = weight
    new = (model.place >= 0).nonzero()[:, 0]
    vectors[new] = (above + summed[:1])[model.place[new]].to(weight.dtype)
    return vectors

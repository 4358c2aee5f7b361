"""What is close to what: columns among columns, rows among rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from isthmus.batch import Bags
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.rankers import Blend, is_linear
from isthmus.core.readouts import ranks
from isthmus.errors import SettingError
from isthmus.index.exact.searcher import rank
from isthmus.index.searchers import searcher_over
from isthmus.protocols import LinearRanker, Neighbours, Searcher
from isthmus.rowlists import RowLists
from isthmus.sources import BagSource

CODED = 8192
"""Rows encoded at a time."""


class SimilarColumns:
    """Which columns of a model are near to which.

    For an autoencoder the score is the cosine between rows of the readout, without the bias (which is popularity); for
    a linear core it is the weight with which the given column contributes to the other, and for a blend the score that
    it gives to the other after the given one alone. Higher is nearer.

    Args:
        model: what was trained; its vectors are normalised once, here.

    Raises:
        SettingError: a model that has neither.
    """

    def __init__(self, model: nn.Module) -> None:
        self._search: Callable[[Int64[Tensor, " batch"], RowLists, int], Neighbours]
        if isinstance(model, Blend) or is_linear(model):
            self._search = partial(_by_weight, model)
        elif isinstance(model, Autoencoder) and ranks(model.readout):
            weight = model.readout.weight.detach()
            self._search = partial(_by_cosine, weight, searcher_over(weight, "cosine"))
        else:
            raise SettingError(f"{type(model).__name__} has no vectors of its columns", expected="a ranking readout")

    def search(self, columns: Int64[Tensor, " batch"], k: int) -> Neighbours:
        """The k columns nearest to each of the given ones, which are not among their own neighbours.

        Raises:
            SettingError: ``k`` below 1.
        """
        itself = RowLists(columns, torch.arange(len(columns) + 1, device=columns.device))
        return self._search(columns, itself, k)


def encoded(model: Autoencoder, source: BagSource) -> Float[Tensor, "rows code"]:
    """The point codes of all rows, a few thousand at a time."""
    parts = torch.arange(len(source), device=source.offsets.device).split(CODED)
    with torch.no_grad():
        return torch.cat([model.encode(source.batch(rows).inputs).point for rows in parts])


def _by_weight(model: LinearRanker | Blend, columns: Int64[Tensor, " batch"], itself: RowLists, k: int) -> Neighbours:
    single = Bags(columns, itself.offsets, torch.ones(len(columns), device=columns.device))
    return rank(model, single, k, exclude=itself)


def _by_cosine(
    weight: Float[Tensor, "width hidden"],
    searcher: Searcher,
    columns: Int64[Tensor, " batch"],
    itself: RowLists,
    k: int,
) -> Neighbours:
    return searcher.search(weight[columns], k, exclude=itself)

"""Similarity of columns, and encoding of rows for the similarity of rows."""

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
from isthmus.protocols import LinearRanker, Neighbours, Searcher, Source
from isthmus.rowlists import RowLists

CODED = 8192
"""Number of rows that are encoded together."""


class SimilarColumns:
    """Finds the columns of a model that are most similar to a given one.

    For an autoencoder the score is the cosine between rows of the readout, without the bias (which is popularity). For
    a linear model it is the weight from the given column to the other one, and for a blend the score of the other
    column given the first one alone. Higher is nearer.

    Args:
        model: a trained model; its vectors are normalised once.

    Raises:
        SettingError: a model of another kind.
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
        """The k nearest columns of each given one, without the column itself.

        Raises:
            SettingError: ``k`` below 1.
        """
        itself = RowLists(columns, torch.arange(len(columns) + 1, device=columns.device))
        return self._search(columns, itself, k)


def encoded(model: Autoencoder, source: Source, device: torch.device) -> Float[Tensor, "rows code"]:
    """The point codes of all rows of a source, a few thousand at a time; source and model are on the device."""
    parts = torch.arange(len(source), device=device).split(CODED)
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

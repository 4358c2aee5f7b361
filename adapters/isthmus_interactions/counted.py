"""Baselines that are counted rather than trained, as models to fit, evaluate and save like any other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_array
from torch import Generator

from isthmus.batch import Bag
from isthmus.core.linear.sparse import SparseLinear
from isthmus.index.exact.top_k import best_of
from isthmus.models.linear import bags_matrix
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import fit_in_one_step
from isthmus.protocols import Source
from isthmus.training.history import History
from isthmus.training.progress import Record
from isthmus.training.run import Run, Validation
from isthmus_interactions.baselines import Popularity
from isthmus_interactions.csr import Csr

COSINES = 1 << 23
"""So many cosines are dense at a time: 64 MB."""


@dataclass(frozen=True)
class Counted:
    """A model of items and the function that fills it from a matrix, shape (people, items), on the CPU."""

    model: Popularity | SparseLinear
    fill: Callable[[Any, Csr], None]

    @property
    def chooses_epoch(self) -> bool:
        """There is none."""
        return False

    def fit(self, source: Source, run: Run, validation: Validation | None = None) -> History:
        """Count, then put the model on the run's device. Nothing is random, and nothing can be half done."""

        def work() -> Record:
            self.fill(self.model.cpu(), bags_matrix(source, self.model.width))
            return {}

        return fit_in_one_step(self.model, "count", len(source), run, validation, work)


def popularity(signal: Bag, *, generator: Generator) -> Counted:
    """Popularity: the same ranking for everybody, by the share of people.

    Advice: what every model has to beat; of use by itself for people without any history.
    """

    def fill(model: Popularity, matrix: Csr) -> None:
        model.shares.copy_(Popularity.of(matrix).shares)

    return Counted(Popularity(torch.zeros(signal.width)), fill)


def item_knn(signal: Bag, *, generator: Generator, neighbours: int = 100) -> Counted:
    """Item nearest neighbours: sums of cosines (Sarwar et al., WWW 2001; Deshpande & Karypis, TOIS 2004).

    Advice: a fair bar, found by counting; on very sparse data such as Amazon-Book it is ahead of EASE.

    The score of an item is the sum of its cosines with the items of the history; of each item only its nearest
    ``neighbours`` count, of equally near ones those that come first. Memory grows with items times neighbours.

    Args:
        neighbours: how many items speak for an item.
    """
    check_settings(neighbours=neighbours)
    return Counted(SparseLinear(signal.width, max(1, min(neighbours, signal.width - 1))), _fill_cosines)


def _fill_cosines(model: SparseLinear, matrix: Csr) -> None:
    slots = model.weights.shape[1]
    unit = _unit_columns(matrix)
    transposed = unit.T.tocsr()
    width = unit.shape[1]
    block = max(1, COSINES // width)
    for start in range(0, width, block):
        cosines = (transposed[start : start + block] @ unit).toarray()
        own = np.arange(len(cosines))
        cosines[own, start + own] = -1.0
        nearest = best_of(torch.from_numpy(cosines).float(), slots)
        rows = slice(start, start + len(cosines))
        model.neighbours[rows] = nearest.columns.int()
        # An item that is alone in its catalogue has only itself.
        model.weights[rows] = nearest.scores.clamp(min=0)


def _unit_columns(matrix: Csr) -> csr_array[np.float64, tuple[int, int]]:
    """The matrix with columns of length 1; columns of zeros stay."""
    values: npt.NDArray[np.float64] = matrix.data.astype(np.float64)
    squares = np.bincount(matrix.indices, weights=values**2, minlength=matrix.shape[1])
    scaled = values / np.sqrt(squares)[matrix.indices]
    unit: csr_array[np.float64, tuple[int, int]] = csr_array((scaled, matrix.indices, matrix.indptr), matrix.shape)
    return unit

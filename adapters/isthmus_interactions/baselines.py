"""Baselines that every model should beat: popularity and item neighbours, as rankers and as models to fit and save.

They are computed from counts rather than trained. Popularity is also used for histories without known items.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float
from scipy.sparse import csr_array
from torch import Generator, Tensor, nn

from isthmus.batch import Bag, Bags, Histories, Tensors, TokenRows, require_bags
from isthmus.core.linear.dense import LinearAutoencoder
from isthmus.core.linear.sparse import SparseLinear
from isthmus.core.recency import seconds_of
from isthmus.errors import SettingError
from isthmus.index.exact.top_k import best_of
from isthmus.models.linear import bags_matrix
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import fit_in_one_step
from isthmus.protocols import Columns, Ranker, Source
from isthmus.reprs import brief
from isthmus.training.history import History
from isthmus.training.progress import Record
from isthmus.training.run import Run, Validation
from isthmus_interactions.csr import Csr, item_counts, stored_where

COSINES_AT_A_TIME = 1 << 23
"""Number of cosines that are dense at a time: 64 MB."""


class Popularity(nn.Module):
    """The same ranking for all users: by the share of users who have an item.

    Args:
        shares: the share of each item.
        window: seconds before the newest event in which users are counted; None for all.
    """

    shares: Tensor

    def __init__(self, shares: Float[Tensor, " width"], window: float | None = None) -> None:
        super().__init__()
        self.register_buffer("shares", shares)
        self.window = window

    @property
    def trained_on_times(self) -> bool:
        """Whether counting needs times."""
        return self.window is not None

    @classmethod
    def of(cls, matrix: Csr, device: torch.device | None = None) -> Popularity:
        """Count the users of each item."""
        counts = item_counts(matrix)
        shares = torch.from_numpy((counts / max(1, matrix.shape[0])).astype(np.float32))
        return cls(shares.to(device))

    @property
    def width(self) -> int:
        """The number of items."""
        return len(self.shares)

    def prepare(self, inputs: Tensors) -> int:
        """Only the number of histories is used."""
        return inputs.size

    def scores(self, state: int, columns: Columns = None) -> Float[Tensor, "batch columns"]:
        """Shares between 0 and 1."""
        return self.shares[slice(None) if columns is None else columns].repeat(state, 1)


class PopularityFallback:
    """A ranker that ranks popular items for empty histories, and uses the scores of a model for all others.

    Args:
        ranker: the model.
        popularity: popularity of the same columns, on the same device.
    """

    def __init__(self, ranker: Ranker, popularity: Popularity) -> None:
        self.ranker, self.popularity = ranker, popularity

    @property
    def width(self) -> int:
        """The number of items."""
        return self.ranker.width

    def prepare(self, inputs: Tensors) -> tuple[Any, Bool[Tensor, " batch"] | None]:
        """The state of the model, and which histories are empty; None if none is."""
        empty = is_empty(inputs)
        return self.ranker.prepare(inputs), empty if bool(empty.any()) else None

    def scores(
        self, state: tuple[Any, Bool[Tensor, " batch"] | None], columns: Columns = None
    ) -> Float[Tensor, "batch columns"]:
        """Scores of the model; shares between 0 and 1 for empty histories."""
        inner, empty = state
        scores = self.ranker.scores(inner, columns)
        if empty is not None:
            scores[empty] = self.popularity.scores(1, columns).to(scores.dtype)
        return scores


def is_empty(inputs: Tensors) -> Bool[Tensor, " batch"]:
    """Which rows are empty: no entry in a bag, no token in a sequence."""
    if isinstance(inputs, Bags | Histories):
        return require_bags(inputs, "a history").lengths() == 0
    if isinstance(inputs, TokenRows):
        return ~inputs.mask.any(1)
    return torch.zeros(inputs.size, dtype=torch.bool, device=inputs.values.device)


def item_neighbours(matrix: Csr, neighbours: int = 100) -> LinearAutoencoder:
    """Item-based collaborative filtering with cosine similarity (Sarwar et al., WWW 2001; Deshpande & Karypis 2004).

    The score of an item is the sum of its cosine similarities with the items of the history. For each item only its
    nearest ``neighbours`` count, including ties with the last of them.

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


@brief
@dataclass(frozen=True)
class CountingRecipe:
    """A model of items, and the function that fills it from a matrix of shape (users, items), on the CPU.

    Attributes:
        window: only entries of this many seconds before the newest one are counted; None for all.
    """

    model: Popularity | SparseLinear
    fill: Callable[[Any, Csr], None]
    window: float | None = None

    @property
    def chooses_epoch(self) -> bool:
        """Whether there is an epoch to choose. There is not, because nothing is trained."""
        return False

    def fit(self, source: Source, run: Run, validation: Validation | None = None) -> History:
        """Count, then move the model to the device of the run. Deterministic.

        Args:
            source: bags.
            run: device and progress.
            validation: the score to compute afterwards.

        Returns:
            One record, because counting takes a single pass.
        """

        def work() -> Record:
            matrix = bags_matrix(source, self.model.width)
            self.fill(self.model.cpu(), matrix if self.window is None else _newest(source, matrix, self.window))
            return {}

        return fit_in_one_step(self.model, "count", len(source), run, validation, work)


def _newest(source: Source, matrix: Csr, window: float) -> Csr:
    """The entries of the last ``window`` seconds before the newest one."""
    bags = require_bags(source.to(torch.device("cpu")).batch(torch.arange(len(source))).inputs, "popularity")
    if bags.times is None:
        raise SettingError("recent popularity without times", expected="interactions with dates, or seconds since 1970")
    newest = float(bags.times.max()) if len(bags.times) else 0.0
    return stored_where(matrix, (bags.times > newest - window).numpy())


def popularity(signal: Bag, *, generator: Generator, recent: str | None = None) -> CountingRecipe:
    """Popularity: the same ranking for all users, by the share of users who have an item.

    Advice: the baseline that every model has to beat; useful by itself for users without any history. Where tastes
    change fast, popularity of the last days is hard to beat.

    Args:
        recent: count only what happened in this time before the newest event, such as "7d" or "12h" (s, min, h, d, w or
            y); null counts everything. Needs dates, or seconds since 1970.
    """
    window = None if recent is None else seconds_of(recent, "recent")

    def fill(model: Popularity, matrix: Csr) -> None:
        model.shares.copy_(Popularity.of(matrix).shares)

    return CountingRecipe(Popularity(torch.zeros(signal.width), window), fill, window)


def item_knn(signal: Bag, *, generator: Generator, neighbours: int = 100) -> CountingRecipe:
    """Item nearest neighbours: sums of cosines (Sarwar et al., WWW 2001; Deshpande & Karypis, TOIS 2004).

    Advice: a strong baseline without training; on very sparse data such as Amazon-Book it is better than EASE.

    The score of an item is the sum of its cosine similarities with the items of the history. For each item only its
    nearest ``neighbours`` count, and of equally near ones the first. Memory grows with items times neighbours.

    Args:
        neighbours: how many items contribute to the score of an item.

    Returns:
        A recipe to fit; its model scores items by sums of cosines, higher is better.
    """
    check_settings(neighbours=neighbours)
    return CountingRecipe(SparseLinear(signal.width, max(1, min(neighbours, signal.width - 1))), fill_cosines)


def fill_cosines(model: SparseLinear, matrix: Csr) -> None:
    """Compute the nearest columns of each column of a matrix and their cosines, in place; negative cosines count 0."""
    slots = model.weights.shape[1]
    unit = _unit_columns(matrix)
    transposed = unit.T.tocsr()
    width = unit.shape[1]
    block = max(1, COSINES_AT_A_TIME // width)
    for start in range(0, width, block):
        cosines = (transposed[start : start + block] @ unit).toarray()
        own = np.arange(len(cosines))
        cosines[own, start + own] = -1.0
        nearest = best_of(torch.from_numpy(cosines).float(), slots)
        rows = slice(start, start + len(cosines))
        model.neighbours[rows] = nearest.columns.int()
        # In a catalogue with a single item, the item has no neighbours but itself.
        model.weights[rows] = nearest.scores.clamp(min=0)


def _unit_columns(matrix: Csr) -> csr_array[np.float64, tuple[int, int]]:
    """The matrix with normalised columns; columns of zeros are unchanged."""
    values: npt.NDArray[np.float64] = matrix.data.astype(np.float64)
    squares = np.bincount(matrix.indices, weights=values**2, minlength=matrix.shape[1])
    scaled = values / np.sqrt(squares)[matrix.indices]
    unit: csr_array[np.float64, tuple[int, int]] = csr_array((scaled, matrix.indices, matrix.indptr), matrix.shape)
    return unit

"""Users of the training data: their bags, and the users nearest to a history."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int64
from scipy.sparse import csr_array
from torch import Tensor, nn

from isthmus.batch import Bags, Tensors, TokenRows, require_bags
from isthmus.checked.arguments import checked_k
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.recency import Recent
from isthmus.index.searchers import searcher_over
from isthmus.models.recipes.recent import RecentSource
from isthmus.protocols import Neighbours, Searcher
from isthmus.sources import BagSource
from isthmus.tasks.similar import encoded
from isthmus_interactions.baselines import is_empty
from isthmus_interactions.csr import Csr
from isthmus_interactions.order.inputs import all_rows, reads_of, source_of
from isthmus_interactions.ordered_histories import OrderedHistories

SOME = 512
"""Number of users whose bags represent all of them."""

ENCODED = 4096
"""Number of histories that are encoded at a time."""

CELLS = 1 << 22
"""Maximum number of cosines between histories and users at a time (except for a single history): about 50 MB."""


class SimilarUsers:
    """The users of the training data, with codes if the model has them.

    Args:
        model: autoencoders compare users by their codes, other models by their interactions. One with a half-life
            compares weighed bags.
        interactions: training interactions, shape (users, items).
        histories: the same events in order, if known.
    """

    def __init__(self, model: nn.Module, interactions: Csr, histories: OrderedHistories | None = None) -> None:
        self.model = model.model if isinstance(model, Recent) else model
        self._bags, self._source = BagSource.from_csr(interactions), source_of(interactions, histories, reads_of(model))
        if isinstance(model, Recent):
            self._source = RecentSource(self._source, model.half_life)
            whole = require_bags(all_rows(self._source), "a model with a half-life")
            interactions = csr_array(
                (whole.weights.numpy(), interactions.indices, interactions.indptr), interactions.shape
            )
        self.interactions = interactions

    def bags(self, rows: Int64[Tensor, " batch"]) -> Bags:
        """The interactions of the given users, on the CPU."""
        bags = self._bags.batch(rows).inputs
        assert isinstance(bags, Bags)
        return bags

    def some(self) -> Tensors:
        """The histories of a few hundred users, evenly spaced over all of them, as the model reads them; on the CPU."""
        return self._source.batch(self._some_rows()).inputs

    def _some_rows(self) -> Int64[Tensor, " some"]:
        return torch.arange(0, len(self._source), max(1, len(self._source) // SOME))

    def nearest(self, inputs: Tensors, k: int, device: torch.device) -> Neighbours:
        """The k nearest users for each history; an empty one has no neighbours.

        Args:
            inputs: histories as the model reads them.
            k: number of users.
            device: device of the model.

        Returns:
            Rows of users and their scores, nearest first; higher is nearer.

        Raises:
            SettingError: ``k`` below 1.
        """
        k = min(checked_k(k), len(self._source))
        if not isinstance(self.model, Autoencoder):
            return self._rows.search(_bags_of(inputs), k)
        with torch.no_grad():
            parts = [self._nearest_codes(inputs.part(*span), k, device) for span in _spans(inputs.size)]
        found = Neighbours(torch.cat([one.rows for one in parts]), torch.cat([one.scores for one in parts]))
        empty = is_empty(inputs).to(device)[:, None]
        return Neighbours(found.rows.masked_fill(empty, -1), found.scores.masked_fill(empty, -torch.inf))

    def _nearest_codes(self, inputs: Tensors, k: int, device: torch.device) -> Neighbours:
        assert isinstance(self.model, Autoencoder)
        return self._searcher.search(self.model.encode(inputs.to(device)).point, k)

    @cached_property
    def _rows(self) -> NearestRows:
        return NearestRows.of(self.interactions)

    @cached_property
    def _searcher(self) -> Searcher:
        assert isinstance(self.model, Autoencoder)
        device = next(self.model.parameters()).device
        return searcher_over(encoded(self.model, self._source.to(device), device), "cosine")


def _bags_of(inputs: Tensors) -> Bags:
    """Bags on the CPU; token rows become bags in which each item counts once."""
    if not isinstance(inputs, TokenRows):
        return require_bags(inputs, "similar users").to(torch.device("cpu"))
    rows = inputs.to(torch.device("cpu"))
    owners = torch.arange(rows.size)[:, None].expand_as(rows.ids)
    pairs = torch.stack([owners[rows.mask], rows.ids[rows.mask]]).unique(dim=1)
    offsets = torch.searchsorted(pairs[0].contiguous(), torch.arange(rows.size + 1))
    return Bags(pairs[1], offsets, torch.ones(pairs.shape[1]))


def _spans(size: int) -> list[tuple[int, int]]:
    return [(start, min(size, start + ENCODED)) for start in range(0, max(1, size), ENCODED)]


@dataclass(frozen=True, eq=False)
class NearestRows:
    """Rows of a matrix by their cosine similarity with bags, without codes.

    Attributes:
        columns: the rows, normalised, as columns: shape (items, users).
    """

    columns: Csr

    @classmethod
    def of(cls, interactions: Csr) -> NearestRows:
        """Normalise the rows of a matrix of shape (users, items)."""
        return cls(_unit(interactions).T.tocsr())

    def search(self, bags: Bags, k: int) -> Neighbours:
        """The k rows with the largest cosine similarity to each bag; equal ones in ascending order of row.

        Rows that have no item in common with the bag are not returned. Bags are processed a few at a time, so that at
        most ``CELLS`` cosines exist at once.

        Args:
            bags: histories, on the CPU.
            k: number of rows.

        Returns:
            Rows and cosines from 0 to 1, nearest first; row -1 with score -inf if there are fewer.
        """
        parts = (bags.weights.numpy(), bags.indices.numpy(), bags.offsets.numpy())
        asked = _unit(csr_array(parts, shape=(bags.size, self.columns.shape[0])))
        rows = np.full((bags.size, k), -1, dtype=np.int64)
        scores = np.full((bags.size, k), -np.inf, dtype=np.float32)
        step = max(1, CELLS // max(1, self.columns.shape[1]))
        for start in range(0, bags.size, step):
            cosines = (asked[start : start + step] @ self.columns).tocsr()
            for place in range(cosines.shape[0]):
                here = slice(cosines.indptr[place], cosines.indptr[place + 1])
                found, values = _best(cosines.indices[here], cosines.data[here], k)
                rows[start + place, : len(found)], scores[start + place, : len(found)] = found, values
        return Neighbours(torch.from_numpy(rows), torch.from_numpy(scores))


def _best(found: npt.NDArray[Any], values: npt.NDArray[Any], k: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The k largest values, largest first, and their positions; only these are sorted."""
    if len(values) > k:
        # All values that equal the k-th, so that the first of them can be chosen.
        near = values >= np.partition(values, len(values) - k)[len(values) - k]
        found, values = found[near], values[near]
    best = np.lexsort((found, -values))[:k]
    return found[best], values[best]


def _unit(matrix: Csr) -> Csr:
    owners = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    squares = np.bincount(owners, weights=np.square(matrix.data, dtype=np.float64), minlength=matrix.shape[0])
    unit: Csr = csr_array((matrix.data / np.sqrt(squares)[owners], matrix.indices, matrix.indptr), shape=matrix.shape)
    return unit

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

from isthmus.batch import Bags
from isthmus.checked.arguments import checked_k
from isthmus.core.autoencoder import Autoencoder
from isthmus.index.searchers import searcher_over
from isthmus.protocols import Neighbours, Searcher
from isthmus.sources import BagSource
from isthmus.tasks.similar import encoded
from isthmus_interactions.csr import Csr

SOME = 512
"""Number of users whose bags represent all of them."""

ENCODED = 4096
"""Number of histories that are encoded at a time."""

CELLS = 1 << 22
"""Maximum number of cosines between histories and users at a time (except for a single history): about 50 MB."""


class SimilarUsers:
    """The users of the training data, with codes if the model has them.

    Args:
        model: autoencoders compare users by their codes, other models by their interactions.
        interactions: training interactions, shape (users, items).
    """

    def __init__(self, model: nn.Module, interactions: Csr) -> None:
        self.model, self.interactions = model, interactions
        self._source = BagSource.from_csr(interactions)

    def bags(self, rows: Int64[Tensor, " batch"]) -> Bags:
        """The interactions of the given users, on the CPU."""
        bags = self._source.batch(rows).inputs
        assert isinstance(bags, Bags)
        return bags

    def some(self) -> Bags:
        """The interactions of a few hundred users, evenly spaced over all of them; on the CPU."""
        return self.bags(torch.arange(0, len(self._source), max(1, len(self._source) // SOME)))

    def nearest(self, bags: Bags, k: int, device: torch.device) -> Neighbours:
        """The k nearest users for each bag; bags are on the CPU, and an empty bag has no neighbours.

        Args:
            bags: histories, on the CPU.
            k: number of users.
            device: device of the model.

        Returns:
            Rows of users and their scores, nearest first; higher is nearer.

        Raises:
            SettingError: ``k`` below 1.
        """
        k = min(checked_k(k), len(self._source))
        if not isinstance(self.model, Autoencoder):
            return self._rows.search(bags, k)
        with torch.no_grad():
            parts = [self._nearest_codes(bags.part(*span), k, device) for span in _spans(bags.size)]
        found = Neighbours(torch.cat([one.rows for one in parts]), torch.cat([one.scores for one in parts]))
        empty = (bags.lengths() == 0).to(device)[:, None]
        return Neighbours(found.rows.masked_fill(empty, -1), found.scores.masked_fill(empty, -torch.inf))

    def _nearest_codes(self, bags: Bags, k: int, device: torch.device) -> Neighbours:
        assert isinstance(self.model, Autoencoder)
        return self._searcher.search(self.model.encode(bags_to(bags, device)).point, k)

    @cached_property
    def _rows(self) -> NearestRows:
        return NearestRows.of(self.interactions)

    @cached_property
    def _searcher(self) -> Searcher:
        assert isinstance(self.model, Autoencoder)
        device = next(self.model.parameters()).device
        return searcher_over(encoded(self.model, self._source.to(device)), "cosine")


def _spans(size: int) -> list[tuple[int, int]]:
    return [(start, min(size, start + ENCODED)) for start in range(0, max(1, size), ENCODED)]


def bags_to(bags: Bags, device: torch.device) -> Bags:
    """The bags on a device."""
    return Bags(bags.indices.to(device), bags.offsets.to(device), bags.weights.to(device))


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

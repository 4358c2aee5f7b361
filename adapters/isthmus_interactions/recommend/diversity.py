"""Diverse recommendations: maximal marginal relevance over the best candidates.

Carbonell & Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing Summaries",
SIGIR 1998. With d from 0 (the plain ranking) to 1, each next item is the candidate i with the largest

    (1 − d) · relevance_i − d · max_{j already chosen} similarity_ij

The first item is always the best one. The relevance is the score, scaled to 0..1 over the candidates of the user (0 if
all scores are equal). The similarity is the cosine between two items' columns of interactions, from 0 (no user has
both) to 1 (the same users have both), for every model. Ties are resolved in favour of the better candidate.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from isthmus.checked.arguments import real
from isthmus.protocols import Neighbours
from isthmus_interactions.csr import Csr, row_of_entry, select_rows

CANDIDATES = 10
"""Number of candidates per requested item."""

FEWEST_CANDIDATES = 100

CELLS = 1 << 24
"""Maximum number of similarities at a time (except for a single user): 128 MB."""

Rows = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


def check_diversity(diversity: float) -> None:
    """Raise SettingError if the diversity is not from 0 to 1."""
    real("diversity", diversity, "a number from 0 (best first) to 1 (as different as possible)", least=0, most=1)


def candidates(k: int) -> int:
    """Number of candidates from which ``k`` items are chosen."""
    return max(CANDIDATES * k, FEWEST_CANDIDATES)


class Diversity:
    """Re-ranks recommendations by the similarity of items.

    There is no matrix of items × items: similarities are computed, exactly and sparsely, between the item chosen last
    for each user and the user's candidates.

    Args:
        interactions: training interactions, shape (users, items).
    """

    def __init__(self, interactions: Csr) -> None:
        self._interactions = interactions

    def rerank(self, found: Neighbours, k: int, diversity: float) -> Neighbours:
        """The ``k`` items of each user in the order of maximal marginal relevance, with their original scores.

        Args:
            found: candidates, best first, as returned by a search.
            k: number of items; with fewer candidates all of them, followed by row -1 with score -inf.
            diversity: d, from 0 to 1; 0 keeps the first ``k``.

        Returns:
            Rows and scores, shape (batch, at most k).

        Raises:
            SettingError: ``diversity`` outside 0 to 1.
        """
        check_diversity(diversity)
        if diversity == 0 or not found.rows.numel():
            return Neighbours(found.rows[:, :k], found.scores[:, :k])
        rows, scores = found.rows.cpu().numpy(), found.scores.cpu().numpy().astype(np.float64)
        step = self._users_at_a_time(rows.shape[1])
        order = np.concatenate(
            [
                self._order(rows[start : start + step], scores[start : start + step], k, diversity)
                for start in range(0, len(rows), step)
            ]
        )
        places = torch.from_numpy(order).to(found.rows.device)
        return Neighbours(found.rows.gather(1, places), found.scores.gather(1, places))

    def intra_list_similarity(self, rows: Int64[Tensor, "batch k"]) -> Float64[Tensor, " batch"]:
        """The mean cosine over all pairs of each list; NaN for fewer than two items. Lower is more diverse.

        Ziegler, McNee, Konstan & Lausen, "Improving Recommendation Lists Through Topic Diversification", WWW 2005, as a
        mean instead of a sum.

        Args:
            rows: items, -1 if there are fewer.
        """
        found = np.full(len(rows), np.nan)
        step = self._users_at_a_time(rows.shape[1])
        for start in range(0, len(rows), step):
            some = rows[start : start + step].cpu().numpy()
            block = _Block(self._columns, self._norms, some)
            filled = some >= 0
            sums = np.zeros(len(some))
            for place in range(some.shape[1]):
                near = block.similarities(np.full(len(some), place))
                near[:, place] = 0
                sums += (near * filled).sum(1) * filled[:, place]
            pairs = filled.sum(1) * (filled.sum(1) - 1)
            np.divide(sums, pairs, out=found[start : start + step], where=pairs > 0)
        return torch.from_numpy(found)

    @cached_property
    def _columns(self) -> Csr:
        """Items as rows, so that they can be selected: shape (items, users)."""
        columns: Csr = self._interactions.T.tocsr()
        columns.sort_indices()
        return columns

    @cached_property
    def _norms(self) -> Values:
        squares = np.square(self._columns.data, dtype=np.float64)
        sums = np.bincount(row_of_entry(self._columns), weights=squares, minlength=self._columns.shape[0])
        # An item without interactions has cosine 0 with every other one.
        norms: Values = np.where(sums > 0, np.sqrt(sums), 1.0)
        return norms

    def _users_at_a_time(self, width: int) -> int:
        """Similarities have at most one row per user and one column per item or candidate."""
        return max(1, CELLS // max(1, self._columns.shape[0]), math.isqrt(CELLS // max(1, width)))

    def _order(self, rows: Rows, scores: Values, k: int, diversity: float) -> Rows:
        """Positions of candidates in their new order, shape (users, at most k)."""
        users, width = rows.shape
        everybody, filled = np.arange(users), rows >= 0
        relevance = _scaled(scores, filled)
        block = _Block(self._columns, self._norms, rows)
        open_, nearest = filled.copy(), np.zeros((users, width))
        order = np.zeros((users, min(k, width)), dtype=np.int64)
        for step in range(order.shape[1]):
            if step:
                np.maximum(nearest, block.similarities(order[:, step - 1]), out=nearest)
                worth = (1 - diversity) * relevance - diversity * nearest
                # If no candidate is left, the following positions contain row -1.
                order[:, step] = np.where(open_.any(1), np.where(open_, worth, -np.inf).argmax(1), step)
            open_[everybody, order[:, step]] = False
        return order


class _Block:
    """Candidates of some users, and their similarity to one of them."""

    def __init__(self, columns: Csr, norms: Values, rows: Rows) -> None:
        items, places = np.unique(np.maximum(rows, 0), return_inverse=True)
        self._places = places.reshape(rows.shape)
        # Any, because SciPy's types do not describe the product.
        self._unit: Any = select_rows(columns, items).astype(np.float64)
        self._unit.data /= np.repeat(norms[items], np.diff(self._unit.indptr))
        self._transposed = self._unit.T.tocsr()

    def similarities(self, chosen: Rows) -> Values:
        """The cosine of each user's candidates with the one at position ``chosen``, shape (users, candidates)."""
        own = self._places[np.arange(len(chosen)), chosen]
        asked, which = np.unique(own, return_inverse=True)
        near = (self._unit[asked] @ self._transposed).toarray()
        taken: Values = near[which.reshape(-1)[:, None], self._places]
        return taken


def _scaled(scores: Values, filled: npt.NDArray[np.bool_]) -> Values:
    largest = np.where(filled, scores, -np.inf).max(1, keepdims=True)
    least = np.where(filled, scores, np.inf).min(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(filled & (largest > least), (scores - least) / (largest - least), 0.0)

"""Known items that are treated as if they had no interactions, and users who are asked about them.

The items are left out of users' histories, predicted from the others by their features, and compared with what those
users do have interactions with. Nothing is trained again: the model is only not given them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_array

from isthmus.metrics.ranking import judge, ndcg
from isthmus.protocols import Ranker
from isthmus.rowlists import from_csr
from isthmus.sources import BagSource
from isthmus_interactions.cold_start.ridge import Mixing
from isthmus_interactions.csr import Csr, places_in_rows, row_of_entry, stored_where

MOST_USERS, FEWEST_USERS = 1_000, 10
MOST_ITEMS = 3_000
LEFT_OUT = 0.2
"""Of the items, and of what each user has."""

CELLS = 1 << 25
"""Scores of a trial, at most: 128 MB."""

MIN_HISTORY = 5
K = 20

Scores = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ItemHoldout:
    """Some users, whose histories are given without some items.

    Attributes:
        rest: places, in the list of known items, of those that stay.
        left_out: places of those that are left out.
        columns: columns of ``scores`` of what stays, and of what is left out.
        scores: of the model that was not given the left-out items, shape (users, width).
        history: what it was given, shape (users, rest).
        touched: interactions of the users with left-out items, shape (users, left_out).
        seen: what must not be answered when everything is ranked, shape (users, width).
        asked: what is asked for then: a fifth of everything that each user has.
    """

    rest: Rows
    left_out: Rows
    columns: tuple[Rows, Rows]
    scores: Scores
    history: Scores
    touched: Csr
    seen: Csr
    asked: Csr

    @classmethod
    def drawn(
        cls, ranker: Ranker, interactions: Csr, columns: Rows, generator: np.random.Generator, device: torch.device
    ) -> ItemHoldout | None:
        """Draw items; None where there are too few, or too few users.

        Args:
            ranker: over the columns of ``interactions``, on ``device``.
            interactions: of the users who are asked, shape (users, width).
            columns: the known items.
            generator: for items, and for what is hidden of each user.
            device: where the ranker reads.

        Returns:
            The users and items of one draw.
        """
        order = generator.permutation(len(columns))[:MOST_ITEMS]
        out, rest = (np.sort(part) for part in np.split(order, [round(len(order) * LEFT_OUT)]))
        if len(out) < 2 or len(rest) < 4 or interactions.shape[0] < FEWEST_USERS:
            return None
        most = np.floor(LEFT_OUT * np.diff(interactions.indptr))[row_of_entry(interactions)]
        hidden = places_in_rows(interactions, generator.random(interactions.nnz)) < most
        inputs = stored_where(interactions, ~hidden & ~np.isin(interactions.indices, columns[out]))
        return cls(
            rest,
            out,
            (columns[rest], columns[out]),
            _scores(ranker, inputs, device),
            inputs[:, columns[rest]].toarray(),
            csr_array(interactions[:, columns[out]]),
            stored_where(interactions, ~hidden),
            stored_where(interactions, hidden),
        )

    @property
    def level(self) -> Scores:
        """The mean score of what stays, shape (users, 1)."""
        level: Scores = self.scores[:, self.columns[0]].mean(1, keepdims=True)
        return level

    @property
    def true(self) -> Scores:
        """The model's own scores of left-out items, above the level."""
        above: Scores = self.scores[:, self.columns[1]] - self.level
        return above

    def carried(self, mixed: Mixing) -> tuple[Scores, Scores]:
        """What the model's scores, and what the history, say of the left-out items."""
        return mixed.of(self.scores[:, self.columns[0]]), mixed.of(self.history)

    def among_left_out(self, above: Scores) -> float:
        """nDCG@20 when only left-out items are ranked, by their scores above the level."""
        return _ndcg(above, self.touched)

    def among_all(self, above: Scores) -> float:
        """nDCG@20 when everything is ranked that was not seen."""
        whole = self.scores.copy()
        whole[:, self.columns[1]] = self.level + above
        whole[self.seen.nonzero()] = -np.inf
        return _ndcg(whole, self.asked)


def sample_users(interactions: Csr, generator: np.random.Generator) -> Rows:
    """Rows of a fifth of the users who have enough items, a thousand at most."""
    enough = np.flatnonzero(np.diff(interactions.indptr) >= MIN_HISTORY)
    many = min(MOST_USERS, round(LEFT_OUT * len(enough)), max(FEWEST_USERS, CELLS // max(1, interactions.shape[1])))
    return np.sort(generator.permutation(enough)[:many])


def _scores(ranker: Ranker, inputs: Csr, device: torch.device) -> Scores:
    with torch.no_grad():
        bags: Any = BagSource.from_csr(inputs, device).batch(torch.arange(inputs.shape[0])).inputs
        found: Scores = ranker.scores(ranker.prepare(bags)).float().cpu().numpy()
    return found


def _ndcg(scores: Scores, relevant: Csr) -> float:
    k = min(K, scores.shape[1])
    best = torch.topk(torch.from_numpy(scores), k).indices
    return float(ndcg(judge(best, from_csr(relevant)), k).nanmean().nan_to_num())

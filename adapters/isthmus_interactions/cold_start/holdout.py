"""Known items that are treated as new, and users on whom this is evaluated.

The items are removed from the users' histories, predicted from the other items by their features, and compared with the
users' actual interactions. The model is not trained again; it only does not see these items.
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
"""Share of the items that is left out, and share of each user's items to find."""

CELLS = 1 << 25
"""Maximum number of scores in a trial: 128 MB."""

MIN_HISTORY = 5
K = 20

Scores = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ItemHoldout:
    """Some users, with histories from which some items are removed.

    Attributes:
        rest: positions, in the list of known items, of the remaining items.
        left_out: positions of the items that are left out.
        columns: columns of ``scores`` for the remaining items, and for those that are left out.
        scores: scores of the model without the left-out items, shape (users, width).
        history: histories that the model received, shape (users, rest).
        touched: interactions of the users with left-out items, shape (users, left_out).
        seen: items that are not ranked when all items are ranked, shape (users, width).
        asked: items to find in that ranking: a fifth of the items of each user.
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
        """Draw items to leave out; None if there are too few items or users.

        Args:
            ranker: ranks the columns of ``interactions``, on ``device``.
            interactions: interactions of the evaluated users, shape (users, width).
            columns: the known items.
            generator: random generator for the items, and for the hidden items of each user.
            device: device of the ranker.

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
        """The mean score of the remaining items, shape (users, 1)."""
        level: Scores = self.scores[:, self.columns[0]].mean(1, keepdims=True)
        return level

    @property
    def true(self) -> Scores:
        """The model's own scores of left-out items, minus the mean score."""
        above: Scores = self.scores[:, self.columns[1]] - self.level
        return above

    def carried(self, mixed: Mixing) -> tuple[Scores, Scores]:
        """The predictions for left-out items from the model's scores, and from the history."""
        return mixed.of(self.scores[:, self.columns[0]]), mixed.of(self.history)

    def among_left_out(self, above: Scores) -> float:
        """nDCG@20 when only left-out items are ranked, by their scores minus the mean score."""
        return _ndcg(above, self.touched)

    def among_all(self, above: Scores) -> float:
        """nDCG@20 when all unseen items are ranked."""
        whole = self.scores.copy()
        whole[:, self.columns[1]] = self.level + above
        whole[self.seen.nonzero()] = -np.inf
        return _ndcg(whole, self.asked)


def sample_users(interactions: Csr, generator: np.random.Generator) -> Rows:
    """Rows of a fifth of the users who have enough items, at most a thousand."""
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

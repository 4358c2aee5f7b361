"""Outcomes of recommendations for held-out users: which of their best items were among the hidden ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from isthmus.batch import Tensors
from isthmus.core.rankers import ranker_of
from isthmus.index.exact.searcher import rank_prepared
from isthmus.protocols import Ranker
from isthmus.reprs import brief
from isthmus.rowlists import from_csr
from isthmus.sources import even_rows
from isthmus_interactions.calibration.curve import Numbers
from isthmus_interactions.csr import Csr, select_rows
from isthmus_interactions.order.inputs import reads_of, source_of
from isthmus_interactions.splits import FoldIn

DEPTH = 100
"""Number of best items of a history for which the rank is used."""

MOST = 4_000
"""Maximum number of users; more would change little and take long for large catalogues."""

OTHERS = 200
"""Number of sampled items beyond the best ones, for a block of users together."""

AT_A_TIME = 64

Hits = npt.NDArray[np.bool_]


@brief
@dataclass(frozen=True, eq=False)
class Outcomes:
    """Scores and hits of some users with histories and hidden items.

    Attributes:
        scores: scores of the best items of each history without those of the history, best first, padded with −inf.
            Shape (users, ``DEPTH``), or fewer columns for a small catalogue.
        hits: whether each of them was hidden, same shape.
        lengths: number of items of each history.
        hidden: number of hidden items of each user.
        other_scores: scores of items that are not among the best of their user, for all users together.
        other_hits: whether they were hidden.
        other_weights: number of such items that each represents.
    """

    scores: Numbers
    hits: Hits
    lengths: npt.NDArray[np.int64]
    hidden: npt.NDArray[np.int64]
    other_scores: Numbers
    other_hits: Hits
    other_weights: Numbers

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, rows: npt.NDArray[np.int64]) -> Outcomes:
        """A subset of the users; the other items are those of all users."""
        others = (self.other_scores, self.other_hits, self.other_weights)
        return Outcomes(self.scores[rows], self.hits[rows], self.lengths[rows], self.hidden[rows], *others)


@torch.no_grad()
def outcomes(model: nn.Module, fold: FoldIn, device: torch.device, seed: int = 0) -> Outcomes | None:
    """Rank items for the users of a fold and compare them with the hidden items.

    Args:
        model: the model, which must not have been trained on the hidden items.
        fold: histories and hidden items; at most ``MOST`` evenly spaced users are used.
        device: device of the model.
        seed: seed for the choice of items beyond the best ones.

    Returns:
        Scores and hits of the users with a history; None if there are none.
    """
    # Without a history, popular items are recommended instead of the model's.
    asked = np.flatnonzero(np.diff(fold.history.indptr))
    rows = asked[even_rows(len(asked), MOST).numpy()]
    history, hidden = select_rows(fold.history, rows), select_rows(fold.held_out, rows)
    if not len(rows):
        return None
    source = source_of(history, None if fold.ordered is None else fold.ordered.take(rows), reads_of(model))
    generator = np.random.default_rng(seed)
    ranker, parts = ranker_of(model), list[Outcomes]()
    for start in range(0, len(rows), AT_A_TIME):
        some = np.arange(start, min(len(rows), start + AT_A_TIME))
        inputs = source.batch(torch.from_numpy(some)).inputs.to(device)
        here = _Asked(ranker, inputs, select_rows(history, some), select_rows(hidden, some), device)
        parts.append(here.outcomes(generator))
    names = list(Outcomes.__dataclass_fields__)
    return Outcomes(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True, eq=False)
class _Asked:
    """A block of users."""

    ranker: Ranker
    inputs: Tensors
    history: Csr
    hidden: Csr
    device: torch.device

    def outcomes(self, generator: np.random.Generator) -> Outcomes:
        """Their best items, and some others."""
        state, users, width = self.ranker.prepare(self.inputs), self.history.shape[0], self.history.shape[1]
        seen = from_csr(self.history, self.device)
        found = rank_prepared(self.ranker, state, users, min(DEPTH, width), exclude=seen, device=self.device)
        best, scores = found.rows.cpu().numpy(), found.scores.cpu().double().numpy()
        is_hidden, is_seen = self.hidden.toarray() > 0, self.history.toarray() > 0
        filled, each = best >= 0, np.arange(users)[:, None]
        hits = is_hidden[each, best] & filled
        # The best items are excluded from the others, like those of the history.
        is_seen[np.broadcast_to(each, best.shape)[filled], best[filled]] = True
        others = self._others(state, is_hidden, is_seen, generator)
        lengths = np.diff(self.history.indptr).astype(np.int64)
        hidden = np.diff(self.hidden.indptr).astype(np.int64)
        return Outcomes(np.where(filled, scores, -np.inf), hits, lengths, hidden, *others)

    def _others(
        self, state: object, is_hidden: Hits, is_best: Hits, generator: np.random.Generator
    ) -> tuple[Numbers, Hits, Numbers]:
        """All hidden items that are not among the best, and a sample of the rest, which represents all of it."""
        width = is_hidden.shape[1]
        drawn = np.unique(generator.integers(0, width, OTHERS))
        columns = np.union1d(drawn, self.hidden.indices)
        scores = self.ranker.scores(state, torch.from_numpy(columns).to(self.device)).cpu().double().numpy()
        hit, free = is_hidden[:, columns], ~is_best[:, columns]
        sampled = np.isin(columns, drawn) & free & ~hit
        rest = (~is_best & ~is_hidden).sum(1)
        weight = np.broadcast_to((rest / np.maximum(1, sampled.sum(1)))[:, None], scores.shape)
        taken = (hit & free) | sampled
        return scores[taken], hit[taken], np.where(hit, 1.0, weight)[taken]

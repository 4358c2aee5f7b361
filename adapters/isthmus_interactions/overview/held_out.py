"""How well a model does for the users who were held out, beside popularity: what a bundle keeps of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from isthmus.core.rankers import ranker_of
from isthmus.protocols import Ranker
from isthmus.tasks.evaluation import Evaluation
from isthmus_interactions.baselines import Popularity
from isthmus_interactions.csr import Csr
from isthmus_interactions.sequences import evaluate_fold, length_read
from isthmus_interactions.splits import FoldIn

BINS = 6
"""Groups of users by the number of their items, at most."""

FEWEST = 10
"""Users of a group, at least."""

FACT = "held_out"
"""The name in the facts of a bundle."""


def measured(model: nn.Module, fold: FoldIn, train: Csr, metric: str, device: torch.device) -> dict[str, Any] | None:
    """Scores of the model and of popularity among the same users, and of groups of them by the number of their items.

    Args:
        model: that was not trained on the users of the fold.
        fold: who is asked, and for what.
        train: the interactions that popularity is counted in.
        metric: such as "ndcg@100"; higher is better.
        device: where the model is.

    Returns:
        A JSON document: ``metric``, ``users``; ``model``, ``popularity`` and ``difference`` with ``mean`` and
        ``standard_error`` each, the difference of each user being taken first; ``answered``, the number of different
        items among the ten best of all users; ``by_history``, for each group ``least`` and ``most`` items of a history,
        ``users``, and both scores. None for a metric without a value for each user.
    """
    own = evaluate_fold(ranker_of(model), length_read(model), fold, (metric, "coverage@10"), device)
    if metric not in own.values:
        return None
    popular: Ranker = Popularity.of(train, device)
    other = evaluate_fold(popular, None, fold, (metric,), device)
    mine, theirs = own.values[metric].cpu().numpy(), other.values[metric].cpu().numpy()
    lengths = np.diff(fold.history.indptr)[own.rows.cpu().numpy()]
    return {
        "metric": metric,
        "users": len(mine),
        "model": _summary(mine),
        "popularity": _summary(theirs),
        "difference": _summary(mine - theirs),
        "answered": _answered(own, fold.history.shape[1]),
        "by_history": [
            {
                "least": int(lengths[rows].min()),
                "most": int(lengths[rows].max()),
                "users": len(rows),
                "model": _summary(mine[rows]),
                "popularity": _summary(theirs[rows]),
            }
            for rows in _groups(lengths)
        ],
    }


def _answered(own: Evaluation, items: int) -> int:
    return round(own.means["coverage@10"] * items)


def _summary(values: Any) -> dict[str, float]:
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
    return {"mean": float(values.mean()), "standard_error": error}


def _groups(lengths: Any) -> list[Any]:
    """Rows of groups of about the same size, by the number of items; users with as many items share a group."""
    bins = max(1, min(BINS, len(lengths) // FEWEST))
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, bins + 1)[1:-1], method="higher"))
    group = np.searchsorted(edges, lengths, side="right")
    return [np.flatnonzero(group == number) for number in np.unique(group)]

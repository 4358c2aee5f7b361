"""Scores of a model on the held-out users, compared with popularity, as stored in a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from isthmus.core.rankers import ranker_of
from isthmus.metrics.means import mean_with_error
from isthmus.protocols import Ranker
from isthmus.tasks.evaluation import Evaluation
from isthmus_interactions.baselines import Popularity
from isthmus_interactions.csr import Csr
from isthmus_interactions.order.folds import evaluate_fold
from isthmus_interactions.order.inputs import BAGS, reads_of
from isthmus_interactions.splits import FoldIn

BINS = 6
"""Maximum number of groups of users, by the length of their histories."""

FEWEST = 10
"""Minimum number of users in a group."""

ERRORS = 1.96
"""Number of standard errors on either side of a mean in a 95 % interval."""

FACT = "held_out"
"""Key in the facts of a bundle."""


def measured(model: nn.Module, fold: FoldIn, train: Csr, metric: str, device: torch.device) -> dict[str, Any] | None:
    """Score the model and popularity on the same users, and on groups of users by the length of their histories.

    Args:
        model: the model, which must not have been trained on the users of the fold.
        fold: histories and held-out items of the users.
        train: the interactions from which popularity is counted.
        metric: such as "ndcg@100"; higher is better.
        device: device of the model.

    Returns:
        A JSON document with ``metric``, ``users``; ``model``, ``popularity`` and ``difference`` (the mean of the paired
            differences), each with ``mean`` and ``standard_error``; ``answered``, the number of different items among
            the top ten of all users, and ``answered_by_popularity``, the same for popularity; and ``by_history``, which
            has for each group the ``least`` and ``most`` items of a history, ``users``, and both scores. None if the
            metric has no value for each user.
    """
    own = evaluate_fold(ranker_of(model), reads_of(model), fold, (metric, "coverage@10"), device)
    if metric not in own.values:
        return None
    popular: Ranker = Popularity.of(train, device)
    other = evaluate_fold(popular, BAGS, fold, (metric, "coverage@10"), device)
    mine, theirs = own.values[metric].cpu().numpy(), other.values[metric].cpu().numpy()
    lengths = np.diff(fold.history.indptr)[own.rows.cpu().numpy()]
    return {
        "metric": metric,
        "users": len(mine),
        "model": _summary(mine),
        "popularity": _summary(theirs),
        "difference": _summary(mine - theirs),
        "answered": _answered(own, fold.history.shape[1]),
        "answered_by_popularity": _answered(other, fold.history.shape[1]),
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


def findings(kept: Mapping[str, Any] | None, builder: str) -> list[str | None]:
    """Check whether a model is better than popularity.

    Args:
        kept: the result of ``measured``, or None.
        builder: name of the model; popularity is not compared with itself.

    Returns:
        Warnings as sentences; None for each check that passed.
    """
    if kept is None or builder == "popularity" or kept["users"] < FEWEST:
        return []
    return [_no_better(kept), _the_same(kept)]


def _no_better(kept: Mapping[str, Any]) -> str | None:
    ahead = kept["difference"]
    if ahead["mean"] > ERRORS * ahead["standard_error"]:
        return None
    return (
        f"the model is no better than recommending popular items: {kept['metric']} {kept['model']['mean']:.4f} "
        f"against {kept['popularity']['mean']:.4f} on {kept['users']:,} held-out users, a difference of "
        f"{ahead['mean']:+.4f} ± {ERRORS * ahead['standard_error']:.4f} (95 % interval); try model='auto', more "
        "epochs, or more interactions"
    )


def _the_same(kept: Mapping[str, Any]) -> str | None:
    if kept["answered"] > kept["answered_by_popularity"]:
        return None
    return (
        f"the model recommends the same items to all users: the top tens of {kept['users']:,} held-out users are "
        f"{kept['answered']:,} different items (by popularity alone: {kept['answered_by_popularity']:,}); try "
        "model='auto', less regularisation, or more epochs"
    )


def _answered(own: Evaluation, items: int) -> int:
    return round(own.means["coverage@10"] * items)


def _summary(values: Any) -> dict[str, float]:
    mean, error = mean_with_error(values)
    return {"mean": mean, "standard_error": error if len(values) > 1 else 0.0}


def _groups(lengths: Any) -> list[Any]:
    """Rows of groups of about equal size, by the number of items; users with equally many items are in the same
    group."""
    bins = max(1, min(BINS, len(lengths) // FEWEST))
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, bins + 1)[1:-1], method="higher"))
    group = np.searchsorted(edges, lengths, side="right")
    return [np.flatnonzero(group == number) for number in np.unique(group)]

"""Evaluation of candidates on held-out users: values per user, paired differences, and an unbiased expected score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import nn

from isthmus.core.rankers import ranker_of
from isthmus.machine.devices import device_of
from isthmus.training.history import ERROR
from isthmus.training.run import Validation
from isthmus_interactions.order.folds import evaluate_fold
from isthmus_interactions.order.inputs import reads_of
from isthmus_interactions.splits import FoldIn

Values = npt.NDArray[np.float64]

DRAWS = 400
"""Number of bootstrap samples of the users."""


class Judge:
    """Scores models on the users of a fold and keeps the values of each of them.

    Args:
        fold: histories and items to find.
        metric: such as "ndcg@100"; higher is better.
    """

    def __init__(self, fold: FoldIn, metric: str) -> None:
        self.fold, self.metric = fold, metric
        self.latest: Values | None = None
        self._errors: dict[str, float] = {}
        self._asked = np.flatnonzero(np.diff(fold.held_out.indptr))
        users = {id_: place for place, id_ in enumerate(dict.fromkeys(fold.users))}
        self._owners = np.array([users[fold.users[row]] for row in self._asked], dtype=np.int64)

    @property
    def validation(self) -> Validation:
        """The validation score of a model for ``fit``."""
        return Validation(self.metric, self.score, watch=lambda model: dict(self._errors))

    def score(self, model: nn.Module) -> float:
        """The mean over the users, whose values are stored in ``latest``; None for metrics without values per user."""
        found = evaluate_fold(ranker_of(model), reads_of(model), self.fold, (self.metric,), device_of(model))
        values = found.values.get(self.metric)
        self.latest = None if values is None else np.nan_to_num(values.numpy())
        self._errors = {f"{self.metric}{ERROR}": error for error in found.standard_errors.values()}
        return found.means[self.metric]

    def of_all(self, values: Values, rows: npt.NDArray[np.int64]) -> Values:
        """Expand values of some rows of the fold to all rows with items to find; NaN for the others."""
        whole = np.full(len(self._asked), np.nan)
        whole[np.searchsorted(self._asked, rows)] = values
        return whole

    def by_user(self, values: Values) -> Values:
        """The mean value of each user, because a user may have several rows."""
        known = np.isfinite(values)
        counts = np.bincount(self._owners[known])
        sums = np.bincount(self._owners[known], values[known])
        means: Values = sums[counts > 0] / counts[counts > 0]
        return means

    def rows_by_user(self, values: Values) -> Values:
        """The number of known values of each user who has any."""
        counts = np.bincount(self._owners[np.isfinite(values)]).astype(np.float64)
        return counts[counts > 0]

    def standard_error(self, values: Values) -> dict[str, float]:
        """The standard error of the mean, under its name in a record."""
        known = self.by_user(values)
        if len(known) < 2:
            return {}
        return {f"{self.metric}{ERROR}": float(known.std(ddof=1) / np.sqrt(len(known)))}


def leads(differences: Values) -> bool:
    """Whether the mean of paired differences of users is above its standard error."""
    if len(differences) < 2:
        return False
    return bool(differences.mean() > differences.std(ddof=1) / np.sqrt(len(differences)))


def expected_score(candidates: Sequence[Values], seed: int, weights: Values | None = None) -> float | None:
    """The expected score of the best of several candidates on other users.

    The best mean of many is too high, because it was chosen on the same users. Here a candidate is chosen on each of
    many bootstrap samples and scored on the users who are not in it (Tsamardinos, Greasidou & Borboudakis, Machine
    Learning 2018, "Bootstrapping the out-of-sample predictions for efficient and accurate cross-validation").

    Args:
        candidates: for each candidate the values of the same users; higher is better.
        seed: seed of the samples.
        weights: of the users in a score, such as how often each was asked; None counts each user once.

    Returns:
        The mean over the samples; None without candidates, or with fewer than two users.
    """
    if not candidates or len(candidates[0]) < 2:
        return None
    values = np.stack(candidates)
    users = values.shape[1]
    weights = np.ones(users) if weights is None else weights
    generator, means = np.random.default_rng([seed % 2**63, 2]), []
    for _ in range(DRAWS):
        counts = np.bincount(generator.integers(users, size=users), minlength=users)
        best = int(np.argmax(values @ (counts * weights)))
        if not counts.all():
            left = counts == 0
            means.append(np.average(values[best, left], weights=weights[left]))
    return float(np.mean(means)) if means else None

"""Chooses the weights of features on known items that are treated as if they had no interactions.

Two quantities can be transferred to an unknown item j by M (see ``ridge``): the model's scores s of the known items,
which reflect popularity and general taste, and the history x itself, which reflects the user's specific interests:

    score_j = s̄ + α Σ_k s_k M_kj + γ Σ_k x_k M_kj

The power and μ of the regression and the ratio of α and γ are those with the best nDCG@20 among the left-out items
alone. Their sizes follow from least squares against the model's scores for those items, and from a factor that gives
the best nDCG@20 over all items together, because regression estimates have a smaller variance than their targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from isthmus_interactions.cold_start.features import Matrix
from isthmus_interactions.cold_start.holdout import ItemHoldout
from isthmus_interactions.cold_start.ridge import LARGEST, mixing

REGRESSIONS = ((1, 0.1), (2, 0.1), (2, 1.0))
"""Candidate powers of the kernel, and candidate values of μ."""

SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)
"""Weights of the model's scores relative to the history."""

FACTORS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)


@dataclass(frozen=True)
class FeatureWeights:
    """The chosen weights.

    Attributes:
        power: p of the kernel.
        regularisation: μ.
        model: α, the weight of the model's scores.
        history: γ, the weight of the history.
        share: share of the model's scores in the ranking of new items, from 0 to 1; the rest is the history's.
        score: nDCG@20 among left-out items; None if there were too few items to choose.
    """

    power: int = 1
    regularisation: float = 1.0
    model: float = 1.0
    history: float = 0.0
    share: float = 1.0
    score: float | None = None


def choose(trials: Sequence[ItemHoldout], features: Matrix) -> FeatureWeights:
    """Choose the weights that are best on average over several trials; without trials the default.

    Args:
        trials: users whose histories lack some known items.
        features: a row for each known item.

    Raises:
        SettingError: too many features and items to solve the regression.
    """
    found = {}
    for power, regularisation in REGRESSIONS if features.shape[0] <= LARGEST else REGRESSIONS[:1]:
        measured = [_measured(trial, features, power, regularisation) for trial in trials]
        for share in SHARES if measured else ():
            model, history, score = np.mean([one[share] for one in measured], axis=0).tolist()
            # NaN scores are never chosen.
            if np.isfinite(score):
                found[score] = FeatureWeights(power, regularisation, model, history, share, score)
    if not found:
        return FeatureWeights()
    best = found[max(found)]
    size = float(np.mean([_size(trial, features, best) for trial in trials]))
    return replace(best, model=best.model * size, history=best.history * size)


def _measured(
    trial: ItemHoldout, features: Matrix, power: int, regularisation: float
) -> dict[float, tuple[float, float, float]]:
    """For each share the weights α and γ, with both parts scaled to equal variance, and nDCG@20."""
    by_model, by_history = trial.carried(mixing(features[trial.rest], features[trial.left_out], regularisation, power))
    widths = [max(float(part.std()), 1e-12) for part in (by_model, by_history)]
    found = {}
    for share in SHARES:
        alpha, gamma = share / widths[0], (1 - share) / widths[1]
        found[share] = alpha, gamma, trial.among_left_out(alpha * by_model + gamma * by_history)
    return found


def _size(trial: ItemHoldout, features: Matrix, choice: FeatureWeights) -> float:
    """The factor that scales the chosen sum to the size of the model's scores."""
    by_model, by_history = trial.carried(
        mixing(features[trial.rest], features[trial.left_out], choice.regularisation, choice.power)
    )
    true = trial.true
    raw = (choice.model * by_model + choice.history * by_history).astype(np.float32)
    slope = float((raw * true).sum() / max(float(np.square(raw).sum()), 1e-12))
    if slope <= 0:
        # The model has no information about these items, but their scores need a scale.
        slope = max(float(true.std()), 1e-12) / max(float(raw.std()), 1e-12)
    return max(FACTORS, key=lambda factor: trial.among_all(np.float32(slope * factor) * raw)) * slope

"""``model="auto"``: tries several models within a time limit and selects one on held-out users, never on test data."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from isthmus import plugins
from isthmus.checked.arguments import flag
from isthmus.errors import SettingError
from isthmus.fitted import quality
from isthmus.models.recipes.settings import keywords_of, unknown_setting
from isthmus.tasks.evaluation import MetricAt
from isthmus.training.interrupts import interruptible, warn_of_interruption
from isthmus.training.run import Run
from isthmus_interactions import fit as fitting
from isthmus_interactions.auto.budget import Budget
from isthmus_interactions.auto.candidate import Candidate
from isthmus_interactions.auto.in_turn import asked_in_turn
from isthmus_interactions.auto.judge import Judge, expected_score
from isthmus_interactions.auto.refit import fitted_again
from isthmus_interactions.auto.search import ModelSearch
from isthmus_interactions.auto.worth import worth
from isthmus_interactions.cold_start.features import ItemFeatures
from isthmus_interactions.cold_start.in_training import feature_rows
from isthmus_interactions.everybody.data import Everybody
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.holdout import hold_out
from isthmus_interactions.overview import held_out
from isthmus_interactions.splits import FoldIn

BUDGET = 600.0
"""Default time limit in seconds."""

EXAMPLES = ("edlae", "mult_vae", "rec_vae", "vanilla")
"""Models that a message suggests: the first one that has the settings, or else the last."""

logger = logging.getLogger(__name__)


def fit(
    data: Interactions,
    validation: FoldIn | float,
    metric: str,
    run: Run,
    settings: Mapping[str, Any],
    features: ItemFeatures | None = None,
    *,
    refit: bool = True,
) -> FittedRecommender:
    """Try linear models, then networks, then their blend; fit the best one on all users, as far as time allows.

    Ctrl-C ends the search or the last fit, and the best model so far is kept.

    Args:
        data: interactions of all users.
        validation: a fold that chooses the model, or the share to hold out, see ``order.holdout``.
        metric: the metric by which models are compared, higher is better.
        run: device, seed, precision, progress and checkpoints; its time limit covers everything, approximately.
        settings: must be empty.
        features: features of items, which are used in the training of linear models.
        refit: whether the winner is finally fitted on all users, including held-out ones.

    Returns:
        The best model; ``facts["tried"]`` lists all candidates.

    Raises:
        SettingError: settings, which need the name of a model; or no such metric.
        KeyboardInterrupt: Ctrl-C before the first candidate was finished.
    """
    check_settings(settings)
    refit = flag("refit", refit)
    MetricAt.parse(metric)
    budget = Budget(BUDGET if run.time_limit is None else run.time_limit)
    run = replace(run, time_limit=None)
    held = hold_out(data, validation, run.seed)
    train, fold = held.train, held.fold
    if fold is None:
        logger.info("no users can be held out to choose a model; EDLAE is fitted with its default settings")
        return fitting.fit(data, "edlae", 0.0, metric, run, {}, features)
    rows = None if features is None else feature_rows(features, data.items, data.matrix)
    given = isinstance(validation, FoldIn)
    judge = Judge(fold if given else asked_in_turn(fold, train.matrix, run.seed), metric)
    search = ModelSearch(train, judge, run, budget, rows)
    with interruptible() as stop, stop.telling(search.kept):
        search.run_all()
        best = search.ranked[0]
        logger.info(
            "the best is %s: %s %.4f on %d users", plugins.command_name(best.name), metric, best.score, len(fold)
        )
        assert best.recipe is not None
        scores = fitting.scores_of(best.recipe.model, fold, train, metric, run, stop)
        calibration = fitting.calibration_of(best.recipe.model, fold, run, stop)
        kept, again = best, list[str]()
        if refit and not stop.requested:
            everybody = Everybody(data, fold if given else None)
            kept, again = fitted_again(best, search.tried, everybody, run, budget)
        history = replace(best.history, interrupted=stop.requested)
        if stop.requested:
            warn_of_interruption(history, [])
    assert kept.recipe is not None
    found = quality.warn(held_out.findings(scores, best.name))
    facts = fitting.facts_of(data, fold, run, history, scores, found)
    search_facts = {
        "tried": [tried.line(metric) for tried in search.tried],
        "budget": budget.seconds,
        "seconds_in_all": budget.spent,
        "expected": expected(search.ranked, judge, run.seed),
        fitting.EVERYBODY: again,
        "validation": held.told,
        "worth": worth(search.tried, metric),
    }
    facts |= search_facts
    return FittedRecommender.of(data, kept.recipe.model, kept.name, kept.settings, facts, calibration)


def expected(ranked: Sequence[Candidate], judge: Judge, seed: int) -> dict[str, Any]:
    """The expected score of the best candidate on other users, and its score on the users who chose it.

    Args:
        ranked: candidates with a score, best first.
        judge: the users and the metric.
        seed: seed of the bootstrap.

    Returns:
        ``score``, ``chosen_with`` and ``users``; empty if the metric has no values of users.
    """
    values = [one.values for one in ranked if one.values is not None]
    if not values:
        return {}
    known = np.isfinite(np.stack(values)).all(0)
    shared = [np.where(known, one, np.nan) for one in values]
    users = [judge.by_user(one) for one in shared]
    score, best = expected_score(users, seed, judge.rows_by_user(shared[0])), ranked[0].score
    if score is None or best is None:
        return {}
    # With few users the bootstrap may by chance exceed the score that it corrects downwards.
    return {"score": min(score, best), "chosen_with": best, "users": len(users[0])}


def check_settings(settings: Iterable[str]) -> None:
    """Reject settings of a model if no model is named, and misspelt keywords of ``fit``.

    Raises:
        SettingError: any setting; the message contains suggestions.
    """
    given = list(settings)
    having = {name: keywords_of(builder) for name, builder in plugins.load("interactions").builders.items()}
    known = {setting for some in having.values() for setting in some}
    for setting in given:
        if setting not in known:
            raise unknown_setting(setting, known, f"no keyword {setting!r}")
    if given:
        name = next((name for name in EXAMPLES if having[name].keys() >= set(given)), EXAMPLES[-1])
        raise SettingError(
            f"{', '.join(given)} without a model",
            remedy=f"name the model that is to have it, as in {name!r}",
            option=f"name the model that is to have it, as in --model {plugins.command_name(name)}",
        )

"""Fits a model with a half-life, a given one or the best of a few."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from isthmus import plugins
from isthmus.batch import Bag
from isthmus.core.recency import EXPECTED, HalfLife
from isthmus.errors import SettingError
from isthmus.models.recipes.settings import built, checked, keywords_of
from isthmus.reprs import one_line
from isthmus.tasks.evaluation import MetricAt
from isthmus.training.progress import NoProgress, doing
from isthmus.training.run import Run
from isthmus_interactions import fit as fitting
from isthmus_interactions.cold_start.features import ItemFeatures
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.folds import training_source
from isthmus_interactions.order.holdout import hold_out
from isthmus_interactions.sequences import known_order
from isthmus_interactions.splits import FoldIn

Decay = float | int | str | None

EVENTS = (10.0, 30.0, 3.0, 100.0)
"""Half-lives in events that "auto" tries, most likely first, because time may run out."""

TIMES = ("60d", "7d", "1y")
"""Half-lives in time that "auto" tries if the times are a clock."""

FACT = "decay"
"""Key in the facts of a bundle: what "auto" tried."""

RECENT = "recent"

logger = logging.getLogger(__name__)


def check_decay_of_auto(decay: Decay) -> None:
    """Reject a half-life without a model, because ``auto`` chooses one itself.

    Raises:
        SettingError: a half-life other than "auto".
    """
    decay = _plain(decay)
    if decay not in (None, "auto"):
        raise SettingError(
            f"decay={decay!r} without a model",
            expected="the name of a model that is to have it",
            remedy="name the model, as in 'edlae', or leave decay away: auto tries several half-lives",
            option="name the model, as in --model edlae, or leave --decay away: auto tries several half-lives",
        )


def fit_with_decay(
    data: Interactions,
    model: str,
    decay: Decay,
    validation: FoldIn | float,
    metric: str,
    run: Run,
    settings: Mapping[str, Any],
    features: ItemFeatures | None = None,
    *,
    refit: bool = True,
) -> FittedRecommender:
    """Fit a model by its name, with a half-life if requested. Raises the errors of ``Recommender.fit``.

    Args:
        data: interactions of all users.
        model: name of a builder.
        decay: the half-life; "auto" chooses it on held-out data; None for no half-life. A schedule of the learning
            rate, for which trained models have a setting of this name, is passed on to them.
        validation: held-out users, or the share to hold out.
        metric: the metric by which half-lives are compared.
        run: device, seed, precision, progress and checkpoints.
        settings: keywords of the builder.
        features: features of items, which are used in the training of linear models.
        refit: whether the model is finally fitted on all users.

    Returns:
        The fitted model.
    """
    decay = _plain(decay)
    if decay in ("cosine", "constant") and "decay" in keywords_of(plugins.find_builder(model, "interactions")[1]):
        settings, decay = {**settings, "decay": decay}, None
    tried: list[dict[str, Any]] = []
    if decay == "auto":
        tried, told = _tried(data, model, validation, metric, run, settings)
        decay = max(tried, key=lambda one: -math.inf if one[metric] is None else one[metric])["half_life"]
        chosen = "none" if decay is None else f"{decay}"
        logger.info("the best half-life of %s is %s, by %s", plugins.command_name(model), chosen, told)
    name, whole = with_half_life(model, decay, settings)
    made = fitting.fit(data, name, validation, metric, run, whole, features, refit=refit)
    if not tried:
        return made
    return replace(made, facts={**made.facts, FACT: {"protocol": told, "metric": metric, "tried": tried}})


def _plain(decay: Any) -> Decay:
    """The half-life as a Python number or text.

    Raises:
        SettingError: another type.
    """
    plain = decay.item() if isinstance(decay, np.generic) else decay
    if plain is not None and not isinstance(plain, int | float | str):
        raise SettingError(f"decay={one_line(repr(decay))}", expected=f'{EXPECTED}, or "auto"')
    return plain


def with_half_life(model: str, half_life: Decay, settings: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and the settings of a model with a half-life; without one those of the model itself."""
    if half_life is None:
        return model, dict(settings)
    parsed = HalfLife.parse(half_life)
    given = half_life if parsed.timed else parsed.length
    return RECENT, {"of": plugins.python_name(model), "half_life": given, "settings": dict(settings)}


def half_lives(data: Interactions) -> list[Decay]:
    """The half-lives to try: none, and those that the data allow."""
    clock = known_order(data.histories).clock
    return [None, *EVENTS, *(TIMES if clock is not None else ())]


def _tried(
    data: Interactions, model: str, validation: FoldIn | float, metric: str, run: Run, settings: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], str]:
    """The score of each half-life on held-out data, and the protocol in words."""
    MetricAt.parse(metric)
    held = hold_out(data, validation, run.seed)
    if held.fold is None:
        raise SettingError(
            "decay='auto' without held-out data to choose it by",
            expected=f"at least {fitting.FEWEST} users, and validation above 0",
            remedy="give the half-life, as in decay=20",
            option="give the half-life, as in --decay 20",
        )
    score = fitting.validation_score(held.fold, metric)
    silent = replace(run, progress=NoProgress(), checkpoints=None, resume=False)
    found = []
    for half_life in half_lives(data):
        name, given = with_half_life(model, half_life, settings)
        builder = plugins.find_builder(name, "interactions")[1]
        recipe = built(name, builder, Bag(len(data.items)), run, checked(name, builder, given))
        with doing(run.progress, f"trying a half-life of {half_life or 'infinity'}"):
            history = recipe.fit(training_source(held.train, recipe.model), silent, score)
        found.append({"half_life": half_life, metric: history.best_score})
        if history.interrupted:
            raise KeyboardInterrupt
    return found, held.told

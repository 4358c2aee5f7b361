"""Updates a recommender with new interactions, users and items."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Generator

from isthmus import plugins
from isthmus.batch import Bag
from isthmus.checked.arguments import real, whole
from isthmus.core.rankers import Blend
from isthmus.errors import SettingError
from isthmus.models.blend import BlendRecipe
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.models.recipes.settings import built, checked
from isthmus.protocols import Builder, Recipe
from isthmus.tasks.evaluation import MetricAt
from isthmus.training.history import History
from isthmus.training.interrupts import StopRequest, interruptible, warn_of_interruption
from isthmus.training.run import Run
from isthmus_interactions import fit
from isthmus_interactions.cold_start import in_training
from isthmus_interactions.csr import entries_of, places_in_rows, row_of_entry, stored_where
from isthmus_interactions.everybody.train import FinalFit
from isthmus_interactions.fit import FEWEST, MIN_ITEMS, MOST_HELD_OUT
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.folds import training_source
from isthmus_interactions.recommend.titles import known_titles
from isthmus_interactions.splits import FoldIn, aligned
from isthmus_interactions.update import blends
from isthmus_interactions.update.merge_data import MergedData, merge
from isthmus_interactions.update.warm_start import can_continue, continue_training, continued, epochs_of, shortened

HIDDEN = 5
"""Share of items that are hidden of each validation user, rounded down, as in ``fit``."""

OUTDATED = ("trained_by", "before")
"""Facts of the old model that do not hold for the updated one."""

logger = logging.getLogger(__name__)


def update(
    old: FittedRecommender,
    new: Interactions,
    epochs: int | None,
    validation: float,
    metric: str | None,
    run: Run,
    titles: Mapping[Any, str],
) -> FittedRecommender:
    """Compute the state of the updated recommender. Raises the errors of ``Recommender.update``.

    Args:
        old: state so far.
        new: interactions of old and new users with old and new items.
        epochs: passes for a model that continues training; None for a tenth of its own number.
        validation: share of the users with new interactions who choose the epoch.
        metric: metric that chooses the best epoch; None for that of the last training.
        run: device, seed, precision, progress and checkpoints.
        titles: further titles, by id.

    Returns:
        The state for all users and items.
    """
    if metric is None:
        metric = old.facts["training"]["metric"] or "ndcg@100"
    MetricAt.parse(metric)
    builder = plugins.find_builder(old.builder, "interactions")[1]
    old = replace(old, settings=checked(old.builder, builder, old.settings))
    _check(old, epochs, validation)
    merged = merge(old, new)
    data = merged.data
    with torch.device("meta"):
        sketch = builder(Bag(len(data.items)), generator=Generator(), **old.settings)
    with interruptible() as stop:
        if isinstance(sketch, BlendRecipe):
            made = _update_blend(old, sketch, builder, merged, epochs, validation, metric, run)
        elif can_continue(sketch, old.settings, old.model, len(old.adapter.items), len(data.items)):
            made = _continue(old, builder, merged, epochs, validation, metric, run, stop)
        else:
            made = _refit(old, data, epochs, validation, metric, run)
        if stop.requested:
            made = made.interrupted()
    history = made.fitted.facts["training"]
    report = {
        "users": len(data.users) - len(old.adapter.users),
        "items": len(data.items) - len(old.adapter.items),
        "interactions": int(merged.fresh.sum()),
        "epochs": len(history["records"]),
        "best_epoch": history["best_epoch"],
        "metric": history["metric"],
        "score": history["best_score"],
        **made.details,
    }
    known = {**old.titles, **known_titles(titles, data.items)}
    return replace(made.fitted, settings=old.settings, titles=known, facts=_facts(old, made, report))


@dataclass(frozen=True)
class _Updated:
    """An updated model.

    Attributes:
        details: details of the update, for the report.
        everybody: names of the models that were trained on all users, including held-out ones.
    """

    fitted: FittedRecommender
    details: Mapping[str, Any]
    everybody: Sequence[str]

    def interrupted(self) -> _Updated:
        """The same, with its history marked as interrupted."""
        history = {**self.fitted.facts["training"], "interrupted": True}
        warn_of_interruption(History.from_json(history), [])
        return replace(self, fitted=replace(self.fitted, facts={**self.fitted.facts, "training": history}))


def _facts(old: FittedRecommender, made: _Updated, report: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of the updated model. The candidates and the time limit of the model selection stay, because no model was
    selected again. The library that trained the weights and the models trained on all users are updated."""
    facts = {name: fact for name, fact in old.facts.items() if name not in OUTDATED} | dict(made.fitted.facts)
    updates = [*old.facts.get("updates", []), dict(report)]
    return facts | {fit.EVERYBODY: list(made.everybody), "updates": updates}


def _check(old: FittedRecommender, epochs: int | None, validation: float) -> None:
    in_training.check_without("an update", old.builder, old.settings)
    parts = old.settings.get("parts", [])
    half = math.nextafter(0.5, 0.0)
    real("validation", validation, "a share of the users from 0 to less than a half", least=0, most=half)
    if epochs is None:
        return
    whole("epochs", epochs)
    if not any("epochs" in one for one in (old.settings, *(p["settings"] for p in parts))):
        raise SettingError(
            f"epochs={epochs} for {plugins.command_name(old.builder)}, which is not trained in epochs", remedy="omit it"
        )


def _refit(
    old: FittedRecommender,
    data: Interactions,
    epochs: int | None,
    validation: float,
    metric: str,
    run: Run,
) -> _Updated:
    if epochs is not None:
        logger.warning("%s cannot continue from its weights and is fitted again with its settings", old.builder)
    fitted = fit.fit(data, old.builder, validation, metric, run, old.settings)
    return _Updated(fitted, {"how": "fitted anew", "score_before": None}, fitted.facts[fit.EVERYBODY])


def _continue(
    old: FittedRecommender,
    builder: Builder,
    merged: MergedData,
    epochs: int | None,
    validation: float,
    metric: str,
    run: Run,
    stop: StopRequest,
) -> _Updated:
    """Continue training from the old weights: on the training users, and once more on all users for as many epochs as
    were best."""
    data = merged.data

    def make() -> GradientRecipe:
        recipe = built(old.builder, builder, Bag(len(data.items)), run, shortened(old.settings, epochs))
        assert isinstance(recipe, GradientRecipe)
        return continued(recipe, old.model)

    recipe = make()
    train, fold = _hold_out(merged, validation, run.seed)
    chooser = None if fold is None else fit.validation_score(fold, metric)
    final = FinalFit(old.builder, make, data, run, stop)
    final.check_folder()
    source, passes = training_source(train, recipe.model), epochs_of(old.settings, epochs)
    history, before = continue_training(recipe, source, run, chooser, passes)
    on_all = fold is None and history.best_epoch != 0
    kept: Recipe = recipe
    if fold is not None and history.best_epoch:
        kept, on_all = final.of(recipe, history)
    facts = fit.facts_of(data, fold, run, history)
    # Only new items are hidden from users who were trained on before: too few to learn chances from.
    fitted = FittedRecommender.of(data, kept.model, old.builder, old.settings, facts, old.calibration)
    return _Updated(fitted, {"how": "trained on", "score_before": before}, [old.builder] if on_all else [])


def _update_blend(
    old: FittedRecommender,
    sketch: BlendRecipe,
    builder: Builder,
    merged: MergedData,
    epochs: int | None,
    validation: float,
    metric: str,
    run: Run,
) -> _Updated:
    """Update each part in its own way; the weights of the parts stay."""
    data, before = merged.data, old.model
    assert isinstance(before, Blend)
    train, fold = _hold_out(merged, validation, run.seed)
    chooser = None if fold is None else fit.validation_score(fold, metric)
    columns = (len(old.adapter.items), len(data.items))
    parts = blends.plan_parts(before, sketch, old.settings, columns, epochs)
    settings = blends.shortened_parts(old.settings, parts, epochs)
    recipe = built(old.builder, builder, Bag(columns[1]), run, settings)
    assert isinstance(recipe, BlendRecipe)
    everybody = training_source(data, recipe.model)
    source = everybody if train is data else training_source(train, recipe.model)
    plan = blends.UpdatePlan(source, everybody, chooser, epochs, run)
    history, score = blends.update(before, recipe, parts, plan)
    details = [part.report() for part in parts]
    facts = fit.facts_of(data, fold, run, history)
    fitted = FittedRecommender.of(data, recipe.model, old.builder, old.settings, facts, old.calibration)
    report = {"how": "part by part", "score_before": score, "epochs": sum(part["epochs"] for part in details)}
    names = blends.learned_from_everybody(parts, plan)
    return _Updated(fitted, {**report, "best_epoch": None, "parts": details}, names)


def _hold_out(merged: MergedData, share: float, seed: int) -> tuple[Interactions, FoldIn | None]:
    """Choose validation users among those with new interactions, and hide a part of these.

    The old weights were trained on all old interactions, also those of validation users. Therefore only new
    interactions are hidden; otherwise epoch 0 would be rewarded for having memorised the old ones.
    """
    data, matrix = merged.data, merged.data.matrix
    sizes = np.diff(matrix.indptr)
    news = np.bincount(row_of_entry(matrix)[merged.fresh], minlength=len(data)) > 0
    able = np.flatnonzero(news & (sizes >= MIN_ITEMS))
    users = min(MOST_HELD_OUT, round(int(news.sum()) * share), len(able) // 3)
    if share == 0:
        return data, None
    if news.sum() < FEWEST or users < 1:
        logger.info("no users are held out and the last epoch is kept: %d users with new interactions, %d of them with "
                    "%d items or more, are too few", int(news.sum()), len(able), MIN_ITEMS)  # fmt: skip
        return data, None
    generator = np.random.default_rng(seed % 2**63)
    rows = np.sort(generator.choice(able, users, replace=False))
    asked, fresh = data.select_users(rows), merged.fresh[entries_of(matrix, rows)]
    order = np.where(fresh, generator.random(len(fresh)), 2.0)
    quota = (sizes[rows] // HIDDEN)[row_of_entry(asked.matrix)]
    hidden = fresh & (places_in_rows(asked.matrix, order) < quota)
    history, held_out = stored_where(asked.matrix, ~hidden), stored_where(asked.matrix, hidden)
    fold = aligned(history, held_out, asked.users, asked.histories)
    return data.select_users(np.setdiff1d(np.arange(len(data)), rows)), fold

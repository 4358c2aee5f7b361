"""A recommender that has taken in new interactions, people and items."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Generator

from isthmus import plugins
from isthmus.batch import Bag
from isthmus.core.rankers import Blend
from isthmus.errors import SettingError
from isthmus.models.blend import BlendRecipe
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.models.recipes.settings import built, checked
from isthmus.protocols import Builder, Recipe
from isthmus.sources import BagSource
from isthmus.tasks.evaluation import MetricAt
from isthmus.training.run import Run
from isthmus_interactions import fit
from isthmus_interactions.adapter import InteractionsAdapter
from isthmus_interactions.csr import chosen, entries_of, places_in_rows, row_of_entry
from isthmus_interactions.fit import FEWEST, MIN_ITEMS, MOST_HELD_OUT, Fitted
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.recommend.titles import known_titles
from isthmus_interactions.splits import FoldIn, aligned
from isthmus_interactions.update import blends
from isthmus_interactions.update.merge_data import Joined, join
from isthmus_interactions.update.warm_start import continues, epochs_of, go_on, shortened

if TYPE_CHECKING:
    from isthmus_interactions.recommender import Recommender

HIDDEN = 5
"""Of somebody who validates every fifth item is hidden, rounded down, as in ``fit``."""

logger = logging.getLogger(__name__)


def update(
    old: Recommender,
    new: Interactions,
    epochs: int | None,
    validation: float,
    metric: str | None,
    run: Run,
    titles: Mapping[Any, str],
) -> dict[str, Any]:
    """The fields of the new ``Recommender``. Raises what ``Recommender.update`` raises."""
    metric = metric or old.facts["training"]["metric"] or "ndcg@100"
    MetricAt.parse(metric)
    builder = plugins.find_builder(old.builder, "interactions")[1]
    old = replace(old, settings=checked(old.builder, builder, old.settings))
    _check(old, epochs, validation)
    joined = join(old.adapter, old.told, old.facts, new)
    data = joined.data
    with torch.device("meta"):
        sketch = builder(Bag(len(data.items)), generator=Generator(), **old.settings)
    if isinstance(sketch, BlendRecipe):
        made = _blended(old, sketch, builder, joined, epochs, validation, metric, run)
    elif continues(sketch, old.settings, old.model, len(old.adapter.items), len(data.items)):
        made = _continued(old, builder, joined, epochs, validation, metric, run)
    else:
        made = _anew(old, sketch, data, epochs, validation, metric, run)
    history = made.fitted.facts["training"]
    report = {
        "people": len(data.users) - len(old.adapter.users),
        "items": len(data.items) - len(old.adapter.items),
        "interactions": int(joined.fresh.sum()),
        "epochs": len(history["records"]),
        "best_epoch": history["best_epoch"],
        "metric": history["metric"],
        "score": history["best_score"],
        **made.told,
    }
    return {
        "adapter": InteractionsAdapter.fit(data),
        "model": made.fitted.model,
        "builder": old.builder,
        "settings": old.settings,
        "told": data.matrix,
        "titles": {**old.titles, **known_titles(titles, data.items)},
        "facts": _facts(old, made, report),
    }


@dataclass(frozen=True)
class _Made:
    """An updated model.

    Attributes:
        told: what is particular to the way it was made, for the report.
        everybody: the names of what has learned from everybody, held-out people included.
    """

    fitted: Fitted
    told: Mapping[str, Any]
    everybody: Sequence[str]


def _facts(old: Recommender, made: _Made, report: Mapping[str, Any]) -> dict[str, Any]:
    """What was tried to choose the model, and within which budget, stays as it was: nothing was chosen anew. Which
    library trained the weights, and what has learned from everybody, does not."""
    facts = {name: fact for name, fact in old.facts.items() if name != "trained_by"} | dict(made.fitted.facts)
    if "fitted_on_everybody" in old.facts:
        facts["fitted_on_everybody"] = list(made.everybody)
    return facts | {"updates": [*old.facts.get("updates", []), dict(report)]}


def _check(old: Recommender, epochs: int | None, validation: float) -> None:
    several = old.settings.get("parts", [])
    if epochs is not None and not any("epochs" in one for one in (old.settings, *(p["settings"] for p in several))):
        raise SettingError(
            f"epochs={epochs} for {plugins.command_name(old.builder)}, which has none", remedy="leave it out"
        )
    if epochs is not None and epochs < 0:
        raise SettingError(f"epochs={epochs}", expected="0 or more")
    if not 0 <= validation < 0.5:
        raise SettingError(f"validation={validation}", expected="a share of the people from 0 to less than a half")


def _anew(
    old: Recommender, sketch: Recipe, data: Interactions, epochs: int | None, validation: float, metric: str, run: Run
) -> _Made:
    if epochs is not None:
        logger.warning("%s cannot go on from its weights: fitted anew, by its own settings", old.builder)
    fitted = fit.fit(data, old.builder, validation, metric, run, old.settings)
    whole = not sketch.chooses_epoch or not fitted.facts["validation_people"]
    return _Made(fitted, {"how": "fitted anew", "score_before": None}, [old.builder] if whole else [])


def _continued(
    old: Recommender,
    builder: Builder,
    joined: Joined,
    epochs: int | None,
    validation: float,
    metric: str,
    run: Run,
) -> _Made:
    """Train on from the old weights."""
    data = joined.data
    recipe = built(old.builder, builder, Bag(len(data.items)), run, shortened(old.settings, epochs))
    assert isinstance(recipe, GradientRecipe)
    train, fold = _parted(joined, validation, run.seed)
    chooser = None if fold is None else fit.measured(fold, metric, run)
    source, passes = BagSource.from_csr(train.matrix), epochs_of(old.settings, epochs)
    history, before = go_on(recipe, old.model, source, run, chooser, passes)
    fitted = Fitted(recipe.model, old.builder, old.settings, fit.facts_of(data, fold, run, history))
    whole = fold is None and history.best_epoch != 0
    return _Made(fitted, {"how": "trained on", "score_before": before}, [old.builder] if whole else [])


def _blended(
    old: Recommender,
    sketch: BlendRecipe,
    builder: Builder,
    joined: Joined,
    epochs: int | None,
    validation: float,
    metric: str,
    run: Run,
) -> _Made:
    """Each part in its own way; the weights stay."""
    data, before = joined.data, old.model
    assert isinstance(before, Blend)
    train, fold = _parted(joined, validation, run.seed)
    everybody = BagSource.from_csr(data.matrix)
    source = everybody if train is data else BagSource.from_csr(train.matrix)
    chooser = None if fold is None else fit.measured(fold, metric, run)
    course = blends.Course(source, everybody, chooser, epochs, run)
    columns = (len(old.adapter.items), len(data.items))
    parts = blends.parts_of(before, sketch, old.settings, columns, epochs)
    settings = blends.shortened_parts(old.settings, parts, epochs)
    recipe = built(old.builder, builder, Bag(columns[1]), run, settings)
    assert isinstance(recipe, BlendRecipe)
    history, score = blends.update(before, recipe, parts, course)
    told = [part.told() for part in parts]
    fitted = Fitted(recipe.model, old.builder, old.settings, fit.facts_of(data, fold, run, history))
    report = {"how": "part by part", "score_before": score, "epochs": sum(part["epochs"] for part in told)}
    names = blends.learned_from_everybody(parts, course)
    return _Made(fitted, {**report, "best_epoch": None, "parts": told}, names)


def _parted(joined: Joined, share: float, seed: int) -> tuple[Interactions, FoldIn | None]:
    """Who trains, and who chooses the best epoch: people with something new, of which a part is hidden.

    The old weights know everything old, also of people who do not train now. Hidden is therefore only what is new, or
    else epoch 0 would be praised for its memory.
    """
    data, matrix = joined.data, joined.data.matrix
    sizes = np.diff(matrix.indptr)
    news = np.bincount(row_of_entry(matrix)[joined.fresh], minlength=len(data)) > 0
    able = np.flatnonzero(news & (sizes >= MIN_ITEMS))
    people = min(MOST_HELD_OUT, round(int(news.sum()) * share), len(able) // 3)
    if share == 0:
        return data, None
    if news.sum() < FEWEST or people < 1:
        logger.info("training runs to its last epoch: %d people with something new, %d of them with %d items or more, "
                    "are too few to hold some out", int(news.sum()), len(able), MIN_ITEMS)  # fmt: skip
        return data, None
    generator = np.random.default_rng(seed % 2**63)
    rows = np.sort(generator.choice(able, people, replace=False))
    asked, fresh = data.select_users(rows), joined.fresh[entries_of(matrix, rows)]
    order = np.where(fresh, generator.random(len(fresh)), 2.0)
    quota = (sizes[rows] // HIDDEN)[row_of_entry(asked.matrix)]
    hidden = fresh & (places_in_rows(asked.matrix, order) < quota)
    fold = aligned(chosen(asked.matrix, ~hidden), chosen(asked.matrix, hidden), asked.users)
    return data.select_users(np.setdiff1d(np.arange(len(data)), rows)), fold

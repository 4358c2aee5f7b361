"""A recommender that has taken in new interactions, people and items."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from isthmus import plugins
from isthmus.batch import Bag
from isthmus.errors import SettingError
from isthmus.models.recipe import Trained
from isthmus.models.widen import can_widen, widened
from isthmus.protocols import Builder, Objective, Recipe, Step
from isthmus.sources import BagSource
from isthmus.state import load_state, state_of
from isthmus.tasks.evaluation import MetricAt
from isthmus.training.history import History
from isthmus.training.run import Run
from isthmus_interactions import fitting
from isthmus_interactions.adapter import InteractionsAdapter
from isthmus_interactions.files.titles import known_titles
from isthmus_interactions.fitting import FEWEST, MIN_ITEMS, MOST_HELD_OUT, Fitted
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.joining import Joined, join
from isthmus_interactions.matrices import chosen, entries_of, places_in_rows, row_of_entry
from isthmus_interactions.splits import FoldIn, aligned

if TYPE_CHECKING:
    from isthmus_interactions.recommender import Recommender

TENTH = 10
"""Going on takes a tenth of the epochs of the first training, and at least one: the old weights are already where many
epochs have brought them, and only the new rows have everything before them. Adam moves each number by up to the
learning rate in a step, however small its gradient, so that a few passes are enough for rows that start near zero."""

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
    _check(old, epochs, validation)
    joined = join(old.adapter, old.told, old.facts, new)
    data = joined.data
    builder = plugins.find_builder(old.builder, "interactions")[1]
    with torch.device("meta"):
        sketch = builder(Bag(len(data.items)), generator=Generator(), **old.settings)
    report: dict[str, Any] = {
        "people": len(data.users) - len(old.adapter.users),
        "items": len(data.items) - len(old.adapter.items),
        "interactions": int(joined.fresh.sum()),
        "score_before": None,
    }
    if _continues(sketch, old, len(data.items)):
        made, before = _continued(old, builder, joined, epochs, validation, metric, run)
        report |= {"how": "trained on", "score_before": before}
    else:
        made = fitting.fit(data, old.builder, validation, metric, run, old.settings)
        report["how"] = "fitted anew"
        if epochs is not None:
            logger.warning("%s cannot go on from its weights: fitted anew, by its own settings", old.builder)
    history = made.facts["training"]
    report |= {"epochs": len(history["records"]), "best_epoch": history["best_epoch"]}
    report |= {"metric": history["metric"], "score": history["best_score"]}
    return {
        "adapter": InteractionsAdapter.fit(data),
        "model": made.model,
        "builder": old.builder,
        "settings": old.settings,
        "told": data.matrix,
        "titles": {**old.titles, **known_titles(titles, data.items)},
        "facts": {**old.facts, **made.facts, "updates": [*old.facts.get("updates", []), report]},
    }


def _check(old: Recommender, epochs: int | None, validation: float) -> None:
    if epochs is not None and "epochs" not in old.settings:
        raise SettingError(
            f"epochs={epochs} for {plugins.command_name(old.builder)}, which has none", remedy="leave it out"
        )
    if epochs is not None and epochs < 0:
        raise SettingError(f"epochs={epochs}", expected="0 or more")
    if not 0 <= validation < 0.5:
        raise SettingError(f"validation={validation}", expected="a share of the people from 0 to less than a half")


def _continues(sketch: Recipe, old: Recommender, width: int) -> bool:
    """Whether training can go on from the old weights: the loop trains the model, and every tensor can be widened."""
    return (
        isinstance(sketch, Trained)
        and "epochs" in old.settings
        and can_widen(sketch.model, state_of(old.model), len(old.adapter.items), width)
    )


def _continued(
    old: Recommender,
    builder: Builder,
    joined: Joined,
    epochs: int | None,
    validation: float,
    metric: str,
    run: Run,
) -> tuple[Fitted, float | None]:
    """Train on from the old weights; and the validation score before that."""
    data, settings = joined.data, dict(old.settings)
    settings["epochs"] = max(1, settings["epochs"] // TENTH) if epochs is None else epochs
    signal = Bag(len(data.items))
    recipe = fitting.built(old.builder, builder, signal, run, {**settings, "epochs": max(1, settings["epochs"])})
    assert isinstance(recipe, Trained)
    start = widened(state_of(recipe.model), state_of(old.model))
    load_state(recipe.model, start)
    train, fold = _parted(joined, validation, run.seed)
    recipe.model.to(run.torch_device()).eval()
    chooser = None if fold is None else fitting.measured(fold, metric, run)
    before = None if chooser is None else chooser.score(recipe.model)
    history = History(metric=None if chooser is None else metric)
    if settings["epochs"]:
        history = _with_full_weights(recipe).fit(BagSource.from_csr(train.matrix), run, chooser)
    if not history.records or (before is not None and (history.best_score is None or history.best_score <= before)):
        # Epoch 0: none of the epochs was better than none at all.
        load_state(recipe.model, start)
        history.best_epoch, history.best_score = 0, before
    facts = fitting.facts_of(data, fold, run, history)
    return Fitted(recipe.model, old.builder, old.settings, facts), before


def _with_full_weights(recipe: Trained) -> Trained:
    """The recipe with what its objective anneals at the end of annealing: the old weights have been through it, and a
    rate that cost nothing for a while would let codes drift apart again."""
    plan, model = recipe.plan, recipe.model
    phases = tuple(replace(phase, objective=_at_the_end(phase.objective or model.objective)) for phase in plan.phases)
    return replace(recipe, plan=replace(plan, phases=phases))


def _at_the_end(objective: Objective) -> Objective:
    def final(step: Step, rate: Float[Tensor, " batch"], progress: float) -> Float[Tensor, ""]:
        return objective(step, rate, 1.0)

    return final


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

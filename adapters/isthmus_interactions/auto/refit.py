"""Fits the winner again on all users, including those who were held out to choose it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from isthmus import plugins
from isthmus.batch import Bag
from isthmus.core.rankers import Blend
from isthmus.errors import NonFiniteLossError
from isthmus.machine.devices import moved
from isthmus.models.blend import BlendRecipe
from isthmus.models.recipes.settings import built
from isthmus.protocols import Recipe
from isthmus.training.progress import NoProgress, doing
from isthmus.training.run import Run
from isthmus_interactions.auto.search import Candidate
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.folds import training_source

logger = logging.getLogger(__name__)


def refit(
    best: Candidate, others: Sequence[Candidate], data: Interactions, run: Run, end: float
) -> tuple[Candidate, list[str]]:
    """Fit the winner, or each part of a blend, on all data, as far as time allows.

    Closed forms are solved again. A network is trained again to its best epoch if this took less time than is left;
    otherwise the chosen one is kept. The weights of a blend are kept, too.

    Args:
        best: the winner.
        others: the other candidates, including the parts of a blend.
        end: when to stop, on the clock of ``time.perf_counter``.

    Returns:
        The winner with its new model, and the names of the models that were fitted on all users. After Ctrl-C the
        remaining models are kept as they were.
    """
    if not isinstance(best.recipe, BlendRecipe):
        recipe, done, _ = _refit_one(best, data, run, end)
        return replace(best, recipe=recipe), [best.name] if done else []
    by_model = {id(tried.recipe): tried for tried in others}
    parts, stopped = list[tuple[Recipe, bool]](), False
    for before in best.recipe.recipes:
        recipe, done = before, False
        if not stopped:
            recipe, done, stopped = _refit_one(by_model[id(before)], data, run, end)
        parts.append((recipe, done))
    model = Blend([recipe.model for recipe, _ in parts])
    model.weigh(best.recipe.model.weights.tolist(), best.recipe.model.exponents.tolist())
    moved(model, run.torch_device())
    names = [name for name, (_, done) in zip(best.recipe.names, parts, strict=True) if done]
    blended = BlendRecipe(model, best.recipe.names, [recipe for recipe, _ in parts])
    return replace(best, recipe=blended), names


def _refit_one(tried: Candidate, data: Interactions, run: Run, end: float) -> tuple[Recipe, bool, bool]:
    """The recipe, fitted on all data if there is time; whether it was fitted; and whether Ctrl-C was pressed."""
    assert tried.recipe is not None
    epochs = tried.history.best_epoch or 1
    records = tried.history.records[:epochs] if tried.recipe.chooses_epoch else tried.history.records
    if time.perf_counter() + sum(float(record["seconds"]) for record in records) > end:
        logger.info("no time is left to fit %s on all users", plugins.command_name(tried.name))
        return tried.recipe, False, False
    source = training_source(data, tried.recipe.model)
    if not tried.recipe.chooses_epoch:
        silent = replace(run, progress=NoProgress(), checkpoints=None, resume=False)
        try:
            with doing(run.progress, f"fitting {plugins.command_name(tried.name)} on all users"):
                tried.recipe.fit(source, silent)
        except KeyboardInterrupt:
            # An interruption leaves the model of the training users or of all users intact.
            return tried.recipe, False, True
        return tried.recipe, True, False
    _, builder = plugins.find_builder(tried.name, "interactions")
    recipe = built(tried.name, builder, Bag(len(data.items)), run, tried.settings)
    try:
        with doing(run.progress, f"training {plugins.command_name(tried.name)} on all users"):
            history = recipe.fit(source, replace(run, until=epochs, checkpoints=None, resume=False))
    except NonFiniteLossError as error:
        logger.warning("%s is kept as it was chosen: %s", plugins.command_name(tried.name), error)
        return tried.recipe, False, False
    # An unfinished training is not better than the complete one that was chosen.
    return (tried.recipe, False, True) if history.interrupted else (recipe, True, False)

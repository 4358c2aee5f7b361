"""Fits the winner again on all users, including those who were held out to choose it."""

from __future__ import annotations

import logging
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
from isthmus_interactions.auto.budget import Budget
from isthmus_interactions.auto.candidate import Candidate
from isthmus_interactions.everybody.data import Everybody
from isthmus_interactions.everybody.train import solved_at_once

logger = logging.getLogger(__name__)


def fitted_again(
    best: Candidate, others: Sequence[Candidate], everybody: Everybody, run: Run, budget: Budget
) -> tuple[Candidate, list[str]]:
    """Fit the winner, or each part of a blend, on all data, as far as time allows.

    Closed forms are solved again. A network or a factorisation is trained again to its best epoch if this took less
    time than is left; otherwise the chosen one is kept. The weights of a blend are kept, too.

    Args:
        best: the winner.
        others: the other candidates, including the parts of a blend.
        everybody: training data of the final fit.
        run: device, seed, precision, progress and checkpoints.
        budget: the time limit.

    Returns:
        The winner with its new model, and the names of the models that were fitted on all users. After Ctrl-C the
        remaining models are kept as they were.
    """
    if not isinstance(best.recipe, BlendRecipe):
        recipe, done, _ = _refit_one(best, everybody, run, budget)
        return replace(best, recipe=recipe), [best.name] if done else []
    by_model = {id(tried.recipe): tried for tried in others}
    parts, stopped = [(before, False) for before in best.recipe.recipes], False
    # Fastest first, so that closed forms are still fitted if time is short.
    for place in sorted(range(len(parts)), key=lambda one: by_model[id(parts[one][0])].again):
        if not stopped:
            recipe, done, stopped = _refit_one(by_model[id(parts[place][0])], everybody, run, budget)
            parts[place] = (recipe, done)
    model = Blend([recipe.model for recipe, _ in parts])
    model.weigh(best.recipe.model.weights.tolist(), best.recipe.model.exponents.tolist())
    moved(model, run.torch_device())
    names = [name for name, (_, done) in zip(best.recipe.names, parts, strict=True) if done]
    blended = BlendRecipe(model, best.recipe.names, [recipe for recipe, _ in parts])
    return replace(best, recipe=blended), names


def _refit_one(tried: Candidate, everybody: Everybody, run: Run, budget: Budget) -> tuple[Recipe, bool, bool]:
    """The recipe, fitted on all data if there is time; whether it was fitted; and whether Ctrl-C was pressed."""
    assert tried.recipe is not None
    source = everybody.source(tried.recipe.model)
    if source is None:
        return tried.recipe, False, False
    if tried.again > budget.until_end:
        logger.info("no time is left to fit %s on all users", plugins.command_name(tried.name))
        return tried.recipe, False, False
    epochs = tried.history.best_epoch or 1
    if solved_at_once(tried.recipe, tried.history):
        silent = replace(run, progress=NoProgress(), checkpoints=None, resume=False)
        try:
            with doing(run.progress, f"fitting {plugins.command_name(tried.name)} on all users"):
                tried.recipe.fit(source, silent)
        except KeyboardInterrupt:
            # An interruption leaves the model of the training users or of all users intact.
            return tried.recipe, False, True
        return tried.recipe, True, False
    _, builder = plugins.find_builder(tried.name, "interactions")
    recipe = built(tried.name, builder, Bag(len(everybody.data.items)), run, tried.settings)
    try:
        with doing(run.progress, f"training {plugins.command_name(tried.name)} on all users"):
            history = recipe.fit(source, replace(run, until=epochs, checkpoints=None, resume=False))
    except NonFiniteLossError as error:
        logger.warning("%s is kept as it was chosen: %s", plugins.command_name(tried.name), error)
        return tried.recipe, False, False
    # An unfinished training is not better than the complete one that was chosen.
    return (tried.recipe, False, True) if history.interrupted else (recipe, True, False)

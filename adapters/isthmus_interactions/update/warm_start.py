"""A trained model goes on from its weights, over a larger catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from isthmus.bundle.tensors import load_state, state_of
from isthmus.models.recipes.rebuild import can_widen, widened
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Objective, Recipe, Source, Step
from isthmus.training.history import History, finite
from isthmus.training.run import Run, Validation

TENTH = 10
"""Going on takes a tenth of the epochs of the first training, and at least one: the old weights are already where many
epochs have brought them, and only the new rows have everything before them. Adam moves each number by up to the
learning rate in a step, however small its gradient, so that a few passes are enough for rows that start near zero."""


def can_continue(sketch: Recipe, settings: Mapping[str, Any], learned: nn.Module, before: int, after: int) -> bool:
    """Whether training can go on from the old weights: the loop trains the model, and every tensor can be widened.

    Args:
        sketch: the wider recipe; it may be on the meta device.
        settings: all its keywords.
        learned: the old model.
        before: columns of the old model.
        after: columns of the wider one.

    Returns:
        True where it can.
    """
    return (
        isinstance(sketch, GradientRecipe)
        and "epochs" in settings
        and can_widen(sketch.model, state_of(learned), before, after)
    )


def epochs_of(settings: Mapping[str, Any], asked: int | None) -> int:
    """How many epochs to go on for: those asked for, or a tenth of those in the settings."""
    epochs = int(settings["epochs"])
    return max(1, epochs // TENTH) if asked is None else asked


def shortened(settings: Mapping[str, Any], asked: int | None) -> dict[str, Any]:
    """The settings of a recipe to go on with; a plan has one epoch at least, also where none is asked for."""
    return {**settings, "epochs": max(1, epochs_of(settings, asked))}


def widen(model: nn.Module, learned: nn.Module) -> None:
    """Copy what a narrower model has learned into a wider one, in place; the rest of it stays as it was built."""
    load_state(model, widened(state_of(model), state_of(learned)))


def continue_training(
    recipe: GradientRecipe, learned: nn.Module, source: Source, run: Run, chooser: Validation | None, epochs: int
) -> tuple[History, float | None]:
    """Train from the old weights, in place; where no epoch is better than none, the model has the old weights.

    Args:
        recipe: of the wider model, for which ``can_continue`` is true.
        learned: the old model.
        chooser: the score that chooses the epoch; None keeps the last one.
        epochs: of the recipe's plan; 0 only widens.

    Returns:
        The history, and the score before the first epoch.
    """
    widen(recipe.model, learned)
    recipe.model.to(run.torch_device()).eval()
    start = {name: tensor.clone() for name, tensor in state_of(recipe.model).items()}
    before = None if chooser is None else finite(chooser.score(recipe.model))
    history = History(metric=None if chooser is None else chooser.name)
    if epochs:
        history = _with_full_weights(recipe).fit(source, run, chooser)
    if not history.records or (before is not None and (history.best_score is None or history.best_score <= before)):
        # Epoch 0: none of the epochs was better than none at all.
        load_state(recipe.model, start)
        history.best_epoch, history.best_score = 0, before
    return history, before


def _with_full_weights(recipe: GradientRecipe) -> GradientRecipe:
    """The recipe with what its objective anneals at the end of annealing: the old weights have been through it, and a
    rate that cost nothing for a while would let codes drift apart again."""
    plan, model = recipe.plan, recipe.model
    phases = tuple(replace(phase, objective=_at_the_end(phase.objective or model.objective)) for phase in plan.phases)
    return replace(recipe, plan=replace(plan, phases=phases))


def _at_the_end(objective: Objective) -> Objective:
    def final(step: Step, rate: Float[Tensor, " batch"], progress: float) -> Float[Tensor, ""]:
        return objective(step, rate, 1.0)

    return final

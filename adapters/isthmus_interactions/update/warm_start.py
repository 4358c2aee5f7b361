"""Continues training from the old weights, for a larger catalogue."""

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
"""Default share of the original epochs, at least one. The old weights are already trained, and only the new rows start
from scratch. Adam moves each number by up to the learning rate per step, however small its gradient, so a few passes
are enough for rows that start near zero."""


def can_continue(sketch: Recipe, settings: Mapping[str, Any], learned: nn.Module, before: int, after: int) -> bool:
    """Whether training can continue from the old weights: the model is trained by gradient descent, and all tensors can
    be widened.

    Args:
        sketch: recipe of the wider model, possibly on the meta device.
        settings: all keywords of the builder.
        learned: the old model.
        before: number of columns of the old model.
        after: number of columns of the wider model.

    Returns:
        True if training can continue.
    """
    return (
        isinstance(sketch, GradientRecipe)
        and "epochs" in settings
        and can_widen(sketch.model, state_of(learned), before, after)
    )


def epochs_of(settings: Mapping[str, Any], asked: int | None) -> int:
    """The number of further epochs: the given one, or a tenth of the number in the settings."""
    epochs = int(settings["epochs"])
    return max(1, epochs // TENTH) if asked is None else asked


def shortened(settings: Mapping[str, Any], asked: int | None) -> dict[str, Any]:
    """The settings of a recipe that continues training; the plan has at least one epoch, even if 0 are requested."""
    return {**settings, "epochs": max(1, epochs_of(settings, asked))}


def widen(model: nn.Module, learned: nn.Module) -> None:
    """Copy the weights of a narrower model into a wider one, in place; the remaining weights stay as initialised."""
    load_state(model, widened(state_of(model), state_of(learned)))


def continued(recipe: GradientRecipe, learned: nn.Module) -> GradientRecipe:
    """A recipe that continues from the old weights, with the final values of annealed weights.

    Args:
        recipe: recipe of the wider model, for which ``can_continue`` is true; its model receives the old weights.
        learned: the old model.
    """
    widen(recipe.model, learned)
    return _with_full_weights(recipe)


def continue_training(
    recipe: GradientRecipe, source: Source, run: Run, chooser: Validation | None, epochs: int
) -> tuple[History, float | None]:
    """Continue training from the old weights, in place. If no epoch improves the score, the old weights are kept.

    Args:
        recipe: of ``continued``.
        chooser: score that chooses the epoch; None keeps the last one.
        epochs: epochs of the recipe's plan; 0 leaves the model only widened.

    Returns:
        The history, and the score before the first epoch.
    """
    recipe.model.to(run.torch_device()).eval()
    start = {name: tensor.clone() for name, tensor in state_of(recipe.model).items()}
    before = None if chooser is None else finite(chooser.score(recipe.model))
    history = History(metric=None if chooser is None else chooser.name)
    if epochs:
        history = recipe.fit(source, run, chooser)
    if not history.records or (before is not None and (history.best_score is None or history.best_score <= before)):
        # No epoch was better than epoch 0.
        load_state(recipe.model, start)
        history.best_epoch, history.best_score = 0, before
    return history, before


def _with_full_weights(recipe: GradientRecipe) -> GradientRecipe:
    """The recipe with the final values of annealed weights: the old weights have already been annealed, and a rate
    without weight would let the codes drift apart again."""
    plan, model = recipe.plan, recipe.model
    phases = tuple(replace(phase, objective=_at_the_end(phase.objective or model.objective)) for phase in plan.phases)
    return replace(recipe, plan=replace(plan, phases=phases))


def _at_the_end(objective: Objective) -> Objective:
    def final(step: Step, rate: Float[Tensor, " batch"], progress: object) -> Float[Tensor, ""]:
        return objective(step, rate, 1.0)

    return final

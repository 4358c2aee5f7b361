"""Updates a blend part by part; the weights of the parts stay."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import nn

from isthmus import plugins
from isthmus.bundle.tensors import state_of
from isthmus.core.rankers import Blend
from isthmus.machine.devices import moved
from isthmus.models.blend import BlendRecipe, read_by, with_own_checkpoints
from isthmus.models.recipes.rebuild import can_widen
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Recipe, Source
from isthmus.training.history import History, finite
from isthmus.training.interrupts import StoppedError, StopRequest, interruptible
from isthmus.training.progress import NoProgress, Record, doing
from isthmus.training.run import Run, Validation
from isthmus_interactions.update.warm_start import (
    can_continue,
    continue_training,
    continued,
    epochs_of,
    shortened,
    widen,
)

Action = Literal["solved again", "trained on", "widened", "fitted anew", "left out"]
"""What is done with a part: ``widened`` parts are only extended by the new items, ``left out`` parts have weight 0."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class UpdatePlan:
    """How the parts are fitted.

    Attributes:
        train: the training users.
        everybody: training and validation users; the same object if there are no validation users.
        chooser: score on the validation users.
        epochs: epochs for each part that continues training; None for a tenth of its own number.
    """

    train: Source
    everybody: Source
    chooser: Validation | None
    epochs: int | None
    run: Run


@dataclass
class PartUpdate:
    """The update of one part.

    Attributes:
        name: name in the blend.
        settings: all keywords of its builder, with the original number of epochs.
        learned: the old model.
        wide: whether the old weights can be widened.
        recipe: recipe of the wider model.
        history: history of the update; None if nothing was fitted.
        before: score of the widened model, if it was measured.
    """

    name: str
    action: Action
    settings: Mapping[str, Any]
    learned: nn.Module
    wide: bool
    recipe: Recipe
    history: History | None = None
    before: float | None = None

    @property
    def fits_everybody(self) -> bool:
        """Whether it has no epoch to choose, so that the validation users can be trained on, too."""
        return self.action == "solved again"

    def report(self) -> dict[str, Any]:
        """Its entry in ``facts["updates"]``."""
        history = self.history or History()
        return {
            "model": self.name,
            "how": self.action,
            "epochs": len(history.records) if self.action in ("trained on", "fitted anew") else 0,
            "best_epoch": None if self.fits_everybody else history.best_epoch,
            "score_before": self.before,
            "score": history.best_score,
        }


def plan_parts(
    old: Blend, sketch: BlendRecipe, settings: Mapping[str, Any], columns: tuple[int, int], epochs: int | None
) -> list[PartUpdate]:
    """Plan the update of each part.

    Args:
        old: the narrower blend.
        sketch: the wider one, on the meta device.
        settings: all keywords of the builder and of its parts.
        columns: number of columns of the old blend and of the wider one.
        epochs: as in ``UpdatePlan``.

    Returns:
        A plan for each part, in order.
    """
    parts = []
    for place, (name, recipe) in enumerate(zip(sketch.names, sketch.recipes, strict=True)):
        own, learned = settings["parts"][place]["settings"], old.parts[place]
        wide = can_widen(recipe.model, state_of(learned), *columns)
        action: Action = _action(recipe, own, learned, columns, epochs) if float(old.weights[place]) else "left out"
        parts.append(PartUpdate(name, action, own, learned, wide, recipe))
    return parts


def _action(
    sketch: Recipe, settings: Mapping[str, Any], learned: nn.Module, columns: tuple[int, int], epochs: int | None
) -> Action:
    if not sketch.chooses_epoch:
        return "solved again"
    if not can_continue(sketch, settings, learned, *columns):
        return "fitted anew"
    return "trained on" if epochs_of(settings, epochs) else "widened"


def shortened_parts(settings: Mapping[str, Any], parts: list[PartUpdate], epochs: int | None) -> dict[str, Any]:
    """Settings of the wider blend, with fewer epochs for the parts that continue training.

    Args:
        settings: settings of the blend.
        parts: result of ``plan_parts``.
        epochs: epochs for each part that continues; None for a tenth of its own number.

    Returns:
        All keywords of the blend.
    """
    whole = []
    for named, part in zip(settings["parts"], parts, strict=True):
        own = shortened(part.settings, epochs) if part.action in ("trained on", "widened") else part.settings
        whole.append({**named, "settings": dict(own)})
    return {**settings, "parts": whole}


def update(old: Blend, blended: BlendRecipe, parts: list[PartUpdate], plan: UpdatePlan) -> tuple[History, float | None]:
    """Update each part in place. Ctrl-C ends the running training; the remaining parts are only widened.

    Each trained part chooses its own epoch. Closed forms are first solved without the validation users, so that the
    score of the blend is fair, and then for all users.

    Args:
        old: the narrower blend.
        blended: the wider one, from ``shortened_parts``.
        parts: result of ``plan_parts``; actions and histories are recorded in it.

    Returns:
        The history, with a record for each part and one for the blend, and the score of the blend before the update
        (None without validation users, or if the weights of a part cannot be widened).
    """
    chooser, run, model = plan.chooser, plan.run, blended.model
    model.weigh(old.weights.tolist(), old.exponents.tolist())
    for part, recipe in zip(parts, blended.recipes, strict=True):
        part.recipe = recipe
        if part.wide and part.action != "fitted anew":
            widen(recipe.model, part.learned)
    moved(model.eval(), run.torch_device())
    known = all(part.wide and part.action != "fitted anew" for part in parts if part.action != "left out")
    before = finite(chooser.score(model)) if chooser is not None and known else None
    history = History(metric=None if chooser is None else chooser.name)
    with interruptible() as stop:
        # The parts that are needed in any case come first.
        for part in sorted(parts, key=lambda part: (not part.fits_everybody, part.action == "trained on")):
            _fit(part, plan, history, stop)
    moved(model, run.torch_device())
    if chooser is not None:
        started = time.perf_counter()
        record: Record = {"epoch": len(history.records) + 1, "phase": "blend", chooser.name: chooser.score(model)}
        history.take({**record, "seconds": time.perf_counter() - started})
        history.best_epoch = len(history.records)
        history.best_score = finite(float(history.records[-1][chooser.name]))
    if plan.train is not plan.everybody:
        for part in parts:
            if part.fits_everybody:
                _fit_everybody(part.recipe, read_by(plan.everybody, part.recipe.model), run)
        moved(model, run.torch_device())
    return history, before


def _fit_everybody(recipe: Recipe, everybody: Source, run: Run) -> None:
    silent = replace(run, progress=NoProgress(), checkpoints=None, resume=False)
    with interruptible() as stop, doing(run.progress, "solving for all users"):
        stop.optional(lambda: recipe.fit(everybody, silent))


def _fit(part: PartUpdate, plan: UpdatePlan, history: History, stop: StopRequest) -> None:
    """Fit a part and add its record to the history.

    Raises:
        StoppedError: Ctrl-C before a part was fitted that the blend needs.
    """
    if stop.requested and part.action == "trained on":
        part.action = "widened"
    if part.action in ("left out", "widened"):
        return
    if stop.requested:
        raise StoppedError(stop.number)
    run, recipe = with_own_checkpoints(plan.run, part.name), part.recipe
    source = read_by(plan.train, recipe.model)
    with doing(run.progress, f"{plugins.command_name(part.name)} is {part.action}"):
        if part.action == "trained on":
            assert isinstance(recipe, GradientRecipe)
            epochs = epochs_of(part.settings, plan.epochs)
            going_on = continued(recipe, part.learned)
            done, part.before = continue_training(going_on, source, run, plan.chooser, epochs)
        else:
            done = recipe.fit(source, run, plan.chooser)
    part.history = done
    line: Record = {"epoch": len(history.records) + 1, "phase": part.name, "epochs": len(done.records)}
    score = {} if done.metric is None or done.best_score is None else {done.metric: done.best_score}
    history.take({**line, **score, "seconds": done.seconds})
    history.interrupted |= done.interrupted
    history.out_of_time |= done.out_of_time


def learned_from_everybody(parts: list[PartUpdate], plan: UpdatePlan) -> list[str]:
    """Names of the parts that are now trained on all old and new users, including validation users."""
    return [part.name for part in parts if part.fits_everybody or (plan.chooser is None and _whole(part.history))]


def _whole(history: History | None) -> bool:
    return history is not None and history.best_epoch != 0 and not history.interrupted and not history.out_of_time

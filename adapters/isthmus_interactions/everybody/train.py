"""Fits a model that was chosen with held-out users on all users.

A closed form is solved again. A network is trained again, from the same initial weights, for the best number of epochs,
which was found on users who could not be trained on at the same time; a factorisation, for all its passes. If this is
ended early for any reason, the model of the training users is kept.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from isthmus import plugins
from isthmus.core.placement import current
from isthmus.errors import BudgetError, NonFiniteLossError
from isthmus.protocols import Recipe
from isthmus.training.checkpoint import CheckpointStore
from isthmus.training.history import History
from isthmus.training.interrupts import StopRequest
from isthmus.training.progress import NoProgress, doing
from isthmus.training.run import Run
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.folds import training_source

AGAIN = 1.15
"""Ratio of the durations of a fit on all users and one on the training users."""

FOLDER = "everybody"
"""Subfolder for the checkpoints of this training."""

KEPT = "keeping the model of the training users"

logger = logging.getLogger(__name__)


def seconds_again(recipe: Recipe, history: History) -> float:
    """Estimated seconds of a fit on all users.

    Args:
        recipe: the fitted recipe.
        history: history of that fit.
    """
    records = history.records[: history.best_epoch or 1] if recipe.chooses_epoch else history.records
    return AGAIN * sum(float(record["seconds"]) for record in records)


def solved_at_once(recipe: Recipe, history: History) -> bool:
    """Whether a fit is one step, which leaves the model of before or the new one. A factorisation chooses no epoch
    either, but takes several passes and can end after any of them.

    Args:
        recipe: the fitted recipe.
        history: history of that fit.
    """
    return not recipe.chooses_epoch and len(history.records) <= 1


@dataclass(frozen=True)
class FinalFit:
    """The fit of one model on all users.

    Attributes:
        name: its name in Python.
        make: builds a recipe with its initial weights.
        data: interactions of all users.
        run: device, seed, precision, progress and checkpoints; its time limit counts from ``started``.
        stop: signals received during the whole ``fit``.
        started: start time of the first fit.
    """

    name: str
    make: Callable[[], Recipe]
    data: Interactions
    run: Run
    stop: StopRequest
    started: float = field(default_factory=time.perf_counter)

    def check_folder(self) -> None:
        """Check, before any training, that there are no checkpoints of an earlier one.

        Raises:
            SettingError: there are some, and the run does not resume.
        """
        folder = self._folder
        if folder is not None and folder.is_dir() and not self.run.resume:
            CheckpointStore(folder).check_empty()

    def of(self, recipe: Recipe, history: History) -> tuple[Recipe, bool]:
        """Fit on all users.

        Args:
            recipe: recipe fitted on the training users.
            history: history of that fit.

        Returns:
            The recipe to keep, and whether it was fitted on all users.
        """
        if self.stop.requested or not history.records:
            return recipe, False
        if solved_at_once(recipe, history):
            return recipe, self._solve(recipe)
        left = None if self.run.time_limit is None else self.started + self.run.time_limit - time.perf_counter()
        # If there are several processes, all of them decide in the same way.
        if left is not None and current().any(left < seconds_again(recipe, history)):
            logger.info(
                "the time limit leaves no time to train %s on all users: %s", plugins.command_name(self.name), KEPT
            )
            return recipe, False
        return self._train(recipe, history.best_epoch or history.epochs, left)

    @property
    def _folder(self) -> Path | None:
        return None if self.run.checkpoints is None else self.run.checkpoints / FOLDER

    def _solve(self, recipe: Recipe) -> bool:
        """Solve again. An interruption leaves the model of the training users or of all users intact."""
        silent = replace(self.run, progress=NoProgress())
        with (
            self.stop.telling(lambda: KEPT),
            doing(self.run.progress, f"fitting on all {len(self.data):,} users"),
        ):
            return self.stop.optional(lambda: recipe.fit(training_source(self.data, recipe.model), silent))

    def _train(self, before: Recipe, epochs: int, left: float | None) -> tuple[Recipe, bool]:
        """Train again; an incomplete training is not better than the chosen one."""
        recipe, found = self.make(), list[History]()
        run = replace(self.run, until=epochs, time_limit=left, checkpoints=self._folder)
        source = training_source(self.data, recipe.model)
        try:
            with (
                self.stop.telling(lambda: KEPT),
                doing(self.run.progress, f"training on all {len(self.data):,} users"),
            ):
                self.stop.attempt(lambda: found.append(recipe.fit(source, run)))
        except (BudgetError, NonFiniteLossError) as error:
            logger.warning("%s is not trained on all users: %s", plugins.command_name(self.name), error)
            return before, False
        done = bool(found) and not (self.stop.requested or found[0].out_of_time)
        return (recipe, True) if done else (before, False)

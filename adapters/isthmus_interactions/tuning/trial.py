"""One trial: a model is built, trained and scored on held-out users, and stopped early if it falls behind."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import ModuleType
from typing import Any

from isthmus import plugins
from isthmus.batch import Bag
from isthmus.core.linear import dense
from isthmus.core.linear.dense import Gram
from isthmus.core.linear.row_weights import RowWeights
from isthmus.errors import MissingLibraryError, NonFiniteLossError, SettingError
from isthmus.machine.hardware import available_bytes
from isthmus.models.linear import ClosedFormRecipe, gram_of
from isthmus.models.recipes.settings import built, checked
from isthmus.protocols import Builder, Recipe
from isthmus.sources import BagSource
from isthmus.tasks.evaluation import MetricAt
from isthmus.training.progress import Progress, Record, doing
from isthmus.training.run import Run
from isthmus_interactions import fit
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.folds import training_source
from isthmus_interactions.order.holdout import hold_out
from isthmus_interactions.order.inputs import BAGS, reads_of
from isthmus_interactions.splits import FoldIn
from isthmus_interactions.tuning import spaces
from isthmus_interactions.tuning.study import State, Trial, fingerprint, fold_fingerprint

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class TuningSearch:
    """The part of a search that is the same for all trials."""

    name: str
    builder: Builder
    defaults: Mapping[str, Any]
    fixed: Mapping[str, Any]
    space: spaces.Space
    train: Interactions
    fold: FoldIn
    metric: str
    run: Run

    @classmethod
    def of(
        cls, data: Interactions, model: str, metric: str, validation: FoldIn | float, run: Run, fixed: Mapping[str, Any]
    ) -> TuningSearch:
        """Prepare a search. Raises the errors of ``tune`` about settings, models and users.

        Args:
            data: interactions of all users.
            model: name of a builder.
            metric: the metric to maximise.
            validation: held-out users, or the share of the users of ``data`` to hold out.
            run: device, seed, precision and progress.
            fixed: settings that are not searched.

        Returns:
            The search, before its first trial.
        """
        _, builder = plugins.find_builder(model, "interactions")
        name, defaults = plugins.python_name(model), checked(model, builder, fixed)
        space = spaces.space_of(model, fixed)
        MetricAt.parse(metric)
        held = hold_out(data, validation, run.seed)
        if held.fold is None:
            raise SettingError(
                f"{len(data):,} users and validation={validation}, so no users are held out",
                expected=f"at least {fit.FEWEST} users, some of them with {fit.SHORTEST} items that others have, too",
            )
        given = {key: defaults[key] for key in fixed}
        return cls(name, builder, defaults, given, space, held.train, held.fold, metric, run)

    @property
    def head(self) -> dict[str, Any]:
        """Description that distinguishes this search from others."""
        return {
            "model": self.name,
            "metric": self.metric,
            "seed": self.run.seed,
            "fixed": dict(self.fixed),
            "space": spaces.described(self.space),
            "data": fingerprint(self.train.matrix),
            "users": fold_fingerprint(self.fold),
        }

    def trial(self, done: Sequence[Trial], seconds: float | None) -> Trial | None:
        """Run the next trial; None if the time limit was reached before its first score."""
        first = {name: self.defaults[name] for name in self.space}
        asked = sampler_module().Suggestion(self.space, first, done, self.run.seed)
        watch = _Watch(self.run.progress, self.metric, asked.should_prune)
        run = replace(self.run, progress=watch, time_limit=seconds)
        number, started = len(done) + 1, time.perf_counter()
        state: State = "complete"
        try:
            recipe = self._recipe(asked.settings)
            source = self.source if reads_of(recipe.model) == BAGS else training_source(self.train, recipe.model)
            with doing(self.run.progress, f"trial {number}"):
                history = recipe.fit(source, run, fit.validation_score(self.fold, self.metric))
            if history.interrupted:
                raise KeyboardInterrupt
            if history.out_of_time:
                logger.info("time limit reached in trial %d, after %d epochs", number, len(watch.scores))
                state = "cut"
        except _PrunedError:
            state = "pruned"
        except (NonFiniteLossError, SettingError) as error:
            if number == 1:
                raise
            logger.info("trial %d failed: %s", number, error)
            return Trial(number, "failed", asked.settings, None, (), time.perf_counter() - started, str(error))
        if not watch.scores:
            return None
        spent, finite = time.perf_counter() - started, [score for score in watch.scores if math.isfinite(score)]
        if not finite:
            return Trial(number, "failed", asked.settings, None, (), spent, f"no {self.metric} was a finite number")
        return Trial(number, state, asked.settings, max(finite), tuple(watch.scores), spent)

    def _recipe(self, settings: Mapping[str, Any]) -> Recipe:
        signal = Bag(len(self.train.items))
        recipe = built(self.name, self.builder, signal, self.run, {**self.defaults, **settings})
        return replace(recipe, gram=self._gram(recipe)) if isinstance(recipe, ClosedFormRecipe) else recipe

    @cached_property
    def source(self) -> BagSource:
        """The training users, as bags."""
        return BagSource.from_csr(self.train.matrix)

    @cached_property
    def _grams(self) -> dict[RowWeights, Gram]:
        return {}

    def _gram(self, recipe: ClosedFormRecipe) -> Gram | None:
        """XᵀX, which trials with the same weights of rows share; None if it does not fit in memory together with a
        solution."""
        width, rows = len(self.train.items), recipe.rows
        if rows not in self._grams:
            if not self._room(width):
                self._grams.clear()
            if not self._room(width):
                return None
            self._grams[rows] = gram_of(self.source, width, rows)
        return self._grams[rows]

    @staticmethod
    def _room(width: int) -> bool:
        free = available_bytes()
        return free is None or free >= (8 + dense.BYTES) * width**2


class _PrunedError(Exception):
    """The trial is stopped early because others were better."""


class _Watch:
    """Forwards the progress of a training, keeps its scores, and stops it if they are too low."""

    def __init__(self, progress: Progress, metric: str, should_prune: Callable[[int, float], bool]) -> None:
        self.progress, self.metric, self.should_prune = progress, metric, should_prune
        self.scores: list[float] = []

    def start(self, epochs: int, rows: int, metric: str | None, first_epoch: int = 0) -> None:
        self.progress.start(epochs, rows, metric, first_epoch)

    def step(self, rows: int, loss: float) -> None:
        self.progress.step(rows, loss)

    def epoch(self, record: Record) -> None:
        self.progress.epoch(record)
        if self.metric in record:
            self.scores.append(float(record[self.metric]))
            if self.should_prune(len(self.scores) - 1, self.scores[-1]):
                raise _PrunedError

    def stop(self) -> None:
        self.progress.stop()


def sampler_module() -> ModuleType:
    """The module ``isthmus_interactions.tuning.sampler``.

    Raises:
        MissingLibraryError: Optuna is not installed.
    """
    try:
        from isthmus_interactions.tuning import sampler as module
    except ImportError as error:
        raise MissingLibraryError(
            f"tuning needs the library {error.name!r}, which could not be imported",
            remedy='pip install "isthmus[tune]"',
        ) from error
    return module

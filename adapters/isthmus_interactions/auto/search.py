"""Search for the best model on held-out users within a time limit."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from isthmus import plugins
from isthmus.batch import Bag
from isthmus.core.rankers import Blend
from isthmus.errors import NonFiniteLossError
from isthmus.machine.devices import moved
from isthmus.models.blend import BlendRecipe, weigh
from isthmus.models.recipes.settings import built, checked
from isthmus.protocols import Recipe, Source
from isthmus.sources import BagSource
from isthmus.training.history import ERROR, History
from isthmus.training.interrupts import interruptible
from isthmus.training.progress import doing
from isthmus.training.run import Run, Validation
from isthmus_interactions.auto.candidates import (
    USER_POWER,
    FilterSettings,
    LinearSettings,
    dense_fits,
    filter_seconds,
    initial_settings,
    most_vectors,
    neighbouring_filters,
    neighbouring_settings,
    networks,
    sequences,
    sparse_fits,
)
from isthmus_interactions.auto.shared import SharedWork
from isthmus_interactions.cold_start import in_training
from isthmus_interactions.csr import Csr
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.choose_decay import half_lives, with_half_life
from isthmus_interactions.order.folds import training_source
from isthmus_interactions.order.holdout import has_order
from isthmus_interactions.order.inputs import BAGS, reads_of

LINEAR = 0.35
"""Share of the time for linear models."""

FILTERS = 0.2
"""Share of the remaining time for low-pass filters."""

RECENT = 0.25
"""Share of the remaining time for half-lives, and again for models that read items in order."""

MOST = 10
"""Maximum number of linear models."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """One candidate.

    Attributes:
        name: name of the builder, as in Python.
        settings: all its keywords.
        recipe: its fitted model and how to fit it again; dropped when a better candidate of that name is found.
        history: history of its training.
        score: score on the held-out users, higher is better; None if it failed or had no score within the time limit.
        seconds: time for fitting and scoring.
        why: reason of a failure.
    """

    name: str
    settings: Mapping[str, Any]
    recipe: Recipe | None
    history: History
    score: float | None
    seconds: float
    why: str = ""

    def line(self, metric: str) -> dict[str, Any]:
        """Its line in ``facts["tried"]``."""
        ended = "out of time" if self.history.out_of_time else "interrupted" if self.history.interrupted else ""
        last = self.history.records[-1] if self.history.records else {}
        best = next((one for one in self.history.records if one["epoch"] == self.history.best_epoch), last)
        extra = {key: value for key, value in last.items() if str(key).startswith("share of ")}
        return {
            "model": self.name,
            "settings": dict(self.settings),
            metric: self.score,
            "standard_error": best.get(f"{metric}{ERROR}"),
            "seconds": round(self.seconds, 2),
            "epochs": len(self.history.records),
            "note": self.why or ended,
            **extra,
        }


class ModelSearch:
    """The candidates so far.

    Args:
        train: the training users.
        validation: the score that decides.
        run: device, seed, precision, progress and checkpoints; each network has its own checkpoints.
        end: when to stop, on the clock of ``time.perf_counter``.
        features: features of the items as rows, if there are any.
    """

    def __init__(
        self, train: Interactions, validation: Validation, run: Run, end: float, features: Csr | None = None
    ) -> None:
        self.features = features
        self.train, self.validation, self.run, self.end = train, validation, run, end
        self.source = BagSource.from_csr(train.matrix)
        self.shared = SharedWork(self.source, len(train.items), run)
        self.tried: list[Candidate] = []

    @property
    def ranked(self) -> list[Candidate]:
        """Candidates that have a score, the best first."""
        done = [tried for tried in self.tried if tried.score is not None]
        return sorted(done, key=lambda tried: -(tried.score or 0.0))

    def run_all(self) -> None:
        """Try linear models, networks, and a blend of the best of each kind.

        Raises:
            KeyboardInterrupt: Ctrl-C before the first candidate was finished.
        """
        with interruptible() as stop:
            try:
                self._linear()
                if self.features is not None and time.perf_counter() < self.end:
                    self._try(in_training.CONTENT, {}, None)
                self._filters()
                self.shared.release()
                ordered = has_order(self.train.histories)
                if ordered:
                    self._recent()
                    self._sequences()
                todo = networks(self.train, ordered=ordered)
                for place, (name, settings) in enumerate(todo):
                    left = self.end - time.perf_counter()
                    if left > 0:
                        self._try_network(name, settings, left / (len(todo) - place))
                stop.optional(self._blend)
            except KeyboardInterrupt:
                if not self.ranked:
                    raise

    def kept(self) -> str:
        """The message after a signal; empty if there is nothing to keep but the running training."""
        ranked = self.ranked
        return f"keeping {plugins.command_name(ranked[0].name)}, the best of {len(ranked)} models" if ranked else ""

    def _linear(self) -> None:
        """Move from one point to better neighbours until none is better or the time is used up."""
        started, width = time.perf_counter(), len(self.train.items)
        limit = LINEAR * (self.end - started)
        dense = dense_fits(width, limit)
        seen: list[LinearSettings] = []
        weights = [] if self.features is None else in_training.weights_to_try(self.train)
        point: LinearSettings | None = initial_settings(self.train)
        while point is not None and len(seen) < MOST + len(weights):
            seen.append(point)
            self._try("rdlae" if dense else "sparse_linear", asdict(point), None)
            self._forget()
            if time.perf_counter() - started + self.tried[-1].seconds > limit:
                break
            best = self.ranked[0].settings
            around = neighbouring_settings(LinearSettings.within(best), weights)
            point = next((one for one in around if one not in seen), None)
        if dense and sparse_fits(width, started + limit - time.perf_counter()):
            # Fewer weights overfit less if there are many items and few users.
            best = self.ranked[0].settings
            self._try(
                "sparse_linear", {name: best[name] for name in ("regularisation", "dropout", "length_power")}, None
            )

    def _filters(self) -> None:
        """The same for low-pass filters, which share decompositions."""
        end = time.perf_counter() + FILTERS * (self.end - time.perf_counter())
        most = most_vectors(self.train)
        seen: list[FilterSettings] = []
        point: FilterSettings | None = FilterSettings(most)
        while point is not None and len(seen) < MOST:
            known = self.shared.has_spectrum(USER_POWER, point.item_power)
            needed = 0.0 if known else filter_seconds(self.train)
            if time.perf_counter() + needed > end:
                break
            seen.append(point)
            self._try("low_pass", asdict(point), None)
            self._forget()
            own = next((tried for tried in self.ranked if tried.name == "low_pass"), self.tried[-1])
            best = FilterSettings.within(own.settings)
            point = next((one for one in neighbouring_filters(best, most) if one not in seen), None)

    def _recent(self) -> None:
        """Give the best linear model several half-lives."""
        end, before = time.perf_counter() + RECENT * (self.end - time.perf_counter()), self.ranked[0]
        own = dict(before.settings)
        for half_life in half_lives(self.train)[1:]:
            if time.perf_counter() + self.tried[-1].seconds > end:
                break
            self._try("recent", with_half_life(before.name, half_life, own)[1], None)
            self._forget()

    def _sequences(self) -> None:
        """Models that read items in order, if there are any: closed forms with several settings."""
        end, seconds = time.perf_counter() + RECENT * (self.end - time.perf_counter()), 0.0
        for name, settings in sequences(self.train):
            if time.perf_counter() + seconds > end:
                break
            started = time.perf_counter()
            self._try_network(name, settings, end - started)
            seconds = time.perf_counter() - started
            self._forget()

    def _forget(self) -> None:
        """Drop models that a better candidate of the same name has overtaken; a dense model may take gigabytes."""
        kept = {id(tried) for tried in self.best_of_each()}
        self.tried = [tried if id(tried) in kept else replace(tried, recipe=None) for tried in self.tried]

    def best_of_each(self) -> list[Candidate]:
        """The best candidate of each name, the best one first."""
        best: dict[str, Candidate] = {}
        for tried in self.ranked:
            best.setdefault(tried.name, tried)
        return list(best.values())

    def _try(self, name: str, settings: Mapping[str, Any], seconds: float | None) -> None:
        """Fit one candidate within a time limit and score it.

        Raises:
            KeyboardInterrupt: Ctrl-C; the training until then counts.
        """
        started = time.perf_counter()
        _, builder = plugins.find_builder(name, "interactions")
        whole = checked(name, builder, settings)
        shown = ", ".join(f"{key} {value}" for key, value in settings.items())
        checkpoints = self.run.checkpoints and self.run.checkpoints / name
        run = replace(self.run, time_limit=seconds, checkpoints=checkpoints)
        recipe = in_training.given(built(name, builder, Bag(len(self.train.items)), run, whole), self.features)
        recipe = self.shared.given(recipe)
        with doing(run.progress, f"trying {plugins.command_name(name)}", shown):
            history = recipe.fit(self._source(recipe), run, self.validation)
        recipe = self.shared.without(recipe)
        self.tried.append(Candidate(name, whole, recipe, history, history.best_score, time.perf_counter() - started))
        if history.interrupted:
            raise KeyboardInterrupt

    def _source(self, recipe: Recipe) -> Source:
        """The training users in the form that a model reads."""
        return self.source if reads_of(recipe.model) == BAGS else training_source(self.train, recipe.model)

    def _try_network(self, name: str, settings: Mapping[str, Any], seconds: float) -> None:
        """The same for a network; if its training fails, the search continues without it."""
        started = time.perf_counter()
        try:
            self._try(name, settings, seconds)
        except NonFiniteLossError as error:
            if not self.ranked:
                raise
            logger.warning("%s failed: %s", plugins.command_name(name), error)
            history, spent = History(metric=self.validation.name), time.perf_counter() - started
            self.tried.append(Candidate(name, settings, None, history, None, spent, str(error)))

    def _blend(self) -> None:
        parts = self.best_of_each()
        if len(parts) < 2:
            return
        started = time.perf_counter()
        names, recipes = [part.name for part in parts], [part.recipe for part in parts if part.recipe is not None]
        model = Blend([recipe.model for recipe in recipes])
        moved(model, self.run.torch_device())
        with doing(self.run.progress, "weighing " + ", ".join(map(plugins.command_name, names))):
            record = weigh(model, names, training_source(self.train, model), self.validation, 1)
        history = History(metric=self.validation.name)
        history.take(record)
        # A part without weight would be saved and fitted again for no use.
        counts = [part for part, weight in enumerate(model.weights.tolist()) if weight]
        weights, exponents = model.weights[counts].tolist(), model.exponents[counts].tolist()
        parts, names, recipes = [parts[i] for i in counts], [names[i] for i in counts], [recipes[i] for i in counts]
        model = Blend([recipe.model for recipe in recipes])
        model.weigh(weights, exponents)
        settings = {"parts": [{"model": part.name, "settings": dict(part.settings)} for part in parts]}
        spent = time.perf_counter() - started
        self.tried.append(
            Candidate("blend", settings, BlendRecipe(model, names, recipes), history, history.best_score, spent)
        )

"""Search for the best model on held-out users within a time limit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from isthmus import plugins
from isthmus.batch import Bag
from isthmus.core.rankers import Blend
from isthmus.errors import NonFiniteLossError
from isthmus.machine.devices import moved
from isthmus.models.blend import BlendRecipe
from isthmus.models.recipes.settings import built, checked
from isthmus.protocols import Recipe, Source
from isthmus.sources import BagSource
from isthmus.training.history import History
from isthmus.training.interrupts import interruptible
from isthmus.training.progress import NoProgress, doing
from isthmus.training.run import Run
from isthmus_interactions.auto.blending import Weighed, weighed
from isthmus_interactions.auto.budget import Budget
from isthmus_interactions.auto.candidate import Candidate
from isthmus_interactions.auto.candidates import (
    USER_POWER,
    FilterSettings,
    LinearSettings,
    dense_fits,
    factorisations,
    filter_seconds,
    initial_settings,
    most_vectors,
    neighbouring_filters,
    neighbouring_settings,
    networks,
    sequences,
    sparse_fits,
)
from isthmus_interactions.auto.judge import Judge, leads
from isthmus_interactions.auto.promises import EPOCHS, epoch_seconds, planned, share
from isthmus_interactions.auto.shared import SharedWork
from isthmus_interactions.cold_start import in_training
from isthmus_interactions.csr import Csr
from isthmus_interactions.everybody.train import AGAIN
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.choose_decay import half_lives, with_half_life
from isthmus_interactions.order.folds import training_source
from isthmus_interactions.order.holdout import has_order
from isthmus_interactions.order.inputs import BAGS, reads_of

LINEAR = 0.35
"""Share of the time for linear models."""

FILTERS = 0.2
"""Share of the remaining time for low-pass filters."""

FACTORS = 0.2
"""Share of the remaining time for a matrix factorisation."""

RECENT = 0.25
"""Share of the remaining time for half-lives, and again for models that read items in order."""

MOST = 10
"""Maximum number of linear models."""

BLENDED = 6
"""Maximum number of parts of a blend."""

NEAR = 0.7
"""Parts of a blend have at least this share of the best score; others rarely get a weight."""

WEIGHING = 0.1
"""Share of the time limit that is kept for weighing a blend."""

TRIAL = 0.05
"""Share of a network's time for measuring its speed, beyond the first steps."""

logger = logging.getLogger(__name__)


class ModelSearch:
    """The candidates so far.

    Args:
        train: the training users.
        judge: the score that decides.
        run: device, seed, precision, progress and checkpoints; each network has its own checkpoints.
        budget: the time limit, in which time for the final fit of the best candidates is reserved.
        features: features of the items as rows, if there are any.
    """

    def __init__(
        self, train: Interactions, judge: Judge, run: Run, budget: Budget, features: Csr | None = None
    ) -> None:
        self.train, self.judge, self.run, self.budget, self.features = train, judge, run, budget, features
        self.source = BagSource.from_csr(train.matrix)
        self.shared = SharedWork(self.source, len(train.items), run)
        self.tried: list[Candidate] = []

    @property
    def ranked(self) -> list[Candidate]:
        """Candidates with a score, best first."""
        done = [tried for tried in self.tried if tried.score is not None and not tried.refused]
        return sorted(done, key=lambda tried: -(tried.score or 0.0))

    def run_all(self) -> None:
        """Try linear models, factorisations, networks, and a blend of the best of each kind.

        Raises:
            KeyboardInterrupt: Ctrl-C before the first candidate was finished.
        """
        with interruptible() as stop:
            try:
                self._linear()
                if self.features is not None and self.budget.left > 0:
                    self._try(in_training.CONTENT, {}, None)
                self._filters()
                self.shared.release()
                for name, settings in factorisations(self.train, LINEAR * self.budget.seconds, self.run.torch_device()):
                    if self.budget.left > 0:
                        self._try_network(name, settings, FACTORS * self.budget.left)
                ordered = has_order(self.train.histories)
                if ordered:
                    self._recent()
                    self._sequences()
                self._networks(networks(self.train, ordered=ordered))
                stop.optional(self._blend)
            except KeyboardInterrupt:
                if not self.ranked:
                    raise

    def kept(self) -> str:
        """The message after a signal; empty if there is nothing to keep except the running training."""
        ranked = self.ranked
        return f"keeping {plugins.command_name(ranked[0].name)}, the best of {len(ranked)} models" if ranked else ""

    def _linear(self) -> None:
        """Try dense and sparse linear models once, then go on with the better kind.

        With many items and few users, fewer weights overfit less.
        """
        width, limit = len(self.train.items), LINEAR * self.budget.left
        until, first = self.budget.left - limit, initial_settings(self.train)
        kinds = ["rdlae"] if dense_fits(width, limit) else []
        if not kinds or sparse_fits(width, limit / 2):
            kinds.append("sparse_linear")
        for kind in kinds:
            self._try(kind, asdict(first), None)
        better = self.ranked[0].name
        self._improve(better, first, until)
        # The other kind differs enough to be a part of a blend.
        again = replace(LinearSettings.within(self.best_of(better).settings), xi=0.0)
        for kind in kinds:
            if kind != better and again != first and self._time_for(self.best_of(kind).seconds, until):
                self._try(kind, asdict(again), None)
        self._forget()

    def _improve(self, kind: str, first: LinearSettings, until: float) -> None:
        """Move from the first point of a linear model to better neighbours until none is better or the time is used
        up."""
        seen, seconds = [first], self.best_of(kind).seconds
        weights = [] if self.features is None else in_training.weights_to_try(self.train)
        while len(seen) < MOST + len(weights):
            around = neighbouring_settings(LinearSettings.within(self.best_of(kind).settings), weights)
            point = next((one for one in around if one not in seen), None)
            if point is None or not self._time_for(seconds, until):
                break
            seen.append(point)
            self._try(kind, asdict(point), None)
            seconds = self.tried[-1].seconds
            self._forget()

    def _filters(self) -> None:
        """The same for low-pass filters, which share decompositions."""
        until = (1 - FILTERS) * self.budget.left
        most = most_vectors(self.train)
        seen: list[FilterSettings] = []
        point: FilterSettings | None = FilterSettings(most)
        while point is not None and len(seen) < MOST:
            known = self.shared.has_spectrum(USER_POWER, point.item_power)
            needed = self.tried[-1].seconds if known else filter_seconds(self.train)
            if not self._time_for(needed, until):
                break
            seen.append(point)
            self._try("low_pass", asdict(point), None)
            self._forget()
            best = FilterSettings.within(self.best_of("low_pass").settings)
            point = next((one for one in neighbouring_filters(best, most) if one not in seen), None)

    def _recent(self) -> None:
        """Try several half-lives for the best linear model."""
        until, before = (1 - RECENT) * self.budget.left, self.ranked[0]
        own = dict(before.settings)
        for half_life in half_lives(self.train)[1:]:
            if not self._time_for(max(before.seconds, self.tried[-1].seconds), until):
                break
            self._try("recent", with_half_life(before.name, half_life, own)[1], None)
            self._forget()

    def _sequences(self) -> None:
        """Try closed-form sequence models with several settings, if the order is known."""
        until, seconds = (1 - RECENT) * self.budget.left, 0.0
        for name, settings in sequences(self.train):
            if not self._time_for(seconds, until):
                break
            started = self.budget.now()
            self._try_network(name, settings, None)
            seconds = self.budget.now() - started
            self._forget()

    def _networks(self, todo: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Train networks, each with a share of the time that is left for those that can use it."""
        if self.budget.left <= 0:
            return
        trial = TRIAL * self.budget.left / (1 + AGAIN) / max(1, len(todo))
        epochs = [self._epoch_seconds(name, settings, trial) for name, settings in todo]
        for place, (name, settings) in enumerate(todo):
            if self.budget.left > 0:
                # A network that wins is trained again on all users, which takes as long.
                seconds = share(self.budget.left / (1 + AGAIN), epochs[place:])
                self._try_network(name, settings, seconds, epochs[place])

    def _time_for(self, seconds: float, until: float) -> bool:
        """Whether a fit of this duration leaves enough time for later steps."""
        return self.budget.left - seconds > max(until, 0.0) and self.budget.allows(seconds)

    def _forget(self) -> None:
        """Drop models for which there is a better candidate of the same name; a dense model may take gigabytes."""
        kept = {id(tried) for tried in self.best_of_each()}
        self.tried = [tried if id(tried) in kept else replace(tried, recipe=None) for tried in self.tried]

    def best_of(self, name: str) -> Candidate:
        """The best candidate of a name, which has been tried; the last one where none has a score."""
        scored = (tried for tried in self.ranked if tried.name == name)
        return next(scored, [tried for tried in self.tried if tried.name == name][-1])

    def best_of_each(self) -> list[Candidate]:
        """The best candidate of each name, best first."""
        best: dict[str, Candidate] = {}
        for tried in self.ranked:
            best.setdefault(tried.name, tried)
        return list(best.values())

    def _try(self, name: str, settings: Mapping[str, Any], seconds: float | None) -> None:
        """Fit one candidate within a time limit and score it.

        Raises:
            KeyboardInterrupt: Ctrl-C; the training so far counts as a candidate.
        """
        started = self.budget.now()
        _, builder = plugins.find_builder(name, "interactions")
        whole = checked(name, builder, settings)
        shown = ", ".join(f"{key} {value}" for key, value in settings.items())
        checkpoints = self.run.checkpoints and self.run.checkpoints / name
        run = replace(self.run, time_limit=seconds, checkpoints=checkpoints)
        recipe = in_training.given(built(name, builder, Bag(len(self.train.items)), run, whole), self.features)
        recipe = self.shared.given(recipe)
        self.judge.latest = None
        with doing(run.progress, f"trying {plugins.command_name(name)}", shown):
            history = recipe.fit(self._source(recipe), run, self.judge.validation)
            if recipe.chooses_epoch and history.best_score is not None and not history.interrupted:
                # The last scored epoch need not be the best one.
                self.judge.score(recipe.model)
        recipe, spent = self.shared.without(recipe), self.budget.now() - started
        self.tried.append(Candidate(name, whole, recipe, history, history.best_score, spent, values=self.judge.latest))
        self._reserve(WEIGHING * self.budget.seconds)
        if history.interrupted:
            raise KeyboardInterrupt

    def _reserve(self, weighing: float) -> None:
        """Reserve time for weighting a blend, and for the final fit of all possible parts of the winner."""
        self.budget.reserved = weighing + sum(tried.again for tried in self._parts())

    def _parts(self) -> list[Candidate]:
        """The best candidates of each name whose scores are close enough to the best one for a blend."""
        best = [tried for tried in self.best_of_each() if tried.recipe is not None]
        return [tried for tried in best if (tried.score or 0.0) >= NEAR * (best[0].score or 0.0)][:BLENDED]

    def _source(self, recipe: Recipe) -> Source:
        """The training users in the form that a model reads."""
        return self.source if reads_of(recipe.model) == BAGS else training_source(self.train, recipe.model)

    def _try_network(self, name: str, settings: Mapping[str, Any], seconds: float | None, epoch: float = 0.0) -> None:
        """The same for a network; if its training fails, the search continues without it. A network is not started if
        there is no time for its first epochs."""
        started = self.budget.now()
        if seconds is not None and EPOCHS * epoch > seconds:
            why = f"left out: {EPOCHS} epochs take about {EPOCHS * epoch:,.0f} s"
        else:
            _, builder = plugins.find_builder(name, "interactions")
            if seconds is not None:
                settings = planned(settings, checked(name, builder, settings), epoch, seconds)
            try:
                self._try(name, settings, seconds)
                return
            except NonFiniteLossError as error:
                if not self.ranked:
                    raise
                logger.warning("%s failed: %s", plugins.command_name(name), error)
                why = str(error)
        history, spent = History(metric=self.judge.metric), self.budget.now() - started
        self.tried.append(Candidate(name, settings, None, history, None, spent, why))

    def _epoch_seconds(self, name: str, settings: Mapping[str, Any], worth: float) -> float:
        """Estimated seconds of an epoch of a network; 0 if it is to be tried anyway: there is nothing else to keep, or
        its first steps fail, which its training will tell."""
        if not self.ranked:
            return 0.0
        _, builder = plugins.find_builder(name, "interactions")
        silent = replace(self.run, progress=NoProgress(), checkpoints=None, resume=False)
        try:
            recipe = built(name, builder, Bag(len(self.train.items)), silent, checked(name, builder, settings))
            return epoch_seconds(recipe, self._source(recipe), silent, self.budget.now, worth)
        except NonFiniteLossError:
            return 0.0

    def _blend(self) -> None:
        """Blend the best candidates; the blend can win only if it leads by more than a paired standard error, with
        weights that were chosen on other users."""
        self._reserve(0.0)
        parts, left = self._parts(), self.budget.left
        if len(parts) < 2 or left <= 0:
            return
        started = self.budget.now()
        names = [part.name for part in parts]
        model = Blend([part.recipe.model for part in parts if part.recipe is not None])
        moved(model, self.run.torch_device())
        with doing(self.run.progress, "weighing " + ", ".join(map(plugins.command_name, names))):
            source = training_source(self.train, model)
            # Three choices of weights, on two halves of the users and on all; each may take a third.
            found = weighed(model, names, source, self.judge.fold, self.judge.metric, self._limits(left / 3))
        self._add_blend(model, parts, found, started)

    def _limits(self, seconds: float) -> Callable[[], Callable[[], bool]]:
        """Time limits of this many seconds, each starting when it is requested."""

        def limit() -> Callable[[], bool]:
            end = self.budget.now() + seconds
            return lambda: self.budget.now() > end

        return limit

    def _add_blend(self, model: Blend, parts: Sequence[Candidate], found: Weighed, started: float) -> None:
        best, values = self.ranked[0], self.judge.of_all(found.values, found.rows)
        differences = None if best.values is None else self.judge.by_user(values - best.values)
        refused = differences is not None and not leads(differences)
        why = f"no better than {plugins.command_name(best.name)} beyond the standard error" if refused else ""
        base = best.score or 0.0
        score = float(found.values.mean()) if differences is None else base + float(differences.mean())
        history = History(metric=self.judge.metric)
        history.take({**found.record, self.judge.metric: score, **self.judge.standard_error(values)})
        # A part without weight would be saved and fitted again without need.
        counts = [part for part, weight in enumerate(model.weights.tolist()) if weight]
        kept = [parts[part] for part in counts]
        recipes = [part.recipe for part in kept if part.recipe is not None]
        small = Blend([recipe.model for recipe in recipes])
        small.weigh(model.weights[counts].tolist(), model.exponents[counts].tolist())
        settings = {"parts": [{"model": part.name, "settings": dict(part.settings)} for part in kept]}
        recipe = BlendRecipe(small, [part.name for part in kept], recipes)
        spent = self.budget.now() - started
        blend = Candidate("blend", settings, recipe, history, score, spent, why, values=values, refused=refused)
        self.tried.append(blend)

"""Blends of models whose scores are added, with weights fitted on held-out users."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Generator, Tensor, nn

from isthmus import plugins
from isthmus.batch import Bag, Tensors, require_bags
from isthmus.core import rankers
from isthmus.core.rankers import Blend, ranker_of
from isthmus.errors import SettingError
from isthmus.machine.devices import device_of, moved
from isthmus.protocols import Builder, Recipe, Source
from isthmus.reprs import brief
from isthmus.training.history import History, finite
from isthmus.training.interrupts import interruptible
from isthmus.training.progress import Record, doing
from isthmus.training.run import Run, Validation

logger = logging.getLogger(__name__)

DEFAULT: tuple[Mapping[str, Any], ...] = ({"model": "rec_vae"}, {"model": "edlae"})


@brief
@dataclass(frozen=True)
class BlendRecipe:
    """A blend, with the names and recipes of its parts."""

    model: Blend
    names: Sequence[str]
    recipes: Sequence[Recipe]

    @property
    def chooses_epoch(self) -> bool:
        """Whether parts choose an epoch; those are unchanged when the blend is fitted again on all users."""
        return False

    def fit(self, source: Source, run: Run, validation: Validation | None = None) -> History:
        """Fit each part, then the weights. Without validation only closed forms are solved again, and everything else
        stays.

        Ctrl-C ends it: the best part so far then becomes the whole blend.

        Args:
            source: training data, as bags, or in several forms if a part reads the order.
            run: device, seed, precision; each part has its own folder of checkpoints.
            validation: a score on held-out rows, higher is better, which chooses the weights.

        Returns:
            One record for each part, and one for the weights.
        """
        if validation is None:
            return self._solve_again(source, run)
        history = History(metric=validation.name)
        with interruptible() as stop:
            for name, recipe in zip(self.names, self.recipes, strict=True):
                with doing(run.progress, name):
                    part = recipe.fit(read_by(source, recipe.model), with_own_checkpoints(run, name), validation)
                history.take(_summary(len(history.records) + 1, name, part, validation.name))
                history.interrupted |= part.interrupted
                history.out_of_time |= part.out_of_time
                if part.interrupted:
                    break
            # Parts are where they were fitted, if they had room there; the weights, and parts not reached, are not.
            moved(self.model, run.torch_device())
            with (
                stop.telling(lambda: "keeping the best part alone"),
                doing(run.progress, "fitting the weights of the parts"),
            ):
                if not stop.optional(lambda: self._weigh(source, validation, history)):
                    self._keep_the_best_part(validation, history)
            history.interrupted = stop.requested
        self.model.eval()
        return history

    def _keep_the_best_part(self, validation: Validation, history: History) -> None:
        """Keep only the best part, if there is no time to fit the weights."""
        scored = [(float(line[validation.name]), -part) for part, line in enumerate(history.records[: len(self.names)])
                  if validation.name in line]  # fmt: skip
        if not scored:
            history.records.clear()
            return
        score, best = max(scored)
        weights = [float(part == -best) for part in range(len(self.names))]
        self.model.weigh(weights, [0.0] * len(weights))
        number = len(history.records) + 1
        shares = {f"share of {name}": weight for name, weight in zip(self.names, weights, strict=True)}
        history.take({"epoch": number, "phase": "blend", validation.name: score, **shares, "seconds": 0.0})
        history.best_epoch, history.best_score = number, score

    def _weigh(self, source: Source, validation: Validation, history: History) -> None:
        """Fit the weights of the parts that have a score, which are the first ones."""
        fitted = sum(validation.name in record for record in history.records)
        if not fitted:
            history.records.clear()
            return
        some = Blend([recipe.model for recipe in self.recipes[:fitted]])
        history.take(weigh(some, self.names[:fitted], source, validation, len(history.records) + 1))
        nothing = [0.0] * (len(self.names) - fitted)
        self.model.weigh([*some.weights.tolist(), *nothing], [*some.exponents.tolist(), *nothing])
        history.best_epoch = len(history.records)
        history.best_score = finite(float(history.records[-1][validation.name]))

    def _solve_again(self, source: Source, run: Run) -> History:
        weighed = bool(self.model.weights.any())
        for recipe in self.recipes:
            if not (weighed and recipe.chooses_epoch):
                recipe.fit(read_by(source, recipe.model), run)
        if not weighed:
            logger.warning("no users are held out: all parts of the blend have the same weight")
            self.model.weigh([1.0] * len(self.recipes), [0.0] * len(self.recipes))
        moved(self.model, run.torch_device())
        return History()


def blend(signal: Bag, *, generator: Generator, parts: list[Any] | None = None) -> BlendRecipe:
    """Blend: a weighted sum of the scores of several models, like the deep and linear paths of VASP (Vančura & Kordík
    2021).

    Each part is fitted separately. Then the weight of each part relative to those before it is chosen on held-out
    users, from 0 (the part is left out, which the history reports), together with the power of the history's length by
    which its scores are divided: 0, 1/4 or 1/2. VASP multiplies probabilities, which adds logits, and trains both paths
    jointly ("Deep Variational Autoencoder with Shallow Parallel Path for Top-N Recommendation (VASP)"); here the models
    are stacked.

    Advice: for the last few per cent, if deep and linear models have similar scores.

    Args:
        parts: names of builders, optionally with settings as in [{"model": "rec_vae", "settings": {"epochs": 20}},
            "edlae"]; by default RecVAE and EDLAE with their default settings.
    """
    built = [_built(signal, generator, *part) for part in named_parts(parts)]
    names = [name if name not in [n for n, _ in built[:i]] else f"{name} {i + 1}" for i, (name, _) in enumerate(built)]
    recipes = [recipe for _, recipe in built]
    return BlendRecipe(Blend([recipe.model for recipe in recipes]), names, recipes)


def named_parts(parts: Any) -> list[tuple[str, Builder, Mapping[str, Any]]]:
    """The Python name of the builder, the builder and the given settings of each part of a blend.

    Args:
        parts: as in ``blend``; None for the default.

    Raises:
        SettingError: not a list of parts, a part of another form, or no such builder.
    """
    if not isinstance(parts, list | tuple | None):
        raise SettingError(f"parts={parts!r}", expected="a list of models")
    return [_named(part) for part in (DEFAULT if parts is None else parts)]


def _named(part: Any) -> tuple[str, Builder, Mapping[str, Any]]:
    whole = {"model": part} if isinstance(part, str) else part
    settings = whole.get("settings", {}) if isinstance(whole, Mapping) else None
    if not isinstance(settings, Mapping) or not isinstance(whole.get("model"), str):
        raise SettingError(f"a part {part!r}", expected='a name, or {"model": NAME, "settings": {...}}')
    name = plugins.python_name(whole["model"])
    return name, plugins.find_builder(name)[1], settings


def _built(
    signal: Bag, generator: Generator, name: str, builder: Builder, settings: Mapping[str, Any]
) -> tuple[str, Recipe]:
    try:
        return name, builder(signal, generator=generator, **settings)
    except TypeError as error:
        raise SettingError(
            f"settings {dict(settings)} for {name} ({error})", expected="settings of that model"
        ) from error


def with_own_checkpoints(run: Run, name: str) -> Run:
    """The run with a separate directory of checkpoints for the part of that name."""
    return run if run.checkpoints is None else replace(run, checkpoints=run.checkpoints / name.replace(" ", "-"))


def _summary(number: int, name: str, part: History, metric: str) -> Record:
    """One record for the whole training of a part."""
    score = {metric: part.best_score} if part.best_score is not None else {}
    return {"epoch": number, "phase": name, **score, "epochs": part.best_epoch or 0, "seconds": part.seconds}


COARSE, STEPS = (0.1, 0.3, 0.5, 0.7, 0.9), (0.1, 0.05)
"""Weights to try first, and step sizes around the best of them afterwards."""


EXPONENT, EXPONENTS = 0.25, (0.0, 0.5)
"""Powers of a history's length to divide by: the first one while weights are searched, then the others."""


SAMPLE = 500
"""Number of rows whose scores determine the scale of a part."""


@brief
@dataclass(frozen=True)
class BlendWeights:
    """Weights for ``Blend.weigh``, and the validation score that they reach."""

    weights: tuple[float, ...]
    exponents: tuple[float, ...]
    score: float


def weigh(
    model: Blend,
    names: Sequence[str],
    source: Source,
    validation: Validation,
    number: int,
    enough: Callable[[], bool] = lambda: False,
) -> Record:
    """Choose the weights and exponents of a blend of fitted parts, in place.

    The parts are added in the order of their own scores, starting with the best one. Each one receives the weight,
    relative to the parts before it, that scores best; 0 leaves it out. Weights refer to scores in units of their
    standard deviation over some rows of ``source``.

    Args:
        model: the blend.
        names: names of its parts, for the record.
        source: rows on which the scale of each part is measured.
        validation: the score that decides; higher is better.
        number: number of the record in the history.
        enough: whether to stop; further parts are then left out.

    Returns:
        A record of the history: the score, the scores of the parts, and the weights.
    """
    started = time.perf_counter()
    spreads = _Spreads(model, _some(source))
    alone = [_scored(model, validation, _only(part, len(names))) for part in range(len(names))]
    first, *others = sorted(range(len(names)), key=lambda part: (-alone[part].score, part))
    best = replace(alone[first], weights=_scaled(alone[first].weights, 1 / spreads.of(first, 0.0)))
    for part in others:
        if not enough():
            best = _joined(model, validation, best, part, spreads)
    model.weigh(best.weights, best.exponents)
    parts = [best.weights[part] * spreads.of(part, best.exponents[part]) for part in range(len(names))]
    shares = {f"share of {name}": part / sum(parts) for name, part in zip(names, parts, strict=True)}
    own = {f"{name} alone": one.score for name, one in zip(names, alone, strict=True)}
    # Once more with the chosen weights: watched values, such as a standard error, are those of the last score.
    scored = validation.numbers(model) if validation.watch else {validation.name: best.score}
    spent = time.perf_counter() - started
    return {"epoch": number, "phase": "blend", **scored, **own, **shares, "seconds": spent}


def _joined(model: Blend, validation: Validation, before: BlendWeights, part: int, spreads: _Spreads) -> BlendWeights:
    """The best choice among leaving a part out and the weights and exponents that are tried."""

    @cache
    def tried(share: float, exponent: float) -> BlendWeights:
        weights, exponents = list(_scaled(before.weights, 1 - share)), list(before.exponents)
        weights[part], exponents[part] = share / spreads.of(part, exponent), exponent
        return _scored(model, validation, BlendWeights(tuple(weights), tuple(exponents), 0.0))

    share = max(COARSE, key=lambda one: tried(one, EXPONENT).score)
    for step in STEPS:
        share = max(
            (share, share - step, share + step),
            key=lambda one: tried(one, EXPONENT).score if 0 < one < 1 else -math.inf,
        )
    candidates = [before, *(tried(share, exponent) for exponent in (EXPONENT, *EXPONENTS))]
    return max(candidates, key=lambda one: one.score)


def _only(part: int, parts: int) -> BlendWeights:
    return BlendWeights(tuple(float(part == one) for one in range(parts)), (0.0,) * parts, 0.0)


def _scaled(weights: Sequence[float], factor: float) -> tuple[float, ...]:
    return tuple(weight * factor for weight in weights)


def _scored(model: Blend, validation: Validation, tried: BlendWeights) -> BlendWeights:
    model.weigh(tried.weights, tried.exponents)
    score = finite(validation.score(model))
    return replace(tried, score=-math.inf if score is None else score)


def read_by(source: Source, model: nn.Module) -> Source:
    """The rows of a source as a part of a blend reads them: a source of several forms has ``read_by``."""
    own: Callable[[nn.Module], Source] | None = getattr(source, "read_by", None)
    return source if own is None else own(model)


def _some(source: Source) -> Tensors:
    inputs = source.batch(torch.arange(min(SAMPLE, len(source)))).inputs
    require_bags(inputs, "a blend")
    return inputs


class _Spreads:
    """The mean standard deviation of a row of scores, divided by the row's length to the power of an exponent; each
    part scores the rows once."""

    def __init__(self, model: Blend, inputs: Tensors) -> None:
        self._model, self._inputs = model, inputs
        self._lengths = require_bags(inputs, "a blend").lengths().clamp(min=1)
        self._deviations: dict[int, Tensor] = {}

    def of(self, part: int, exponent: float) -> float:
        """The spread of one part, above 0."""
        if part not in self._deviations:
            self._deviations[part] = self._measured(self._model.parts[part])
        spread = self._deviations[part] / self._lengths**exponent
        return max(float(spread.mean()), 1e-12)

    @torch.no_grad()
    def _measured(self, part: nn.Module) -> Tensor:
        ranker, here = ranker_of(part), self._inputs.to(device_of(part))
        scores = ranker.scores(ranker.prepare(rankers.read_by(part, here))).float()
        return scores.std(1).to(self._lengths.device)

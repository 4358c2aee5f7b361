"""Which part of a blend counts how much: chosen by a validation score, one part after another."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import nn

from isthmus.batch import Bags
from isthmus.core.blend import Blend
from isthmus.core.rankers import ranker_of
from isthmus.errors import SettingError
from isthmus.protocols import Source
from isthmus.training.progress import Record
from isthmus.training.run import Validation

COARSE, STEPS = (0.1, 0.3, 0.5, 0.7, 0.9), (0.1, 0.05)
"""Shares to try first, and how far around the best of them to look afterwards."""

EXPONENT, EXPONENTS = 0.25, (0.0, 0.5)
"""Powers of a history's length to divide by: the first while shares are sought, then the others."""

SAMPLE = 500
"""Rows whose scores tell the scale of a part."""


@dataclass(frozen=True)
class Weighed:
    """Weights as ``Blend.weigh`` takes them, and the validation score that they reach."""

    weights: tuple[float, ...]
    exponents: tuple[float, ...]
    score: float


def weigh(model: Blend, names: Sequence[str], source: Source, validation: Validation, number: int) -> Record:
    """Set the weights and exponents of a blend whose parts are fitted; returns line ``number`` of a history.

    The best part comes first. Each next one, in the order of their own scores, may take a share of what has been joined
    so far, and keeps the share that scores best; 0 leaves it out. Shares are of scores in units of their standard
    deviation over some rows of ``source``.
    """
    started = time.perf_counter()
    bags = _some(source)
    alone = [_scored(model, validation, _only(part, len(names))) for part in range(len(names))]
    first, *others = sorted(range(len(names)), key=lambda part: (-alone[part].score, part))
    best = replace(alone[first], weights=_scaled(alone[first].weights, 1 / _spread(model.parts[first], bags, 0.0)))
    for part in others:
        best = _joined(model, validation, best, part, bags)
    model.weigh(best.weights, best.exponents)
    spreads = [_spread(part, bags, exponent) for part, exponent in zip(model.parts, best.exponents, strict=True)]
    parts = [weight * spread for weight, spread in zip(best.weights, spreads, strict=True)]
    shares = {f"share of {name}": part / sum(parts) for name, part in zip(names, parts, strict=True)}
    own = {f"{name} alone": one.score for name, one in zip(names, alone, strict=True)}
    spent = time.perf_counter() - started
    return {"epoch": number, "phase": "blend", validation.name: best.score, **own, **shares, "seconds": spent}


def _joined(model: Blend, validation: Validation, before: Weighed, part: int, bags: Bags) -> Weighed:
    """The best of leaving a part out and of the shares and exponents that are tried."""

    spreads = {exponent: _spread(model.parts[part], bags, exponent) for exponent in (EXPONENT, *EXPONENTS)}

    @cache
    def tried(share: float, exponent: float) -> Weighed:
        weights, exponents = list(_scaled(before.weights, 1 - share)), list(before.exponents)
        weights[part], exponents[part] = share / spreads[exponent], exponent
        return _scored(model, validation, Weighed(tuple(weights), tuple(exponents), 0.0))

    share = max(COARSE, key=lambda one: tried(one, EXPONENT).score)
    for step in STEPS:
        share = max(
            (share, share - step, share + step), key=lambda one: tried(one, EXPONENT).score if 0 < one < 1 else -1.0
        )
    candidates = [before, *(tried(share, exponent) for exponent in (EXPONENT, *EXPONENTS))]
    return max(candidates, key=lambda one: one.score)


def _only(part: int, parts: int) -> Weighed:
    return Weighed(tuple(float(part == one) for one in range(parts)), (0.0,) * parts, 0.0)


def _scaled(weights: Sequence[float], factor: float) -> tuple[float, ...]:
    return tuple(weight * factor for weight in weights)


def _scored(model: Blend, validation: Validation, tried: Weighed) -> Weighed:
    model.weigh(tried.weights, tried.exponents)
    return replace(tried, score=validation.score(model))


def _some(source: Source) -> Bags:
    inputs = source.batch(torch.arange(min(SAMPLE, len(source)))).inputs
    if not isinstance(inputs, Bags):
        raise SettingError(f"a blend over {type(inputs).__name__}", expected="bags")
    return inputs


@torch.no_grad()
def _spread(part: nn.Module, bags: Bags, exponent: float) -> float:
    """The mean standard deviation of a row of scores, divided by the row's length to the power of the exponent."""
    ranker = ranker_of(part)
    device = next(iter(part.state_dict().values())).device
    here = Bags(bags.indices.to(device), bags.offsets.to(device), bags.weights.to(device))
    scores = ranker.scores(ranker.prepare(here)).float()
    spread = scores.std(1) / here.lengths().clamp(min=1) ** exponent
    return max(float(spread.mean()), 1e-12)

"""From rows and a model's name to a fitted model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from isthmus import plugins
from isthmus.bundle.tensors import state_of
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.priors.fitted_mixture import FittedMixture
from isthmus.errors import SettingError
from isthmus.models.recipes.rebuild import rebuild
from isthmus.models.recipes.settings import built, checked, keywords_of
from isthmus.protocols import Builder, Source
from isthmus.tasks.coding import held_out
from isthmus.training.history import History
from isthmus.training.holdout import hold_out
from isthmus.training.run import Run, Validation
from isthmus_vectors.adapter import VectorAdapter
from isthmus_vectors.float64 import Asked, Numbers
from isthmus_vectors.vectors import Rows, Vectors

PLUGIN = "vectors"
METRIC = "objective"
"""The model's own loss on rows that are held out, negated: nats a row, higher is better."""

MOST_HELD_OUT = 10_000
MOST_FITTED = 50_000
"""Codes that the mixture is fitted to, at most."""

COMPONENTS = 10
"""Of that mixture; at least as many codes for each."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """What a user asks for: a builder's name and keywords, how columns are scaled, the share of rows held out."""

    model: str
    settings: Mapping[str, Any]
    scaling: str
    validation: float


@dataclass(frozen=True)
class Fitted:
    """A fitted model with its adapter, its builder's Python name and all its keywords.

    Attributes:
        asked: the same model in fp64.
        held_out: rows that only chose the epoch; none of them was trained on.
    """

    adapter: VectorAdapter
    model: Autoencoder
    asked: Asked
    builder: str
    settings: Mapping[str, Any]
    history: History
    held_out: Rows


def fit(data: Vectors, wanted: Wanted, run: Run) -> Fitted:
    """Build and train. Raises what ``VectorAutoencoder.fit`` raises."""
    _, builder = plugins.find_builder(wanted.model, PLUGIN)
    given = {**_defaults(builder, data), **wanted.settings}
    settings = checked(wanted.model, builder, given)
    rows = hold_out(len(data), wanted.validation, run.seed, most=MOST_HELD_OUT)
    train, held = (some.numpy() for some in rows)
    trained_on = data.select(train) if len(held) else data
    adapter = VectorAdapter.fit(trained_on, wanted.scaling)
    recipe = built(wanted.model, builder, adapter.signal, run, settings)
    model = recipe.model
    if not isinstance(model, Autoencoder):
        raise SettingError(f"model {wanted.model!r}", expected="an autoencoder")
    watched = adapter.prepare(data.select(held)) if len(held) and recipe.chooses_epoch else None
    history = recipe.fit(adapter.prepare(trained_on), run, None if watched is None else _validation(watched, run))
    model = model.cpu().eval()
    exact = asked(builder, adapter, model, settings)
    return Fitted(adapter, model, exact, plugins.python_name(wanted.model), settings, history, held)


def asked(builder: Builder, adapter: VectorAdapter, model: Autoencoder, settings: Mapping[str, Any]) -> Asked:
    """A copy of the model in fp64."""
    made = rebuild(builder, adapter.signal, settings, state_of(model))
    assert isinstance(made, Autoencoder)
    return Asked(made.double(), adapter)


def mixed(codes: Numbers, run: Run) -> FittedMixture | None:
    """A Gaussian mixture over codes. None for fewer than two."""
    if len(codes) < 2:
        return None
    components = max(1, min(COMPONENTS, len(codes) // COMPONENTS))
    return FittedMixture.fit(torch.from_numpy(codes), components, generator=run.generator(stream=3))


def _defaults(builder: Builder, data: Vectors) -> dict[str, Any]:
    """What suits these rows where nothing else is said.

    Sparse rows hold numbers of any sign and size: a sum of squares, where the builder has a choice. A code that is not
    sparse is no wider than half a row: a place that is not narrow tells nothing of what does not fit.
    """
    known = keywords_of(builder)
    found: dict[str, Any] = {"likelihood": "gaussian"} if data.is_sparse and "likelihood" in known else {}
    if "code" in known and not {"k", "bytes"} & known.keys():
        found["code"] = max(1, min(known["code"].default, data.width // 2))
    return found


def _validation(source: Source, run: Run) -> Validation:
    def score(model: nn.Module) -> float:
        assert isinstance(model, Autoencoder)
        return -held_out(model, source, run).loss

    return Validation(METRIC, score)

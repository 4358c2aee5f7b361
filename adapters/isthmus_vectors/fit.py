"""Fits a model, given by name, to rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from isthmus.core.priors.fitted_mixture import FittedMixture
from isthmus.fitted import (
    AfterTraining,
    FitRequest,
    FittedAutoencoder,
    Gallery,
    LikelihoodScorer,
    fit_latent_prior,
    training_facts,
    validation_on,
)
from isthmus.fitted.fit import CODES, FEW, PRIOR, THRESHOLD
from isthmus.models.recipes.settings import keywords_of
from isthmus.protocols import Builder
from isthmus.training.holdout import hold_out
from isthmus.training.interrupts import interruptible
from isthmus.training.run import Run
from isthmus_vectors.adapter import VectorAdapter
from isthmus_vectors.evaluate import findings
from isthmus_vectors.float64 import Float64Model
from isthmus_vectors.vectors import Vectors

PLUGIN = "vectors"

MOST_HELD_OUT = 10_000
MOST_FITTED = 50_000
"""Maximum number of codes to which the latent prior is fitted."""

COMPONENTS = 10
"""Number of components of the latent prior, with at least as many codes for each."""


def fit(
    data: Vectors, request: FitRequest, run: Run, *, scaling: str = "robust", latent_prior: bool = True
) -> FittedAutoencoder[VectorAdapter]:
    """Train a model and fit everything that is based on its codes. Raises the errors of ``VectorAutoencoder.fit``.

    Args:
        data: the rows.
        request: model, settings and held-out share.
        run: device, seed, precision, progress and checkpoints.
        scaling: scaling of the columns, see ``Scaling``.
        latent_prior: whether a mixture is fitted to the codes.

    Returns:
        The fitted model.
    """
    spec = request.resolve(lambda builder: _defaults(builder, data))
    train, held = (rows.numpy() for rows in hold_out(len(data), request.validation, run.seed, most=MOST_HELD_OUT))
    held_out = data.select(held) if len(held) else None
    trained_on = data if held_out is None else data.select(train)
    adapter = VectorAdapter.fit(trained_on, scaling)
    recipe, model = spec.build(adapter.signal, run)
    watched = held_out if recipe.chooses_epoch else None
    validation = None if watched is None else validation_on(adapter.prepare(watched), run, watch=False)
    with interruptible() as stop:
        history = recipe.fit(adapter.prepare(trained_on), run, validation)
        facts = training_facts("rows", len(data), len(held), run, history, width=data.width)
        fitted = FittedAutoencoder(adapter, model.cpu().eval(), spec.name, spec.settings, facts)
        after = AfterTraining(stop, run.progress, history)
        whole = _complete(fitted, data, data if held_out is None else held_out, request, run, latent_prior, after)
        exact = Float64Model.of(whole.model, adapter)
        found = [] if held_out is None else after.judged(lambda: findings(exact, held_out))
        return replace(whole, facts={**whole.facts, "warnings": found})


def _complete(
    fitted: FittedAutoencoder[VectorAdapter],
    data: Vectors,
    normal: Vectors,
    request: FitRequest,
    run: Run,
    latent_prior: bool,
    after: AfterTraining,
) -> FittedAutoencoder[VectorAdapter]:
    """Add the anomaly scorer, calibrated on ``normal``, and the gallery and the latent prior of all rows."""
    exact = Float64Model.of(fitted.model, fitted.adapter)
    held_out = normal is not data

    def scorer(normal: Vectors) -> LikelihoodScorer:
        scores = -torch.from_numpy(exact.log_likelihoods(normal))
        return LikelihoodScorer.fit(scores, held_out=held_out, contamination=request.contamination)

    def mixture(most: int) -> FittedMixture | None:
        codes = torch.from_numpy(exact.codes(data.subsample(most)))
        components = max(1, min(COMPONENTS, len(codes) // COMPONENTS))
        return fit_latent_prior(codes, run, fewest=2, most=MOST_FITTED, components=components)

    def gallery() -> Gallery:
        return Gallery(torch.from_numpy(exact.codes(data)).float())

    scored = after.made(THRESHOLD, lambda: scorer(normal), lambda: scorer(normal.subsample(FEW)))
    prior = after.made(PRIOR, lambda: mixture(MOST_FITTED), lambda: mixture(FEW)) if latent_prior else None
    found = after.made(CODES, gallery) if request.gallery else None
    return replace(fitted, facts=after.closed(fitted.facts), latent_prior=prior, gallery=found, anomaly_scorer=scored)


def _defaults(builder: Builder, data: Vectors) -> dict[str, Any]:
    """Defaults that depend on the rows.

    Sparse rows have values of any sign and size, so a Gaussian likelihood is used if the builder has a choice. A code
    that is not sparse has at most half as many numbers as a row, because a wider one also reconstructs anomalies.
    """
    known = keywords_of(builder)
    found: dict[str, Any] = {"likelihood": "gaussian"} if data.is_sparse and "likelihood" in known else {}
    if "code" in known and not {"k", "bytes"} & known.keys():
        found["code"] = max(1, min(known["code"].default, data.width // 2))
    return found

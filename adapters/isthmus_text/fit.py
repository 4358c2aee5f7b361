"""From texts and a model's name to a fitted model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from isthmus.core.autoencoder import Autoencoder
from isthmus.fitted import (
    FitRequest,
    FittedAutoencoder,
    Gallery,
    LikelihoodScorer,
    fit_latent_prior,
    quality,
    training_facts,
)
from isthmus.protocols import Source
from isthmus.sources import even_rows
from isthmus.training.holdout import hold_out
from isthmus.training.run import Run
from isthmus_text.encode import Codes, encode
from isthmus_text.evaluate import nats_per_token
from isthmus_text.input_output import InputOutput, fit_input_output, portable_settings
from isthmus_text.quality import findings
from isthmus_text.texts import Rows, Texts
from isthmus_text.validation import REMEDIES, HeldOutMonitor

PLUGIN = "text"

MOST_HELD_OUT = 2_000
MOST_FITTED = 50_000
"""Codes that the latent prior is fitted to, at most."""

MOST_SCORED = 2_000
"""Training texts that the anomaly threshold is calibrated on, at most, where none are held out."""


@dataclass(frozen=True)
class TokenRequest:
    """How texts become tokens; see ``TextAutoencoder.fit``."""

    tokenizer: str | Path = "bpe"
    vocabulary: int = 8_000
    max_length: int | None = None


def fit(
    data: Texts, request: FitRequest, tokens: TokenRequest, vectors: Codes | None, run: Run
) -> FittedAutoencoder[InputOutput]:
    """Train a model and learn from its codes. Raises what ``TextAutoencoder.fit`` raises.

    Args:
        data: the texts.
        request: which model, and what is held out.
        tokens: how texts become tokens.
        vectors: embeddings of these texts by a frozen encoder, where they are known.
        run: device, seed, precision, progress and checkpoints.
    """
    spec = request.resolve()
    rows = hold_out(len(data), request.validation, run.seed, most=MOST_HELD_OUT, of="texts")
    train, held = (some.numpy() for some in rows)
    adapter = fit_input_output(data, spec.settings, tokens.tokenizer, tokens.vocabulary, tokens.max_length)
    recipe, model = spec.build(adapter.signal, run)

    def source(rows: Rows) -> Source:
        return adapter.source(model, data.select(rows), None if vectors is None else vectors[rows])

    held_out = source(held) if len(held) else None
    monitor = None if held_out is None else HeldOutMonitor(held_out.to(run.torch_device()), run)
    history = recipe.fit(source(train), run, None if monitor is None else monitor.validation())
    facts = training_facts("texts", len(data), len(held), run, history, empty_texts=data.empty)
    fitted = FittedAutoencoder(adapter, model.eval(), spec.name, portable_settings(spec.settings), facts)
    normal = source(train[even_rows(len(train), MOST_SCORED).numpy()]) if held_out is None else held_out
    scores = nats_per_token(model, normal)
    scorer = LikelihoodScorer.fit(scores, contamination=request.contamination)
    found = quality.warn([_collapse(monitor, model)])
    if len(held) and not history.interrupted:
        known = None if vectors is None else vectors[held]
        found += quality.warn(findings(model, adapter, data.select(held), known))
    fitted = replace(fitted, facts={**facts, "normal_scores": quality.score_quantiles(scores), "warnings": found})
    return _with_codes(replace(fitted, anomaly_scorer=scorer), data, vectors, request, run)


def _with_codes(
    fitted: FittedAutoencoder[InputOutput], data: Texts, vectors: Codes | None, request: FitRequest, run: Run
) -> FittedAutoencoder[InputOutput]:
    """With the latent prior and the gallery. Without a gallery, only the codes that the prior needs are computed."""
    rows = even_rows(len(data), MOST_FITTED).numpy()
    if vectors is None and not request.gallery:
        some = encode(fitted.model, fitted.adapter.input, data.select(rows))
        return replace(fitted, latent_prior=fit_latent_prior(torch.from_numpy(some), run, most=MOST_FITTED))
    codes = torch.from_numpy(np.array(encode(fitted.model, fitted.adapter.input, data) if vectors is None else vectors))
    gallery = Gallery(codes, data, metric="cosine") if request.gallery else None
    return replace(fitted, gallery=gallery, latent_prior=fit_latent_prior(codes[rows], run, most=MOST_FITTED))


def _collapse(monitor: HeldOutMonitor | None, model: Autoencoder) -> str | None:
    if monitor is None:
        return None
    # The weights are those of the best epoch by now.
    monitor.score(model)
    return monitor.diagnosis.warning(REMEDIES) if monitor.diagnosis else None

"""Fits a model, given by name, to texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isthmus import plugins
from isthmus.core.autoencoder import Autoencoder
from isthmus.distributed import Joined, joined
from isthmus.fitted import (
    AfterTraining,
    FitRequest,
    FittedAutoencoder,
    Gallery,
    LikelihoodScorer,
    fit_latent_prior,
    training_facts,
)
from isthmus.fitted.fit import CODES, FEW, PRIOR, THRESHOLD
from isthmus.fitted.quality import same_codes
from isthmus.models.recipes.settings import keywords_of
from isthmus.protocols import Builder, Source
from isthmus.sources import even_rows
from isthmus.training.holdout import hold_out
from isthmus.training.interrupts import interruptible
from isthmus.training.run import Run
from isthmus_text.decode import writes_texts
from isthmus_text.encode import Codes, encode
from isthmus_text.evaluate import nats_per_token
from isthmus_text.input_output import InputOutput, fit_input_output, portable_settings
from isthmus_text.quality import findings
from isthmus_text.search.keys import fit_whitening
from isthmus_text.static.finish import finish, products_of_teacher
from isthmus_text.texts import Rows, Texts
from isthmus_text.validation import REMEDIES, HeldOutMonitor

PLUGIN = "text"

WRITES, DRAWS = "sequence-autoencoder", "sequence-vae"
"""The model for texts that are written back, searched and interpolated, which is the default; and the one for drawing
new texts."""

VOCABULARY, FEW_PAIRS = 8_000, 4_000
"""Default sizes of the vocabulary; a small one of byte pairs takes half the time a token."""

READ, MOST_EPOCHS = 9_000_000, {WRITES: 40, DRAWS: 30}
"""Bytes that these models read in training unless epochs are given, and the maximum number of epochs this may make:
145,000 captions are read once, 10,000 of them 14 times, in some minutes of two cores."""

QUICK: Mapping[str, Any] = {"tokens": 1024, "decay": "cosine"}
"""Settings of these models for so few epochs."""

MOST_HELD_OUT = 2_000
MOST_FITTED = 50_000
"""Maximum number of codes to which the latent prior is fitted."""

MOST_SCORED = 2_000
"""Maximum number of training texts for the anomaly threshold, if no texts are held out."""


@dataclass(frozen=True)
class TokenRequest:
    """How texts are tokenised; see ``TextAutoencoder.fit``."""

    tokenizer: str | Path = "bpe"
    vocabulary: int | None = None
    max_length: int | None = None

    def size(self, model: str) -> int:
        """The maximum size of the vocabulary of a model."""
        if self.vocabulary is not None:
            return self.vocabulary
        small = self.tokenizer == "bpe" and model in map(plugins.python_name, MOST_EPOCHS)
        return FEW_PAIRS if small else VOCABULARY


def chosen_model(model: str, settings: Mapping[str, Any]) -> str:
    """The name of the model: the given one, or for "auto" ``WRITES``; ``DRAWS`` if the settings are its own, such as
    ``collapse`` or ``beta``.

    Args:
        model: what was given.
        settings: keywords of the builder.
    """
    if model != "auto":
        return model
    known, drawing = (set(keywords_of(plugins.find_builder(name, PLUGIN)[1])) for name in (WRITES, DRAWS))
    others = set(settings) - known
    return DRAWS if others and others <= drawing else WRITES


def fit(
    data: Texts, request: FitRequest, tokens: TokenRequest, vectors: Codes | None, run: Run
) -> FittedAutoencoder[InputOutput]:
    """Train a model and fit everything that is based on its codes. Raises the errors of ``TextAutoencoder.fit``.

    Args:
        data: the texts.
        request: model, settings and held-out share.
        tokens: how texts are tokenised.
        vectors: embeddings of these texts by a frozen encoder or a teacher, if they are known.
        run: device, seed, precision, progress and checkpoints; with ``shard="batches"``, this process and others that
            ``torchrun`` started split the batches. Each of them returns the same model.

    Returns:
        The fitted model.
    """
    with joined(run) as others:
        others.check_same("texts", data.packed.data, data.packed.starts, data.packed.ends)
        made = _fit(data, request, tokens, vectors, others)
        # Every process has the whole model, which need not be built again.
        kept = others.finished(made.model, lambda tensors: made.model)
        assert isinstance(kept, Autoencoder)
        return replace(made, model=kept)


def _fit(
    data: Texts, request: FitRequest, tokens: TokenRequest, vectors: Codes | None, others: Joined
) -> FittedAutoencoder[InputOutput]:
    spec, run = request.resolve(lambda builder: _defaults(builder, data)), others.run
    rows = hold_out(len(data), request.validation, run.seed, most=MOST_HELD_OUT, of="texts")
    train, held = (some.numpy() for some in rows)
    adapter = fit_input_output(data, spec.settings, tokens.tokenizer, tokens.size(spec.name), tokens.max_length)
    others.check_same("tokenizers", *(np.frombuffer(text.encode(), np.uint8) for text in adapter.state().values()))
    recipe, model = spec.build(adapter.signal, run)
    # Before a frozen encoder embeds the texts, which may take long.
    model.to(run.torch_device())

    def source(rows: Rows) -> Source:
        with products_of_teacher(model, run):
            return adapter.source(model, data.select(rows), None if vectors is None else vectors[rows])

    held_out = source(held) if len(held) else None
    monitor = None if held_out is None else HeldOutMonitor(held_out, run)

    def scorer(most: int) -> LikelihoodScorer:
        rows = train if held_out is None else held
        normal = source(rows[even_rows(len(rows), most).numpy()])
        scores = nats_per_token(model, normal)
        return LikelihoodScorer.fit(scores, held_out=held_out is not None, contamination=request.contamination)

    with interruptible() as stop:
        history = recipe.fit(source(train), run, None if monitor is None else monitor.validation())
        finish(model)
        after = AfterTraining(stop, run.progress, history)
        facts = training_facts("texts", len(data), len(held), run, history, empty_texts=data.empty)
        fitted = FittedAutoencoder(adapter, model.eval(), spec.name, portable_settings(spec.settings), facts)
        if not writes_texts(model):
            return _vectors_alone(fitted, data, data.select(held), request, after)
        fitted = replace(fitted, anomaly_scorer=after.made(THRESHOLD, lambda: scorer(MOST_SCORED), lambda: scorer(FEW)))
        whole = _with_codes(fitted, data, vectors, request, run, after)
        known = None if vectors is None else vectors[held]
        found = after.judged(
            lambda: [_collapse(monitor, model), *findings(whole.model, adapter, data.select(held), known)]
        )
        return replace(whole, facts={**whole.facts, "warnings": found})


def _defaults(builder: Builder, data: Texts) -> dict[str, Any]:
    """Defaults that depend on the texts: few need many epochs, and many take long."""
    for name, most in MOST_EPOCHS.items():
        if builder is plugins.find_builder(name, PLUGIN)[1]:
            return {**QUICK, "epochs": min(max(round(READ / max(data.size, 1)), 1), most)}
    return {}


def _with_codes(
    fitted: FittedAutoencoder[InputOutput],
    data: Texts,
    vectors: Codes | None,
    request: FitRequest,
    run: Run,
    after: AfterTraining,
) -> FittedAutoencoder[InputOutput]:
    """Add the latent prior, the gallery and what whitens its codes. Without a gallery, only the codes that the prior
    needs are computed."""
    rows = even_rows(len(data), MOST_FITTED).numpy()
    whole = vectors is not None or request.gallery

    def encoded() -> Tensor:
        wanted = data if whole else data.select(rows)
        return torch.from_numpy(
            np.array(encode(fitted.model, fitted.adapter.input, wanted) if vectors is None else vectors)
        )

    def few() -> Tensor:
        return torch.from_numpy(
            encode(fitted.model, fitted.adapter.input, data.select(even_rows(len(data), FEW).numpy()))
        )

    codes = after.made(CODES, encoded)
    some = after.quick(few) if codes is None else codes[rows] if whole else codes
    if some is None:
        after.left_out.append(PRIOR)
        return replace(fitted, facts=after.closed(fitted.facts))
    prior = after.made(
        PRIOR, lambda: fit_latent_prior(some, run, most=MOST_FITTED), lambda: fit_latent_prior(some, run, most=FEW)
    )
    gallery = Gallery(codes, data, metric="cosine") if request.gallery and codes is not None else None
    taken = rows if codes is not None else even_rows(len(data), FEW).numpy()
    whitening = fit_whitening(fitted, data.select(taken), some)
    facts = after.closed(fitted.facts)
    return replace(fitted, facts=facts, gallery=gallery, latent_prior=prior, whitening=whitening)


def _vectors_alone(
    fitted: FittedAutoencoder[InputOutput], data: Texts, held: Texts, request: FitRequest, after: AfterTraining
) -> FittedAutoencoder[InputOutput]:
    """Add the gallery. A model that writes no texts needs no prior to sample from, and has no likelihood of texts."""

    def codes(texts: Texts) -> Tensor:
        return torch.from_numpy(encode(fitted.model, fitted.adapter.input, texts))

    found = after.made(CODES, lambda: codes(data)) if request.gallery else None
    gallery = None if found is None else Gallery(found, data, metric="cosine")
    warned = after.judged(lambda: [same_codes(codes(held))] if len(held) else [])
    return replace(fitted, facts={**after.closed(fitted.facts), "warnings": warned}, gallery=gallery)


def _collapse(monitor: HeldOutMonitor | None, model: Autoencoder) -> str | None:
    if monitor is None:
        return None
    # At this point the weights are those of the best epoch.
    monitor.score(model)
    return monitor.diagnosis.warning(REMEDIES) if monitor.diagnosis else None

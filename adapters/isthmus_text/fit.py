"""From texts and a model's name to a fitted model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from isthmus import plugins
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.priors.fitted_mixture import FittedMixture
from isthmus.models.recipes.settings import built, checked
from isthmus.protocols import Source
from isthmus.training.history import History
from isthmus.training.holdout import hold_out
from isthmus.training.run import Run
from isthmus_text.encode import Codes
from isthmus_text.input_output import Tokens, tokens_for
from isthmus_text.texts import Rows, Texts
from isthmus_text.validation import CURES, Watch

PLUGIN = "text"
FEWEST = 50
"""With fewer codes than this no mixture is fitted to them."""

MOST_HELD_OUT = 2_000

MIXTURE = 10
"""Components of the prior that is fitted to the codes."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """What a user asks for.

    Attributes:
        model: a builder's name.
        tokenizer, vocabulary, longest: of the rows that are written; see ``TextAutoencoder.fit``.
        validation: the share of the texts that is held out.
        settings: keywords of the builder.
    """

    model: str
    tokenizer: str | Path
    vocabulary: int
    longest: int | None
    validation: float
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Fitted:
    """A fitted model with its tokens, its builder's Python name and all its keywords, and what is worth telling."""

    tokens: Tokens
    model: Autoencoder
    builder: str
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]


def fit(data: Texts, wanted: Wanted, vectors: Codes | None, run: Run) -> Fitted:
    """Build and train. Raises what ``TextAutoencoder.fit`` raises."""
    _, builder = plugins.find_builder(wanted.model, PLUGIN)
    whole = checked(wanted.model, builder, wanted.settings)
    rows = hold_out(len(data), wanted.validation, run.seed, most=MOST_HELD_OUT, of="texts")
    train, held_out = (some.numpy() for some in rows)
    tokens = tokens_for(data, whole, wanted.tokenizer, wanted.vocabulary, wanted.longest)
    recipe = built(wanted.model, builder, tokens.writes.signal, run, whole)
    model = recipe.model
    assert isinstance(model, Autoencoder)

    def source(rows: Rows) -> Source:
        return tokens.source(model, data.select(rows), None if vectors is None else vectors[rows])

    watch = Watch(source(held_out).to(run.torch_device()), run) if len(held_out) else None
    history = recipe.fit(source(train), run, watch.validation() if watch else None)
    facts = {
        "texts": len(data),
        "empty_texts": data.empty,
        "validation_texts": len(held_out),
        "seed": run.seed,
        "warning": _warning(watch, model),
        "training": history.to_json(),
    }
    return Fitted(tokens, model.eval(), plugins.python_name(wanted.model), tokens.portable(whole), facts)


def mixed(codes: Float[Tensor, "n code"], run: Run) -> FittedMixture:
    """A Gaussian mixture over the codes."""
    return FittedMixture.fit(codes, MIXTURE, generator=run.generator(stream=3))


def history_of(facts: Mapping[str, Any]) -> History:
    """The course of the training as it was saved."""
    return History.from_json(dict(facts["training"]))


def _warning(watch: Watch | None, model: Autoencoder) -> str | None:
    if watch is None:
        return None
    # The weights are those of the best epoch by now.
    watch.score(model)
    warning = watch.diagnosis.warning(CURES) if watch.diagnosis else None
    if warning:
        logger.warning("%s", warning)
    return warning

"""From texts and a model's name to a fitted model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus import plugins
from isthmus.core.fitted import FittedMixture
from isthmus.errors import SettingError
from isthmus.models.keywords import built, checked
from isthmus.training.history import History
from isthmus.training.run import Run
from isthmus_text.adapter import TextAdapter
from isthmus_text.texts import Texts
from isthmus_text.tokenizing import Tokenizer
from isthmus_text.watching import CURES, Watch

PLUGIN = "text"
FEWEST = 50
"""With fewer texts than this none are held out to choose the best epoch."""

MOST_HELD_OUT = 2_000

MIXTURE = 10
"""Components of the prior that is fitted to the codes."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """A fitted model, its builder's Python name and all its keywords, and what is worth telling."""

    model: nn.Module
    builder: str
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]


def fit(
    adapter: TextAdapter, data: Texts, name: str, validation: float, run: Run, settings: Mapping[str, Any]
) -> Fitted:
    """Build and train. Raises what ``TextAutoencoder.fit`` raises."""
    _, builder = plugins.find_builder(name, PLUGIN)
    whole = checked(name, builder, settings)
    train, held_out = parted(data, validation, run.seed)
    recipe = built(name, builder, adapter.signal, run, whole)
    watch = Watch(adapter.prepare(held_out).to(run.torch_device()), run) if len(held_out) else None
    history = recipe.fit(adapter.prepare(train), run, watch.validation() if watch else None)
    if watch:
        # The weights are the best epoch's by now.
        watch.score(recipe.model)
    warning = watch.diagnosis.warning(CURES) if watch and watch.diagnosis else None
    if warning:
        logger.warning("%s", warning)
    facts = {
        "texts": len(data),
        "empty_texts": data.empty,
        "validation_texts": len(held_out),
        "seed": run.seed,
        "warning": warning,
        "training": history.to_json(),
    }
    return Fitted(recipe.model, plugins.python_name(name), whole, facts)


def adapted(data: Texts, tokenizer: str | Path, vocabulary: int, longest: int | None) -> TextAdapter:
    """The adapter that the words of a user ask for; see ``TextAutoencoder.fit``."""
    if tokenizer == "bpe":
        return TextAdapter.fit(data, kind="bpe", size=vocabulary, longest=longest)
    if tokenizer == "word":
        return TextAdapter.fit(data, kind="word", size=vocabulary, longest=longest)
    return TextAdapter.fit(data, tokenizer=Tokenizer.pretrained(tokenizer), longest=longest)


def mixed(codes: Float[Tensor, "n code"], run: Run) -> FittedMixture:
    """A Gaussian mixture over the codes; diagonal where full covariances would have more numbers than the codes."""
    covariance = "full" if codes.shape[1] * MIXTURE * 4 <= len(codes) else "diag"
    return FittedMixture.fit(codes, MIXTURE, generator=run.generator(stream=3), covariance=covariance)


def parted(data: Texts, validation: float, seed: int) -> tuple[Texts, Texts]:
    """Which texts train and which choose the best epoch; the same data, share and seed give the same ones."""
    if not 0 <= validation < 0.5:
        raise SettingError(f"validation={validation}", expected="a share of the texts from 0 to less than a half")
    held_out = min(MOST_HELD_OUT, round(len(data) * validation))
    if validation and (len(data) < FEWEST or not held_out):
        logger.info("training runs to its last epoch: %d texts are too few to hold some out", len(data))
        held_out = 0
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed % 2**63)).numpy()
    return data.select(order[held_out:]), data.select(order[:held_out])


def history_of(facts: Mapping[str, Any]) -> History:
    """The course of the training as it was saved."""
    return History.from_json(dict(facts["training"]))

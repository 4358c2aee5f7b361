"""A language model of the same parts as the sequence VAE, without a code: what does the code add?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn

from isthmus.batch import Tensors, Tokens
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.decoders.lstm import LstmDecoder
from isthmus.core.likelihoods.discrete import Categorical
from isthmus.core.likelihoods.sampled_categorical import SampledCategorical
from isthmus.core.readouts import LinearReadout
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Phase
from isthmus.training.batching import TokenBudget
from isthmus.training.plan import Plan


class NoCode(nn.Module):
    """An encoder whose code has no dimensions."""

    width = 0
    twice_differentiable = True

    def enter(self, inputs: Tensors) -> Tensor:
        """[batch, 0]"""
        return torch.empty(inputs.size, 0)

    def trunk(self, entered: Tensor, inputs: Tensors | None) -> Tensor:
        """[batch, 0]"""
        return entered


def language_model(signal: Tokens, settings: Mapping[str, Any], *, generator: Generator) -> GradientRecipe:
    """The LSTM decoder of ``sequence_vae`` with a code of no dimensions.

    Args:
        signal: vocabulary and length of the rows.
        settings: ``hidden``, ``dropout``, ``tied``, ``epochs``, ``negatives``, ``exact``, ``tokens``,
            ``learning_rate``, ``decay`` and ``optimizer``, which mean the same as there; the gradient is clipped at 5.
        generator: draws the initial weights.
    """
    words, hidden = signal.vocabulary, settings["hidden"]
    decoder = LstmDecoder(words, hidden, hidden, 0, generator=generator, dropout=settings["dropout"])
    readout = LinearReadout(hidden, words, generator=generator)
    if settings["tied"]:
        readout.weight = decoder.shown.table
    model = Autoencoder(
        encoder=NoCode(), bottleneck=Deterministic(), decoder=decoder, readout=readout, likelihood=Categorical()
    )
    sampled = SampledCategorical(words, settings["negatives"])
    exact = settings["exact"]
    phases = [Phase(settings["epochs"] - exact, likelihood=sampled), *([Phase(exact)] if exact else [])]
    steps = {name: settings[name] for name in ("learning_rate", "decay", "optimizer")}
    plan = Plan(tuple(phases), TokenBudget(settings["tokens"]), clip=5.0, **steps)
    return GradientRecipe(model, plan, sampled.learn)

"""Priors by name, for the builders of variational models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Generator, Tensor

from isthmus.batch import Signal, Tokens
from isthmus.capabilities import entered_shape
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.priors.mixture import MixturePrior, VampPrior
from isthmus.core.priors.normal import StandardNormal
from isthmus.errors import SettingError
from isthmus.models.recipes.checks import check_choice, check_settings
from isthmus.protocols import Bottleneck, Encoder, Prior, Source
from isthmus.sources import even_rows

PRIORS = ("standard", "mixture", "pseudo-inputs")
"""N(0, 1); a trainable mixture of Gaussians; the posteriors of trainable inputs (the VampPrior)."""


@dataclass(frozen=True)
class ChosenPrior:
    """A prior, and its pseudo-inputs if it has some."""

    part: Prior
    pseudo: VampPrior | None = None

    def start(self, model: Autoencoder) -> Callable[[Source], None] | None:
        """The initialisation before training, if any: pseudo-inputs are set to rows of the source."""
        return None if self.pseudo is None else partial(begin_with_rows, model, self.pseudo)


def prior_of(
    name: str,
    signal: Signal,
    encoder: Encoder,
    bottleneck: Bottleneck,
    code: int,
    components: int,
    generator: Generator,
) -> ChosenPrior:
    """Create the prior of a given name.

    Args:
        name: one of ``PRIORS``.
        signal: sizes of the encoder's input.
        encoder, bottleneck: those of the model, for the posteriors of pseudo-inputs.
        code: dimensions of the code.
        components: number of components of a mixture, or of pseudo-inputs.
        generator: random generator for the initial values.

    Returns:
        The prior.

    Raises:
        SettingError: an unknown name, no components, or pseudo-inputs of tokens, whose posteriors are normalised
            together.
    """
    check_choice("prior", name, PRIORS)
    check_settings(components=components)
    if name == "standard":
        return ChosenPrior(StandardNormal(code))
    if name == "mixture":
        return ChosenPrior(MixturePrior(code, components, generator=generator))
    if isinstance(signal, Tokens):
        raise SettingError(
            "prior='pseudo-inputs' of tokens", expected="'standard' or 'mixture'", remedy="choose one of these"
        )
    pseudo = VampPrior(encoder, bottleneck, entered_shape(encoder), components, generator=generator)
    return ChosenPrior(pseudo, pseudo)


def begin_with_rows(model: Autoencoder, prior: VampPrior, source: Source) -> None:
    """Set pseudo-inputs to rows of the source, evenly spaced; if there are fewer rows, the remaining ones keep their
    initial values.

    Args:
        model: the model whose encoder reads the rows.
        prior: the model's prior, changed in place.
        source: training data.
    """
    inputs = source.batch(even_rows(len(source), len(prior.pseudo))).inputs
    with torch.no_grad():
        entered: Tensor = model.encoder.enter(model.scaled(inputs))
        prior.begin(entered)

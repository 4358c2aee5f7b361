"""Priors by name, for the builders of variational models."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from isthmus.batch import Bag, Grid, Tokens, Vector
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.encoders import BagEncoder
from isthmus.core.priors.mixture import MixturePrior, VampPrior
from isthmus.core.priors.normal import StandardNormal
from isthmus.errors import SettingError
from isthmus.models.recipes.checks import check_choice, check_settings
from isthmus.protocols import Bottleneck, Encoder, Prior, Source
from isthmus.spread import even_rows

PRIORS = ("standard", "mixture", "pseudo-inputs")
"""N(0, 1); a mixture of Gaussians that trains; the posteriors of inputs that train (the VampPrior)."""


def prior_of(
    name: str,
    signal: Bag | Vector | Grid | Tokens,
    encoder: Encoder,
    bottleneck: Bottleneck,
    code: int,
    components: int,
    generator: Generator,
) -> Prior:
    """The prior of that name over codes of ``code`` dimensions.

    Raises:
        SettingError: another name, no components, or pseudo-inputs of tokens, whose posteriors are normalised together.
    """
    check_choice("prior", name, PRIORS)
    check_settings(components=components)
    if name == "standard":
        return StandardNormal(code)
    if name == "mixture":
        return MixturePrior(code, components, generator=generator)
    return VampPrior(encoder, bottleneck, _entered(signal, encoder), components, generator=generator)


def begin_with_rows(model: Autoencoder, source: Source) -> None:
    """Pseudo-inputs begin as rows of the source, evenly spaced; what there are fewer rows than keeps its first draw."""
    prior = model.prior
    assert isinstance(prior, VampPrior)
    inputs = source.batch(even_rows(len(source), len(prior.pseudo))).inputs
    with torch.no_grad():
        entered: Tensor = model.encoder.enter(model.scaled(inputs))
        prior.begin(entered)


def _entered(signal: Bag | Vector | Grid | Tokens, encoder: Encoder) -> tuple[int, ...]:
    """The shape of a row behind ``encoder.enter``."""
    match signal:
        case Vector():
            return (signal.width,)
        case Grid():
            return (signal.channels, signal.height, signal.width)
        case Bag():
            assert isinstance(encoder, BagEncoder)
            return (encoder.table.shape[1],)
        case Tokens():
            raise SettingError(
                "prior='pseudo-inputs' of tokens", expected="'standard' or 'mixture'", remedy="choose one of these"
            )

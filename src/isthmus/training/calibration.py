"""Statistics that the finished network is asked with: measured once more on clean rows, when training has ended."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.gaussian import BatchNormGaussian
from isthmus.errors import SettingError
from isthmus.protocols import Source
from isthmus.spread import even_rows
from isthmus.training.plan import Batching

MOST = 20_000
"""Rows that are looked at, evenly spaced ones: means of so many are known to a hundredth of their spread."""


@torch.no_grad()
def settle(model: Autoencoder, source: Source, batching: Batching) -> None:
    """The means of a ``BatchNormGaussian`` get the average and the spread that clean rows of the source have, without
    dropout and without corruption; with fewer than 2 rows nothing changes.

    Without it they keep running estimates made while the weights still moved, of states with dropout.

    Raises:
        SettingError: another bottleneck.
    """
    if not isinstance(model.bottleneck, BatchNormGaussian):
        raise SettingError(f"settling a {type(model.bottleneck).__name__}", expected="a NormalisedGaussian")
    if len(source) > 1:
        training = model.training
        model.eval()
        model.bottleneck.settle(_hidden(model, source, batching))
        model.train(training)


def _hidden(model: Autoencoder, source: Source, batching: Batching) -> Iterator[Tensor]:
    device = next(model.parameters()).device
    source, chosen = source.to(device), even_rows(len(source), MOST)
    # Sums do not ask for an order; a generator is needed to draw one.
    for places in batching(source.lengths.cpu()[chosen], Generator().manual_seed(0)):
        inputs = source.batch(chosen[places].to(device)).inputs
        scaled = model.scaled(inputs)
        yield model.encoder.trunk(model.encoder.enter(scaled), scaled)

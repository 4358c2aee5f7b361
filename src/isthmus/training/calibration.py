"""Statistics of the finished network, measured once more on clean rows when training has ended."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from isthmus import capabilities
from isthmus.core.autoencoder import Autoencoder
from isthmus.protocols import Source
from isthmus.sources import even_rows
from isthmus.training.batching import Batching

MOST = 20_000
"""Rows that are looked at, evenly spaced ones: means of so many are known to a hundredth of their spread."""


@torch.no_grad()
def calibrate(model: Autoencoder, source: Source, batching: Batching) -> None:
    """Measure the statistics of a bottleneck (the means of a ``BatchNormGaussian``) on clean rows of the source,
    without dropout and without corruption; with fewer than 2 rows nothing changes.

    Without it they keep running estimates made while the weights still moved, of states with dropout.

    Args:
        model: changed in place; it stays in the mode that it is in.
        source: the data that it was trained on; at most ``MOST`` rows, evenly spaced, are read.
        batching: which rows are read together.

    Raises:
        SettingError: a bottleneck without ``calibrate``, see ``isthmus.capabilities``.
    """
    if len(source) > 1:
        training = model.training
        model.eval()
        capabilities.calibrate(model.bottleneck, _hidden(model, source, batching))
        model.train(training)


def _hidden(model: Autoencoder, source: Source, batching: Batching) -> Iterator[Tensor]:
    device = next(model.parameters()).device
    source, chosen = source.to(device), even_rows(len(source), MOST)
    # Sums do not ask for an order; a generator is needed to draw one.
    for places in batching(source.lengths.cpu()[chosen], Generator().manual_seed(0)):
        inputs = source.batch(chosen[places].to(device)).inputs
        scaled = model.scaled(inputs)
        yield model.encoder.trunk(model.encoder.enter(scaled), scaled)

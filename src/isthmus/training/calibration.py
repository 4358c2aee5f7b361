"""Measures statistics of the trained network on clean rows, after the training."""

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
"""Maximum number of rows, evenly spaced; their means are accurate to a hundredth of the standard deviation."""


@torch.no_grad()
def calibrate(model: Autoencoder, source: Source, batching: Batching) -> None:
    """Measure the statistics of a bottleneck (the means of a ``BatchNormGaussian``) on clean rows of the source,
    without dropout and without corruption; nothing changes for fewer than 2 rows.

    Otherwise the bottleneck would use running estimates from the training, with dropout and changing weights.

    Args:
        model: changed in place; its mode stays the same.
        source: the training data; at most ``MOST`` rows, evenly spaced, are read.
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
    # Sums do not depend on the order, but the batching needs a generator.
    for places in batching(source.lengths.cpu()[chosen], Generator().manual_seed(0)):
        inputs = source.batch(chosen[places]).inputs
        scaled = model.scaled(inputs)
        yield model.encoder.trunk(model.encoder.enter(scaled), scaled)

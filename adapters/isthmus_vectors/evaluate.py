"""How much of rows that were not trained on gets through the narrow place."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from isthmus.core.bottlenecks.gaussian import DiagonalGaussian
from isthmus.metrics.codes import active_units
from isthmus.tasks.threshold import Threshold
from isthmus_vectors.float64 import Asked
from isthmus_vectors.vectors import Dense, Vectors

ACTIVE = 1e-6
"""A number of a code that is nearer to 0 counts as 0."""


@dataclass(frozen=True)
class Measured:
    """Means over the rows, on the scale of the model.

    Attributes:
        rows, width, code: sizes.
        squared_error: mean squared error of a number of the reconstruction.
        unexplained: share of the variance of these rows that the reconstruction leaves, 0 to about 1; lower is better.
        principal_components: the same for that many principal components of these very rows, the least that any linear
            code of this size leaves; None for sparse rows.
        nll: −log p(row | its code), nats a row.
        rate: what the code spends (the KL divergence from N(0, 1)), nats a row; None without a posterior.
        active_units: dimensions of the code that vary by more than 0.01 (Burda et al. 2016); None for a single row.
        active: numbers of a code that are not 0, on average.
        dead: share of the dimensions that are 0 for every row.
        flagged: share of the rows above the threshold.
    """

    rows: int
    width: int
    code: int
    squared_error: float
    unexplained: float | None
    principal_components: float | None
    nll: float
    rate: float | None
    active_units: int | None
    active: float
    dead: float
    flagged: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@torch.no_grad()
def measure(asked: Asked, vectors: Vectors, threshold: Threshold) -> Measured:
    """See ``VectorAutoencoder.evaluate``."""
    codes, nats = asked.codes(vectors), -asked.log_likelihoods(vectors)
    error, variance, rate = 0.0, 0.0, 0.0
    centre = _centre(asked, vectors)
    for block in vectors.blocks():
        source = asked.adapter.exactly(block)
        given = _scaled(asked, block)
        error += float(np.square(given - asked.scaled(block)).sum())
        variance += float(np.square(given - centre).sum())
        posterior = asked.model.encode(source.batch(torch.arange(len(source))).inputs).posterior
        known = isinstance(posterior, DiagonalGaussian)
        rate += float(posterior.standard_normal_rates().sum()) if isinstance(posterior, DiagonalGaussian) else 0.0
    used = np.abs(codes) > ACTIVE
    return Measured(
        rows=len(vectors),
        width=vectors.width,
        code=codes.shape[1],
        squared_error=error / (len(vectors) * vectors.width),
        unexplained=error / variance if variance else None,
        principal_components=_linear(asked, vectors, codes.shape[1], variance),
        nll=float(nats.mean()),
        rate=rate / len(vectors) if known else None,
        active_units=active_units(torch.from_numpy(codes)) if len(codes) > 1 else None,
        active=float(used.sum(1).mean()),
        dead=float((~used.any(0)).mean()),
        flagged=float((nats > threshold.value).mean()),
    )


def _scaled(asked: Asked, block: Vectors) -> Dense:
    rows, scaling = block.named(asked.adapter.columns), asked.adapter.scaling
    if isinstance(rows.values, np.ndarray):
        return scaling.dense(rows.values)
    dense: Dense = scaling.sparse(rows.values).toarray()
    return dense


def _centre(asked: Asked, vectors: Vectors) -> Dense:
    total: Dense = sum(
        (_scaled(asked, block).sum(0) for block in vectors.blocks()), np.zeros(asked.adapter.scaling.width)
    )
    return total / len(vectors)


def _linear(asked: Asked, vectors: Vectors, code: int, variance: float) -> float | None:
    """What the smallest eigenvalues of the covariance, those beyond the first ``code``, make of the variance."""
    if vectors.is_sparse or not variance:
        return None
    centre, width = _centre(asked, vectors), asked.adapter.scaling.width
    scatter = np.zeros((width, width))
    for block in vectors.blocks():
        centred = _scaled(asked, block) - centre
        scatter += centred.T @ centred
    left = np.linalg.eigvalsh(scatter)[: max(0, width - code)]
    return float(np.maximum(left, 0).sum() / variance)

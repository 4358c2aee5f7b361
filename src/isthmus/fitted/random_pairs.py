"""Similarities of random pairs of records, which make similarities interpretable as percentiles.

Cosines of the codes of a variational autoencoder may all be above 0.9, so that 0.95 alone is not informative. Its
percentile among random pairs is: 99.9 means that one in a thousand such pairs is at least as near.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.index.vectors import Metric

PAIRS = 50_000
"""Number of random pairs; records are compared all with all if that makes fewer pairs."""

AT_A_TIME = 5_000


class RandomPairs:
    """The similarities of random pairs of different records.

    Args:
        codes: the vectors by which the records are compared.
        metric: "l2" (negative squared distance), "cosine" or "ip".
        seed: seed for the choice of pairs; the same records give the same pairs.
    """

    def __init__(self, codes: Float[Tensor, "rows code"], metric: Metric, seed: int = 0) -> None:
        first, second = _pairs(len(codes), seed)
        starts = range(0, len(first), AT_A_TIME)
        parts = [
            _similarity(codes[first[at : at + AT_A_TIME]], codes[second[at : at + AT_A_TIME]], metric) for at in starts
        ]
        self._sorted = np.sort(np.concatenate([np.empty(0, np.float32), *(part.cpu().numpy() for part in parts)]))

    def __len__(self) -> int:
        return len(self._sorted)

    def percentiles(self, scores: Iterable[float]) -> list[float | None]:
        """The percentage of random pairs that are less similar.

        Args:
            scores: similarities by the same metric; higher is nearer.

        Returns:
            From 0 to 100 for each score, higher is nearer; None if there are fewer than two records.
        """
        asked = np.array(list(scores), dtype=np.float32)
        if not len(self._sorted):
            return [None for _ in asked]
        below = np.searchsorted(self._sorted, asked, side="left")
        return [float(share) for share in 100 * below / len(self._sorted)]


def _pairs(rows: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of pairs of different records."""
    if rows * (rows - 1) // 2 <= PAIRS:
        first, second = np.triu_indices(rows, 1)
        return first.astype(np.int64), second.astype(np.int64)
    generator = np.random.default_rng(seed)
    first = generator.integers(0, rows, PAIRS)
    # A step of at least one leads to another record.
    return first, (first + generator.integers(1, rows, PAIRS)) % rows


def _similarity(
    first: Float[Tensor, "pairs code"], second: Float[Tensor, "pairs code"], metric: Metric
) -> Float[Tensor, " pairs"]:
    if metric == "l2":
        return -((first - second) ** 2).sum(1)
    if metric == "ip":
        return (first * second).sum(1)
    return torch.cosine_similarity(first, second, dim=1)

"""The softmax over a catalogue: exact, or for large catalogues sampled, with sparse gradients.

From ``SAMPLED_FROM`` items on, the softmax is estimated from ``NEGATIVES`` items per batch, the gradients of both item
tables are sparse, and Adam only updates the rows that a batch uses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from isthmus.core.likelihoods.discrete import Multinomial
from isthmus.core.likelihoods.sampled_multinomial import SampledMultinomial
from isthmus.errors import SettingError
from isthmus.protocols import Likelihood, Source

SAMPLED_FROM = 100_000
"""Number of items from which the sampled softmax is used: it is about as fast as the exact one near 40,000 items, and
1.5 times as fast here, with batches of 500 histories of 43 items (``python -m benchmarks scaling``)."""

NEGATIVES = 16384
"""Number of items drawn per batch, in addition to those in the batch."""


@dataclass(frozen=True)
class ItemSoftmax:
    """The parts that depend on whether the softmax is exact.

    Attributes:
        likelihood: likelihood of the model.
        rowwise: whether the item tables have sparse gradients, and the plan only updates their rows.
        before_training: computes what must be known about the source before training.
    """

    likelihood: Likelihood
    rowwise: bool = False
    before_training: Callable[[Source], None] | None = None

    @classmethod
    def of(cls, width: int, negatives: int | None = None) -> ItemSoftmax:
        """The parts for ``width`` items.

        Args:
            width: number of items.
            negatives: items drawn per batch; 0 for the exact softmax; None for 0 below ``SAMPLED_FROM`` items and
                ``NEGATIVES`` otherwise.

        Raises:
            SettingError: fewer than 0 negatives.
        """
        if negatives is None:
            negatives = NEGATIVES if width >= SAMPLED_FROM else 0
        if negatives < 0:
            raise SettingError(f"negatives={negatives}", expected="0 for the exact softmax, or a number above 0")
        if negatives == 0:
            return cls(Multinomial())
        sampled = SampledMultinomial(width, negatives, sparse_gradient=True)
        return cls(sampled, True, sampled.learn)

"""How a model meets its catalogue: the exact softmax, or where that costs too much, an estimate and touched rows only.

From ``SAMPLED_FROM`` items on, ``NEGATIVES`` items a batch estimate the softmax, the gradients of both tables of items
are sparse, and Adam changes the rows that a batch touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from isthmus.core.likelihoods.discrete import Multinomial
from isthmus.core.likelihoods.sampled_multinomial import SampledMultinomial
from isthmus.errors import SettingError
from isthmus.protocols import Likelihood, Source

SAMPLED_FROM = 100_000
"""Items from which on the estimate pays: about as fast as the exact softmax near 40,000 items, and 1.5 times as fast
here, with batches of 500 histories of 43 items (``python -m benchmarks scaling``)."""

NEGATIVES = 16384
"""Items drawn a batch, beside those of the batch itself."""


@dataclass(frozen=True)
class ItemSoftmax:
    """The parts that depend on whether the softmax is exact.

    Attributes:
        likelihood: of the model.
        rowwise: whether the tables of items have sparse gradients, and the plan changes touched rows only.
        before_training: what has to be known of the source before training.
    """

    likelihood: Likelihood
    rowwise: bool = False
    before_training: Callable[[Source], None] | None = None

    @classmethod
    def of(cls, width: int, negatives: int | None = None) -> ItemSoftmax:
        """The parts for ``width`` items.

        Args:
            negatives: items drawn a batch; 0 for the exact softmax; None for 0 below ``SAMPLED_FROM`` items and
                ``NEGATIVES`` from there on.

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

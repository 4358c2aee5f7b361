"""Centroids of inverted lists that several indexes share: trained once, on a sample of all their vectors."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.faiss import ivf
from isthmus.index.faiss.kinds import KINDS
from isthmus.index.faiss.parameters import FaissSettings
from isthmus.index.faiss.transforms import PLAIN, Array, lift
from isthmus.index.kinds import Structure
from isthmus.index.vectors import Metric
from isthmus.reprs import brief

KEY = KINDS["ivf"].structure_key
"""Of the kinds whose lists can be shared. Lifted vectors depend on the longest of them, so that their lists cannot."""


def lists_for(rows: int) -> int:
    """The number of lists that an index of so many vectors has by default."""
    return FaissSettings.checked(rows).lists


@brief
@dataclass(frozen=True)
class SharedLists:
    """Centroids for several indexes.

    Attributes:
        centroids: one for each list, in the coordinates of the vectors; for "cosine", of the normalised vectors.
    """

    centroids: Array

    @classmethod
    def trained(cls, sample: Float[Tensor, "rows width"], metric: Metric, lists: int, seed: int) -> SharedLists:
        """Train centroids by k-means, as the kind "ivf" does.

        Args:
            sample: vectors drawn from all of those that will be indexed, checked, float32 on the CPU.
            metric: of the indexes.
            lists: number of centroids; fewer if the sample is too small to train so many.
            seed: of k-means.
        """
        exact = ExactSearcher.over(sample, metric)
        settings = FaissSettings.checked(len(exact), lists=lists, seed=seed)
        found = ivf.learn(lift(PLAIN, exact.compared, metric == "l2"), settings)["centroids"]
        return cls(np.asarray(found, dtype=np.float32) + exact.centre.numpy())

    def structures(self, exact: ExactSearcher) -> Mapping[Hashable, Structure]:
        """The structures that an index over the vectors of ``exact`` begins with, by the key of their kinds."""
        # For distances the vectors of every index are centred by their own mean.
        return {KEY: {"centroids": self.centroids - exact.centre.numpy()}}

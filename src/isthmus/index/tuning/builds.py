"""Indexes over the vectors of one exact searcher: each is built once, whoever asks and for whatever recall."""

from __future__ import annotations

import time
from functools import cached_property
from typing import NamedTuple, final

from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.faiss import FaissSearcher, Kind, Settings, axes_needed

NARROW = 64
"""Of vectors with at most so many numbers, a graph with half of the links, looked for longer, is walked faster at equal
recall: of wider ones it is not."""

SAVING = 0.75
"""A graph over the leading axes is built where these are at most this share of all."""


class Built(NamedTuple):
    """An index and the seconds that building it took."""

    searcher: FaissSearcher
    seconds: float


@final
class Workshop:
    """Not for several threads.

    Args:
        exact: over the vectors.
        seed: of k-means and rotations.
    """

    def __init__(self, exact: ExactSearcher, seed: int) -> None:
        self.exact, self._seed = exact, seed
        self._built: dict[str, Built] = {}
        self._centroids: dict[bool, FaissSearcher] = {}

    def settings(self, kind: Kind) -> Settings:
        """What an index of a kind is built with."""
        narrow = kind == "hnsw" and self.exact.width <= NARROW
        graph = {"links": 16, "building": 200} if narrow else {}
        return Settings.checked(len(self.exact), seed=self._seed, **graph)

    def built(self, kind: Kind) -> Built:
        """An index of a kind, with the seconds that it took when it was built; kinds with lists share their k-means."""
        if kind not in self._built:
            start = time.perf_counter()
            known = None if kind.startswith("hnsw") else self._centroids.get(kind == "ivf-lifted")
            structure = None if known is None else known.structure
            searcher = FaissSearcher.over(self.exact, kind, self.settings(kind), structure)
            self._built[kind] = Built(searcher, time.perf_counter() - start)
            if searcher.structure.keys() == {"centroids"}:
                self._centroids.setdefault(kind == "ivf-lifted", searcher)
        return self._built[kind]

    def pays(self, kind: Kind) -> bool:
        """Whether a kind can be of use: the leading axes are where they are few."""
        return kind != "hnsw-short" or self._axes <= SAVING * self.exact.width

    @cached_property
    def _axes(self) -> int:
        return axes_needed(self.exact)

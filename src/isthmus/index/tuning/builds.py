"""A cache of indexes over the vectors of one exact searcher, so that each kind is built only once."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping
from types import MappingProxyType
from typing import NamedTuple, final

from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.kinds import ApproximateSearcher, IndexKind, Structure


class Built(NamedTuple):
    """An index and the seconds that building it took."""

    searcher: ApproximateSearcher
    seconds: float


@final
class IndexBuilds:
    """Not for several threads.

    Args:
        exact: exact searcher over the vectors.
        seed: seed of k-means and rotations.
        known: structures that exist already, by the key of the kinds that use them.
    """

    def __init__(
        self, exact: ExactSearcher, seed: int, known: Mapping[Hashable, Structure] = MappingProxyType({})
    ) -> None:
        self.exact, self._seed = exact, seed
        self._built: dict[str, Built] = {}
        self._declined: dict[str, str | None] = {}
        self._structures: dict[Hashable, Structure] = dict(known)

    def built(self, kind: IndexKind) -> Built:
        """An index of a kind, with its build time; kinds share structures where they can."""
        if kind.name not in self._built:
            start = time.perf_counter()
            key = kind.structure_key
            searcher = kind.build(self.exact, self._seed, None if key is None else self._structures.get(key))
            self._built[kind.name] = Built(searcher, time.perf_counter() - start)
            if key is not None:
                self._structures.setdefault(key, searcher.structure)
        return self._built[kind.name]

    def least_bytes(self, kind: IndexKind) -> int:
        """Minimum number of bytes of an index of a kind, in addition to the vectors."""
        return int(len(self.exact) * kind.bytes_a_row(self.exact.width))

    def declined(self, kind: IndexKind) -> str | None:
        """Why a kind is not useful for these vectors; None if it may be."""
        if kind.name not in self._declined:
            self._declined[kind.name] = kind.declines(self.exact)
        return self._declined[kind.name]

"""The kinds of FAISS as ``isthmus.index.registry`` offers them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.faiss.kinds import KINDS, FaissKind, Name
from isthmus.index.faiss.parameters import RANGES, FaissSettings
from isthmus.index.faiss.searcher import FaissSearcher
from isthmus.index.kinds import IndexKind, Setting, Structure
from isthmus.index.vectors import Metric


@dataclass(frozen=True)
class FaissIndexKind:
    """One of them, as an ``IndexKind``.

    Attributes:
        name: as in ``KINDS``.
        kind: what ``KINDS`` holds under it.
    """

    name: Name
    kind: FaissKind

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Those for which it is tried among all kinds; by its name, it takes every metric."""
        return self.kind.metrics

    @property
    def structure_key(self) -> Hashable | None:
        """Equal for kinds that share their k-means."""
        return self.kind.structure_key

    def declines(self, exact: ExactSearcher) -> str | None:
        """Why it cannot pay over some vectors; None where it may."""
        return self.kind.declines(exact)

    def bytes_a_row(self, width: int) -> float:
        """Codes, numbers of rows, links."""
        # Of a graph over the leading axes, as many as there are at least.
        stored = 1 if self.name == "hnsw-short" else width
        return self.kind.number_bytes * stored + self.kind.row_bytes(width)

    def build(self, exact: ExactSearcher, seed: int, structure: Structure | None = None) -> FaissSearcher:
        """An index with the settings that its kind starts with.

        Args and errors are those of ``IndexKind.build``.
        """
        settings = self.kind.defaults(len(exact), exact.width, seed % (RANGES["seed"][1] + 1))
        return FaissSearcher.over(exact, self.name, settings, structure)

    def restore(
        self, exact: ExactSearcher, settings: Mapping[str, Setting], structure: Structure | None
    ) -> FaissSearcher:
        """A saved index; a structure that does not fit is found anew.

        Args and errors are those of ``IndexKind.restore``.
        """
        return FaissSearcher.over(exact, self.name, FaissSettings.restored(len(exact), settings), structure)


INDEX_KINDS: tuple[IndexKind, ...] = tuple(FaissIndexKind(name, kind) for name, kind in KINDS.items())

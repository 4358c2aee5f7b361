"""The FAISS kinds as ``IndexKind`` objects for ``isthmus.index.registry``."""

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
    """A FAISS kind as an ``IndexKind``.

    Attributes:
        name: name in ``KINDS``.
        kind: its entry in ``KINDS``.
    """

    name: Name
    kind: FaissKind

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics for which it is tried among all kinds; requested by name, it supports every metric."""
        return self.kind.metrics

    @property
    def structure_key(self) -> Hashable | None:
        """Equal for kinds that share a k-means."""
        return self.kind.structure_key

    def declines(self, exact: ExactSearcher) -> str | None:
        """Why it is not useful for some vectors; None if it may be."""
        return self.kind.declines(exact)

    def bytes_a_row(self, width: int) -> float:
        """Minimum size of the code, row number and links of one vector."""
        # A graph over the leading axes has at least this many.
        stored = 1 if self.name == "hnsw-short" else width
        return self.kind.number_bytes * stored + self.kind.row_bytes(width)

    def build(self, exact: ExactSearcher, seed: int, structure: Structure | None = None) -> FaissSearcher:
        """An index with the default settings of its kind, and as many lists as a given structure has.

        Args and errors are those of ``IndexKind.build``.
        """
        settings = self.kind.defaults(len(exact), exact.width, seed % (RANGES["seed"][1] + 1))
        if self.kind.inverted and structure is not None and len(structure["centroids"]) != settings.lists:
            settings = FaissSettings.checked(len(exact), lists=len(structure["centroids"]), seed=settings.seed)
        return FaissSearcher.over(exact, self.name, settings, structure)

    def restore(
        self, exact: ExactSearcher, settings: Mapping[str, Setting], structure: Structure | None
    ) -> FaissSearcher:
        """A saved index; a structure that does not fit is computed again.

        Args and errors are those of ``IndexKind.restore``.
        """
        return FaissSearcher.over(exact, self.name, FaissSettings.restored(len(exact), settings), structure)


INDEX_KINDS: tuple[IndexKind, ...] = tuple(FaissIndexKind(name, kind) for name, kind in KINDS.items())

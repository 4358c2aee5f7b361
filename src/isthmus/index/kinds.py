"""What a kind of approximate index is: an extension point. A kind is one object, and one file is enough for it.

``IndexKind`` says what a kind offers and builds an ``ApproximateSearcher``, which finds candidates among the vectors of
an exact searcher. ``isthmus.index.registry`` tells which kinds are known; register a kind there, or announce it as an
entry point, and ``Index`` tries it beside its own: each is built, its settings are chosen by measured recall, and the
fastest wins. ``isthmus.index.candidates.rank_candidates`` does what most searchers have in common.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int64
from torch import Tensor

from isthmus.index.exact.filters import Allow
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.vectors import Metric
from isthmus.protocols import Searcher
from isthmus.rowlists import RowLists

Structure = Mapping[str, npt.NDArray[np.generic]]
"""What took long to find, as arrays by name: centroids, or the links of a graph. It is saved beside the vectors."""

Setting = int | float | str | bool
"""The value of one setting, as JSON has it."""


@runtime_checkable
class ApproximateSearcher(Searcher, Protocol):
    """A searcher that compares a query with some of the vectors only. Immutable, safe to ask from several threads.

    ``search`` keeps the contract of every searcher (``isthmus.testing.searcher.SearcherContract``): scores are exact,
    no filter leaks, and no answer is short while ``k`` rows may answer.
    """

    @property
    def kind(self) -> str:
        """The name of its ``IndexKind``."""
        ...

    @property
    def settings(self) -> Mapping[str, Setting]:
        """All that ``IndexKind.restore`` needs to make it again, by name: saved in the manifest."""
        ...

    @property
    def search_settings(self) -> Mapping[str, Setting]:
        """Those of the settings that trade recall for speed, by name: shown beside what they gave."""
        ...

    @property
    def structure(self) -> Structure:
        """What took long to find: saved, and given to ``IndexKind.restore``. May be empty."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes that it keeps in memory, beside the vectors."""
        ...

    def grid(self) -> Sequence[Sequence[ApproximateSearcher]]:
        """The same index with other search settings.

        Returns:
            Sequences along which recall and cost rise, at least one, each of at least one searcher. The first settings
            that reach a target are found by bisection. Nothing is built: all share what this one holds.
        """
        ...

    def rebuilt(self, exact: ExactSearcher) -> ApproximateSearcher:
        """The same kind with settings to match over other vectors, as after many additions."""
        ...

    def candidates(
        self, queries: Float[Tensor, "batch width"], k: int, exclude: RowLists | None, allow: Allow
    ) -> Int64[Tensor, "batch found"]:
        """What ``search`` chooses from; the index computes their scores itself.

        Args:
            queries: checked, as they were given.
            k: how many each query needs.
            exclude, allow: as for ``search``.

        Returns:
            Rows in no order, at least ``k`` columns, -1 where there is none. A query with fewer than ``k`` rows is one
            that no more rows may answer. ``search(...).rows`` will do.
        """
        ...

    def unfiltered_candidates(
        self, queries: Float[Tensor, "batch width"], k: int
    ) -> Int64[np.ndarray, "batch found"] | None:
        """``candidates`` where nothing is filtered, without the safety net: -1 where fewer than ``k`` are found.

        Returns:
            Rows; None where this shortcut has no advantage over ``candidates``.
        """
        ...


@runtime_checkable
class IndexKind(Protocol):
    """A kind of approximate index: when it pays, what it keeps, and how it is built."""

    @property
    def name(self) -> str:
        """As in ``Index.build(kind=...)`` and in saved indexes."""
        ...

    @property
    def metrics(self) -> Sequence[Metric]:
        """Those for which it is tried among all kinds; none, if it is used only by its name."""
        ...

    @property
    def structure_key(self) -> Hashable | None:
        """Kinds with an equal key start from the structure that the first of them found; None shares nothing."""
        ...

    def declines(self, exact: ExactSearcher) -> str | None:
        """Why it cannot pay over some vectors (too few, too wide, too unlike), in a few words; None where it may."""
        ...

    def bytes_a_row(self, width: int) -> float:
        """Bytes that it keeps for each vector of ``width`` numbers at least: more than the budget is not built."""
        ...

    def build(self, exact: ExactSearcher, seed: int, structure: Structure | None = None) -> ApproximateSearcher:
        """An index over the vectors that ``exact`` compares.

        Args:
            exact: over float32 vectors on the CPU; it scores candidates and answers what the index cannot.
            seed: of everything random.
            structure: of a kind with an equal ``structure_key`` over these vectors.

        Raises:
            SettingError: it cannot compare by the metric of ``exact``.
        """
        ...

    def restore(
        self, exact: ExactSearcher, settings: Mapping[str, Setting], structure: Structure | None
    ) -> ApproximateSearcher:
        """A saved index over the same vectors.

        Args:
            exact: as for ``build``.
            settings: those of the saved searcher; nothing else checks them.
            structure: that of the saved searcher, or None where it was lost. Its arrays were hashed, but they are no
                more trustworthy than the file: what does not fit must be found anew.

        Raises:
            SettingError: settings that this kind does not have, or outside their range.
        """
        ...


def rising(first: int, last: int) -> list[int]:
    """Whole numbers from ``first`` to ``last``, each about a fifth larger than the one before: steps of a grid."""
    numbers = [min(first, last)]
    while numbers[-1] < last:
        numbers.append(min(last, max(numbers[-1] + 1, numbers[-1] * 6 // 5)))
    return numbers

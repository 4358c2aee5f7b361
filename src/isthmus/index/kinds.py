"""The interface of kinds of approximate indexes, an extension point. A kind is one object, and one file is enough for
it.

``IndexKind`` describes a kind and builds an ``ApproximateSearcher``, which finds candidates among the vectors of an
exact searcher. ``isthmus.index.registry`` knows all kinds; register a kind there, or announce it as an entry point, and
``Index`` tries it together with the others: each is built, its settings are chosen by measured recall, and the fastest
is used.
``isthmus.index.candidates.rank_candidates`` implements what most searchers have in common.
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
"""Expensive results of a build, as arrays by name: centroids, or the links of a graph. They are saved with the
vectors."""

Setting = int | float | str | bool
"""The value of one setting, as in JSON."""


@runtime_checkable
class ApproximateSearcher(Searcher, Protocol):
    """A searcher that compares a query with only some of the vectors. Immutable, and safe for several threads.

    ``search`` fulfils the contract of every searcher (``isthmus.testing.searcher.SearcherContract``): scores are exact,
    filters are never violated, and ``k`` rows are returned if as many pass the filters.
    """

    @property
    def kind(self) -> str:
        """The name of its ``IndexKind``."""
        ...

    @property
    def settings(self) -> Mapping[str, Setting]:
        """All arguments that ``IndexKind.restore`` needs, by name; saved in the manifest."""
        ...

    @property
    def search_settings(self) -> Mapping[str, Setting]:
        """The settings that trade recall for speed, by name."""
        ...

    @property
    def structure(self) -> Structure:
        """The expensive results of the build: saved, and passed to ``IndexKind.restore``. May be empty."""
        ...

    @property
    def nbytes(self) -> int:
        """Memory in bytes, in addition to the vectors."""
        ...

    def grid(self) -> Sequence[Sequence[ApproximateSearcher]]:
        """The same index with other search settings.

        Returns:
            Sequences along which recall and cost increase, at least one, each of at least one searcher. The first
            settings that reach a target are found by bisection. Nothing is built: all of them share the same data.
        """
        ...

    def rebuilt(self, exact: ExactSearcher) -> ApproximateSearcher:
        """The same kind with suitable settings over other vectors, for example after many additions."""
        ...

    def candidates(
        self, queries: Float[Tensor, "batch width"], k: int, exclude: RowLists | None, allow: Allow
    ) -> Int64[Tensor, "batch found"]:
        """Candidates for ``search``; the index computes their scores itself.

        Args:
            queries: checked queries, as they were given.
            k: number of candidates that each query needs.
            exclude, allow: as for ``search``.

        Returns:
            Rows in any order, at least ``k`` columns, padded with -1. A query has fewer than ``k`` rows only if no
            other rows pass the filters. ``search(...).rows`` is a valid implementation.
        """
        ...

    def unfiltered_candidates(
        self, queries: Float[Tensor, "batch width"], k: int
    ) -> Int64[np.ndarray, "batch found"] | None:
        """``candidates`` without filters and without fallback: -1 if fewer than ``k`` are found.

        Returns:
            Rows; None if this shortcut has no advantage over ``candidates``.
        """
        ...


@runtime_checkable
class IndexKind(Protocol):
    """A kind of approximate index: when it is useful, what it stores, and how it is built."""

    @property
    def name(self) -> str:
        """The name in ``Index.build(kind=...)`` and in saved indexes."""
        ...

    @property
    def metrics(self) -> Sequence[Metric]:
        """The metrics for which it is tried among all kinds; empty if it is only used by name."""
        ...

    @property
    def structure_key(self) -> Hashable | None:
        """Kinds with an equal key reuse the structure that the first of them computed; None shares nothing."""
        ...

    def declines(self, exact: ExactSearcher) -> str | None:
        """Why it is not useful for some vectors (for example too few), in a few words; None if it may be."""
        ...

    def bytes_a_row(self, width: int) -> float:
        """Minimum number of bytes for each vector of ``width`` numbers; kinds above the budget are not built."""
        ...

    def build(self, exact: ExactSearcher, seed: int, structure: Structure | None = None) -> ApproximateSearcher:
        """Build an index over the vectors of ``exact``.

        Args:
            exact: exact searcher over float32 vectors on the CPU; it scores candidates and is the fallback.
            seed: seed of everything random.
            structure: structure of a kind with an equal ``structure_key`` over these vectors.

        Returns:
            The searcher.

        Raises:
            SettingError: it does not support the metric of ``exact``.
        """
        ...

    def restore(
        self, exact: ExactSearcher, settings: Mapping[str, Setting], structure: Structure | None
    ) -> ApproximateSearcher:
        """A saved index over the same vectors.

        Args:
            exact: as for ``build``.
            settings: those of the saved searcher; nothing else checks them.
            structure: that of the saved searcher, or None if it was lost. Its hash was verified, but it is no more
                trustworthy than the file: a structure that does not fit must be computed again.

        Raises:
            SettingError: settings that this kind does not have, or that are out of range.
        """
        ...


def rising(first: int, last: int) -> list[int]:
    """Integers from ``first`` to ``last``, each about a fifth larger than the one before: steps of a grid."""
    numbers = [min(first, last)]
    while numbers[-1] < last:
        numbers.append(min(last, max(numbers[-1] + 1, numbers[-1] * 6 // 5)))
    return numbers

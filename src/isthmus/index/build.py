"""Builds the segments of an index from vectors and ids, and checks the arguments of updates."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.errors import InputError, UnknownIdError
from isthmus.ids import Id
from isthmus.index import vector_files
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.kinds import Structure
from isthmus.index.segment import Segment
from isthmus.index.snapshot import Snapshot, check_distinct
from isthmus.index.tuning.builds import IndexBuilds
from isthmus.index.tuning.choose import choose, keep
from isthmus.index.tuning.steps import StepProgress
from isthmus.index.tuning.trials import ChosenIndex, IndexRequest
from isthmus.index.vectors import Metric, check_lengths, check_queries
from isthmus.vocabulary import Kind, Rows, Vocabulary, empty_ids

EMPTY = ChosenIndex("exact", None, 1.0, "the index is empty")

Known = Callable[[ExactSearcher], Mapping[Hashable, Structure]]
"""A function from the vectors to structures that exist already, by the key of the kinds that use them."""


def vocabulary_of(ids: list[Id] | None, rows: int, kind: Kind = "int64") -> Vocabulary:
    """A vocabulary of the ids, or of the row numbers if no ids are given.

    Args:
        ids: one id for each row, or None.
        rows: number of rows.
        kind: type of the ids if the list is empty.

    Raises:
        DuplicateIdError: an id twice.
        InputError: ids of mixed types.
    """
    if ids is None:
        return Vocabulary(np.arange(rows))
    check_distinct(ids)
    return Vocabulary(ids if ids else empty_ids(kind))


def build_snapshots(
    vectors: Any,
    ids: Any,
    metric: Metric,
    requests: Sequence[IndexRequest],
    queries: Any,
    progress: StepProgress | None = None,
    known: Known | None = None,
) -> list[tuple[Snapshot, ChosenIndex, IndexRequest]]:
    """Build one index over the same vectors for each request.

    Args:
        vectors: as for ``Index.build``.
        ids: as for ``Index.build``.
        metric: metric of the comparison.
        requests: requests with the same seed; structures are built once and shared.
        queries: as for ``Index.build``.
        progress: as for ``Index.build``.
        known: structures that exist already, such as centroids that several indexes share.

    Raises:
        InputError: the errors of ``vector_files.read``, queries of another width, or a vector with too large a norm.
        DuplicateIdError: duplicate ids.
        BudgetError: nothing within the budget reaches the target, including exact search.
    """
    written = requests[0].written
    given, found = vector_files.read(vectors, ids, told=written)
    check_lengths(given, metric)
    vocabulary = vocabulary_of(found, len(given))
    asked = None if queries is None else vector_files.read(queries, None, requests[0].id_column, alike=written)[0]
    if asked is not None:
        check_queries(asked, given.shape[1], torch.device("cpu"), metric)
    segments = choose_segments(given, vocabulary, metric, requests, asked, progress, known)
    width = given.shape[1]
    return [
        (Snapshot(metric, width, vocabulary.kind, base, None, None), chosen, request)
        for (base, chosen), request in zip(segments, requests, strict=True)
    ]


def choose_segment(
    vectors: Float[Tensor, "rows width"], ids: Vocabulary, metric: Metric, request: IndexRequest, queries: Tensor | None
) -> tuple[Segment | None, ChosenIndex]:
    """A frozen segment with the searcher that ``choose`` selects.

    Args:
        vectors: checked, float32 on the CPU.
        ids: ids of the vectors.
        metric: metric of the comparison.
        request: kind, recall, budget and seed.
        queries: queries to measure with; None for randomly drawn vectors with noise.

    Returns:
        The segment (None if there are no vectors) and the choice.
    """
    return choose_segments(vectors, ids, metric, [request], queries)[0]


def choose_segments(
    vectors: Float[Tensor, "rows width"],
    ids: Vocabulary,
    metric: Metric,
    requests: Sequence[IndexRequest],
    queries: Tensor | None,
    progress: StepProgress | None = None,
    known: Known | None = None,
) -> list[tuple[Segment | None, ChosenIndex]]:
    """``choose_segment`` for several requests with the same seed: structures are built once and shared.

    Args:
        vectors: checked, float32 on the CPU.
        ids: ids of the vectors.
        metric: metric of the comparison.
        requests: kind, recall and budget of each index.
        queries: queries to measure with; None for randomly drawn vectors with noise.
        progress: told which kind is being tried.
        known: as for ``build_snapshots``.

    Returns:
        The segment (None if there are no vectors) and the choice, for each request.
    """
    if not len(vectors):
        return [(None, EMPTY) for _ in requests]
    exact = ExactSearcher.over(vectors, metric)
    builds = IndexBuilds(exact, requests[0].seed, {} if known is None else known(exact))
    chosen = [choose(exact, request, queries, builds, progress) for request in requests]
    return [(Segment(vectors, ids, metric, own.searcher, exact), own) for own in chosen]


def choose_again(
    vectors: Float[Tensor, "rows width"],
    ids: Vocabulary,
    metric: Metric,
    request: IndexRequest,
    old: ChosenIndex,
    queries: Tensor | None,
) -> tuple[Segment | None, ChosenIndex]:
    """``choose_segment``, but keeping the kind and settings of an earlier choice if they still reach the target.

    Args:
        vectors: checked, float32 on the CPU.
        ids: ids of the vectors.
        metric: metric of the comparison.
        request: kind, recall, budget and seed.
        old: the earlier choice.
        queries: queries to measure with; None for randomly drawn vectors with noise.

    Returns:
        The segment (None if there are no vectors) and the choice.
    """
    if old.searcher is not None and len(vectors):
        exact = ExactSearcher.over(vectors, metric)
        kept = keep(exact, request, old.searcher, queries)
        if kept is not None:
            return Segment(vectors, ids, metric, kept.searcher, exact), kept
    return choose_segment(vectors, ids, metric, request, queries)


def next_ids(snapshot: Snapshot, count: int) -> list[Id]:
    """Integer ids above all existing ones.

    Raises:
        InputError: the ids are text.
    """
    if snapshot.kind == "string" and len(snapshot):
        raise InputError("no ids", expected="one text id for each vector, like the existing ids")
    first = 1 + max((id_ for id_ in snapshot.live()[1] if isinstance(id_, int)), default=-1)
    return list(range(first, first + count))


def require_ids(ids: list[Id] | None) -> list[Id]:
    """Check that an update was given ids.

    Raises:
        InputError: no ids.
    """
    if ids is None:
        raise InputError("no ids", expected="the ids of the vectors to replace")
    return ids


def check_more(vectors: Float[Tensor, "rows width"], snapshot: Snapshot) -> None:
    """Check that new vectors match the existing ones.

    Raises:
        InputError: another width.
        ValueRangeError: a vector with too large a norm.
    """
    if vectors.shape[1] != snapshot.width:
        raise InputError(f"vectors of {vectors.shape[1]} numbers", expected=f"{snapshot.width}, as the others have")
    check_lengths(vectors, snapshot.metric)


def rows_of(snapshot: Snapshot, ids: Iterable[Id]) -> Rows:
    """The rows of ids, in the order given.

    Raises:
        UnknownIdError: an id that is not in the index.
    """
    given = list(ids)
    rows = snapshot.places(given)
    if (rows < 0).any():
        raise UnknownIdError(f"id {given[int(np.argmin(rows))]!r} is not in the index", expected="ids of the index")
    return rows


def deletion_mask(rows: Tensor, frozen: int) -> Tensor | None:
    """A mask of the deleted rows; None if there are none."""
    if not len(rows):
        return None
    deleted = torch.zeros(frozen, dtype=torch.bool)
    deleted[rows] = True
    return deleted

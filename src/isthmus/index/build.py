"""From vectors and ids to what an index holds, and what a change needs to know."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.errors import InputError, UnknownIdError
from isthmus.index import vector_files
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.segment import Part
from isthmus.index.snapshot import Snapshot, check_distinct
from isthmus.index.tuning.builds import Workshop
from isthmus.index.tuning.choose import choose, measured
from isthmus.index.tuning.trials import Choice, Wish
from isthmus.index.vectors import Metric, check_queries
from isthmus.vocabulary import Id, Kind, Rows, Vocabulary

EMPTY = Choice("exact", None, 1.0, "there was nothing to choose by")


def vocabulary_of(ids: list[Id] | None, rows: int, kind: Kind = "int64") -> Vocabulary:
    """The ids of so many rows; their numbers, if none are given. ``kind`` is that of no ids.

    Raises:
        DuplicateIdError: an id twice.
        InputError: ids of mixed types.
    """
    if ids is None:
        return Vocabulary(np.arange(rows))
    check_distinct(ids)
    return Vocabulary(ids if ids else np.empty(0, np.int64 if kind == "int64" else object))


def built(
    vectors: Any, ids: Any, metric: Metric, wishes: Sequence[Wish], queries: Any
) -> list[tuple[Snapshot, Choice, Wish]]:
    """What ``Index.build`` is given, to what an index of it holds for each wish."""
    given, found = vector_files.read(vectors, ids)
    vocabulary = vocabulary_of(found, len(given))
    copied = given.clone() if isinstance(vectors, np.ndarray | torch.Tensor) else given
    asked = None if queries is None else vector_files.read(queries)[0]
    if asked is not None:
        check_queries(asked, given.shape[1], torch.device("cpu"))
    parts = chosen_each(copied, vocabulary, metric, wishes, asked)
    width = given.shape[1]
    return [
        (Snapshot(metric, width, vocabulary.kind, part, None, None), choice, wish)
        for (part, choice), wish in zip(parts, wishes, strict=True)
    ]


def chosen(
    vectors: Float[Tensor, "rows width"], ids: Vocabulary, metric: Metric, wish: Wish, queries: Tensor | None
) -> tuple[Part | None, Choice]:
    """A frozen part with the searcher that ``choose`` finds for it; None of no vectors."""
    return chosen_each(vectors, ids, metric, [wish], queries)[0]


def chosen_each(
    vectors: Float[Tensor, "rows width"],
    ids: Vocabulary,
    metric: Metric,
    wishes: Sequence[Wish],
    queries: Tensor | None,
) -> list[tuple[Part | None, Choice]]:
    """``chosen`` for several wishes of one seed: what is built for one serves the others."""
    if not len(vectors):
        return [(None, EMPTY) for _ in wishes]
    exact = ExactSearcher.over(vectors, metric)
    workshop = Workshop(exact, wishes[0].seed)
    choices = [choose(exact, wish, queries, workshop) for wish in wishes]
    return [(Part(vectors, ids, metric, choice.searcher, exact), choice) for choice in choices]


def again(
    vectors: Float[Tensor, "rows width"],
    ids: Vocabulary,
    metric: Metric,
    wish: Wish,
    old: Choice,
    queries: Tensor | None,
) -> tuple[Part | None, Choice]:
    """``chosen``, with the kind and the settings of an earlier choice, if they still reach the target."""
    if old.searcher is not None and len(vectors):
        exact = ExactSearcher.over(vectors, metric)
        choice = measured(exact, wish, old.searcher, queries)
        if choice is not None:
            return Part(vectors, ids, metric, choice.searcher, exact), choice
    return chosen(vectors, ids, metric, wish, queries)


def next_ids(snapshot: Snapshot, count: int) -> list[Id]:
    """Numbers above all that are here.

    Raises:
        InputError: the ids are text.
    """
    if snapshot.kind != "int64" and len(snapshot):
        raise InputError("no ids", expected="one text for each vector, as the others have")
    first = 1 + max((id_ for id_ in snapshot.alive()[1] if isinstance(id_, int)), default=-1)
    return list(range(first, first + count))


def wanted(ids: list[Id] | None) -> list[Id]:
    """The ids of an update.

    Raises:
        InputError: there are none.
    """
    if ids is None:
        raise InputError("no ids", expected="the ids whose vectors change")
    return ids


def check_width(vectors: Float[Tensor, "rows width"], width: int) -> None:
    """Refuse vectors that do not fit.

    Raises:
        InputError: another width.
    """
    if vectors.shape[1] != width:
        raise InputError(f"vectors of {vectors.shape[1]} numbers", expected=f"{width}, as the others have")


def rows_of(snapshot: Snapshot, ids: Iterable[Id]) -> Rows:
    """Rows of ids, in the order given.

    Raises:
        UnknownIdError: an id that is not here.
    """
    given = list(ids)
    found, unknown = snapshot.rows(given)
    if unknown:
        raise UnknownIdError(f"id {unknown[0]!r} is not in the index", expected="ids that are in it")
    place = dict(zip(snapshot.ids_of(found), found.tolist(), strict=True))
    return np.asarray([place[id_] for id_ in given], dtype=np.int64)


def dead_rows(rows: Tensor, frozen: int) -> Tensor | None:
    """A mask from the rows that are gone; None of none."""
    if not len(rows):
        return None
    dead = torch.zeros(frozen, dtype=torch.bool)
    dead[rows] = True
    return dead

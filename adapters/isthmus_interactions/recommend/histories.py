"""Histories of users, given by external ids, as bags and in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from isthmus.batch import Bags
from isthmus.checked.arguments import listed
from isthmus.errors import InputError, ValueRangeError
from isthmus.ids import Id
from isthmus.reprs import brief
from isthmus.sources import BagSource
from isthmus.vocabulary import Kind, Rows, Vocabulary
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.ordered_histories import OrderedHistories
from isthmus_interactions.vocabularies import translate

GivenId = Id | Any
"""Types that callers may use for ids; see ``isthmus.ids.plain_id``."""

History = Iterable[GivenId] | Mapping[GivenId, float]
"""Ids, each with weight 1, or ids with positive weights."""

Histories = Sequence[History] | Interactions
"""One history for each user."""


LEAST = 1e-15
"""Smallest allowed weight; the largest is its inverse, so that squares of weights fit in 32 bits."""


@brief
@dataclass(frozen=True, eq=False)
class HistoryBatch:
    """Histories, restricted to items of the catalogue.

    Attributes:
        bags: one row for each history.
        unknown: for each history the ids that are not in the catalogue, in the given order.
        ordered: the items of each history in the given order, including repetitions; None if the order is unknown.
        users: ids of the users; None if not given.
        kind: type of the ids of users.
    """

    bags: Bags
    unknown: list[list[Id]]
    ordered: OrderedHistories | None = None
    users: list[Id] | None = None
    kind: Kind = "int64"


def history_batch(histories: Histories, items: Vocabulary) -> HistoryBatch:
    """Convert histories to bags; an id that is given twice counts once.

    Raises:
        InputError: a single history or id instead of several histories, or a value that is not a history.
        ValueRangeError: a weight that is not positive, or so small or large that its square does not fit in 32 bits.
    """
    if isinstance(histories, Interactions):
        return _batch_of(histories, items)
    if isinstance(histories, str | Mapping) or not isinstance(histories, Iterable):
        raise InputError(
            f"a {type(histories).__name__} instead of histories",
            expected="a list of histories",
            remedy="write [history]",
        )
    given = listed("histories", histories, "a list of histories")
    found = [_rows_and_weights(history, items) for history in given]
    lengths = torch.tensor([0, *(len(one.rows) for one in found)])
    indices = torch.from_numpy(np.concatenate([np.empty(0, np.int64), *(one.rows for one in found)]))
    weights = torch.tensor([weight for one in found for weight in one.weights], dtype=torch.float32)
    bags = Bags(indices, lengths.cumsum(0), weights)
    return HistoryBatch(bags, [one.unknown for one in found], _ordered([one.events for one in found]))


def id_list(ids: Iterable[GivenId], vocabulary: Vocabulary) -> list[Id]:
    """The ids as a vocabulary holds them, or would. A string is one id, not a list of letters.

    Raises:
        InputError: a single id, or something that can be no id.
    """
    if is_single(ids):
        raise InputError(f"id {ids!r} instead of several", expected="a list of ids", remedy=f"write [{ids!r}]")
    return [vocabulary.held(id_) for id_ in listed("ids", ids, "a list of ids")]


def is_single(given: object) -> bool:
    """Whether something is one id and not several."""
    return not isinstance(given, Iterable) or isinstance(given, str | bytes | np.generic)


@dataclass(frozen=True)
class _Read:
    """One history: rows of the catalogue with weights, all events in order, and the unknown ids."""

    rows: Rows
    weights: list[float]
    events: Rows
    unknown: list[Id]


def _rows_and_weights(history: History, items: Vocabulary) -> _Read:
    weighted, repeated = _held(history, items)
    for id_, weight in weighted.items():
        if not LEAST <= weight <= 1 / LEAST:
            raise ValueRangeError(
                f"weight {weight} of item {id_!r}", expected=f"a number from {LEAST:g} to {1 / LEAST:g}"
            )
    rows, unknown = items.split(weighted)
    left_out = set(unknown)
    weights = [float(weight) for id_, weight in weighted.items() if id_ not in left_out]
    events = items.split(repeated)[0] if len(repeated) > len(weighted) else rows
    return _Read(rows, weights, events, unknown)


def _ordered(events: list[Rows]) -> OrderedHistories:
    offsets = np.cumsum([0, *(len(one) for one in events)], dtype=np.int64)
    items = np.concatenate([np.empty(0, np.int64), *events]).astype(np.int32)
    return OrderedHistories(offsets, items)


def _held(history: History, items: Vocabulary) -> tuple[dict[Id, float], list[Id]]:
    """The distinct ids of a history with their weights, and all of them in order, as the catalogue holds them."""
    if is_single(history):
        raise InputError(
            f"id {history!r} instead of a history", expected="a list of ids", remedy=f"write [[{history!r}]]"
        )
    given = history if isinstance(history, Mapping) else listed("history", history, "a list of ids")
    ids = [items.held(id_) for id_ in given]
    if not isinstance(history, Mapping):
        return dict.fromkeys(ids, 1.0), ids
    try:
        return {id_: float(weight) for id_, weight in zip(ids, history.values(), strict=True)}, []
    except (TypeError, ValueError):
        raise InputError("a history whose weights are no numbers", expected="ids, or ids with weights") from None


def _batch_of(histories: Interactions, items: Vocabulary) -> HistoryBatch:
    foreign = translate(histories.items, items) < 0
    known = histories.with_items(items)
    bags = BagSource.from_csr(known.matrix).batch(torch.arange(len(known))).inputs
    assert isinstance(bags, Bags)
    users, kind = histories.users.ids.tolist(), histories.users.kind
    if not foreign.any():
        return HistoryBatch(bags, [[] for _ in users], known.histories, users, kind)
    rows = np.split(histories.matrix.indices.astype(np.int64), histories.matrix.indptr[1:-1])
    unknown = [histories.items.take(row[foreign[row]]) for row in rows[: len(histories)]]
    return HistoryBatch(bags, unknown, known.histories, users, kind)

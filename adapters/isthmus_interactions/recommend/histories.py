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
from isthmus_interactions.order.asked_times import AskedTimes, in_unit_of
from isthmus_interactions.ordered_histories import OrderedHistories, Times
from isthmus_interactions.vocabularies import translate

GivenId = Id | Any
"""Types that callers may use for ids; see ``isthmus.ids.plain_id``."""

History = Iterable[GivenId | tuple[GivenId, Any]] | Mapping[GivenId, float]
"""Ids, oldest first and each with weight 1; pairs of an id and a time, in any order; or ids with positive weights."""

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
        ordered: the items of each history, oldest first and including repetitions, with times in the unit of the
            training data if they are known; None if the order is unknown.
        users: ids of the users; None if not given.
        kind: type of the ids of users.
    """

    bags: Bags
    unknown: list[list[Id]]
    ordered: OrderedHistories | None = None
    users: list[Id] | None = None
    kind: Kind = "int64"


def history_batch(histories: Histories, items: Vocabulary, known: OrderedHistories | None = None) -> HistoryBatch:
    """Convert histories to bags, in which an id that is given twice counts once, and to ordered events.

    Args:
        histories: ids, pairs of ids and times, ids with weights, or interactions.
        items: the catalogue.
        known: the training data in order, whose unit of time the result has; None if their order is unknown.

    Returns:
        One row for each history.

    Raises:
        InputError: a single history or id instead of several histories, a value that is not a history, histories with
            and without times, or times that are not comparable with those of the training data.
        ValueRangeError: a weight that is not positive, or so small or large that its square does not fit in 32 bits; or
            something that is no time.
    """
    if isinstance(histories, Interactions):
        return _batch_of(histories, items, known)
    if isinstance(histories, str | Mapping) or not isinstance(histories, Iterable):
        raise InputError(
            f"a {type(histories).__name__} instead of histories",
            expected="a list of histories",
            remedy="write [history]",
        )
    given = listed("histories", histories, "a list of histories")
    asked = AskedTimes(known)
    found = [_rows_and_weights(history, items, asked) for history in given]
    lengths = torch.tensor([0, *(len(one.rows) for one in found)])
    indices = torch.from_numpy(np.concatenate([np.empty(0, np.int64), *(one.rows for one in found)]))
    weights = torch.tensor([weight for one in found for weight in one.weights], dtype=torch.float32)
    bags = Bags(indices, lengths.cumsum(0), weights)
    return HistoryBatch(bags, [one.unknown for one in found], _ordered(found, known))


def id_list(ids: Iterable[GivenId], vocabulary: Vocabulary) -> list[Id]:
    """The ids as a vocabulary holds them, or would. A string is one id, not a list of letters.

    Raises:
        InputError: a single id, or an invalid id.
    """
    if is_single(ids):
        raise InputError(f"id {ids!r} instead of several", expected="a list of ids", remedy=f"write [{ids!r}]")
    return [vocabulary.held(id_) for id_ in listed("ids", ids, "a list of ids")]


def is_single(given: object) -> bool:
    """Whether something is one id and not several."""
    return not isinstance(given, Iterable) or isinstance(given, str | bytes | np.generic)


@dataclass(frozen=True)
class _Read:
    """One history: rows of the catalogue with weights, all events in order, their times, and the unknown ids."""

    rows: Rows
    weights: list[float]
    events: Rows
    times: Times | None
    unknown: list[Id]


@dataclass(frozen=True)
class _Held:
    """One history with ids of the catalogue: distinct ids with their weights, and all events in order."""

    weights: dict[Id, float]
    events: list[Id]
    times: Times | None = None


def _rows_and_weights(history: History, items: Vocabulary, asked: AskedTimes) -> _Read:
    return _known(history, items) or _translated(history, items, asked)


def _known(history: History, items: Vocabulary) -> _Read | None:
    """Fast path for most histories, lists of known ids without times; None for all others."""
    given = history.tolist() if isinstance(history, np.ndarray) else history
    places = items.exact(given) if isinstance(given, list | tuple) else None
    if places is None:
        return None
    events, distinct = np.asarray(places, dtype=np.int64), list(dict.fromkeys(places))
    rows = events if len(distinct) == len(events) else np.asarray(distinct, dtype=np.int64)
    return _Read(rows, [1.0] * len(rows), events, None, [])


def _translated(history: History, items: Vocabulary, asked: AskedTimes) -> _Read:
    held = _held(history, items, asked)
    for id_, weight in held.weights.items():
        if not LEAST <= weight <= 1 / LEAST:
            raise ValueRangeError(
                f"weight {weight} of item {id_!r}", expected=f"a number from {LEAST:g} to {1 / LEAST:g}"
            )
    rows, unknown = items.split(held.weights)
    left_out = set(unknown)
    weights = [float(weight) for id_, weight in held.weights.items() if id_ not in left_out]
    events = items.split(held.events)[0] if len(held.events) > len(held.weights) else rows
    known = np.array([id_ not in left_out for id_ in held.events], dtype=bool)
    return _Read(rows, weights, events, None if held.times is None else held.times[known], unknown)


def _ordered(found: list[_Read], known: OrderedHistories | None) -> OrderedHistories:
    offsets = np.cumsum([0, *(len(one.events) for one in found)], dtype=np.int64)
    items = np.concatenate([np.empty(0, np.int64), *(one.events for one in found)]).astype(np.int32)
    timed = {one.times is not None for one in found if one.rows.size or one.unknown}
    if timed == {True, False}:
        raise InputError("histories with times and histories without", expected="times for all of them, or for none")
    if timed != {True} or known is None or known.times is None:
        return OrderedHistories(offsets, items)
    times = np.concatenate([np.empty(0, known.times.dtype), *(one.times for one in found if one.times is not None)])
    return OrderedHistories(offsets, items, times, known.unit)


def _held(history: History, items: Vocabulary, asked: AskedTimes) -> _Held:
    if is_single(history):
        raise InputError(
            f"id {history!r} instead of a history", expected="a list of ids", remedy=f"write [[{history!r}]]"
        )
    if isinstance(history, Mapping):
        ids = [items.held(id_) for id_ in history]
        try:
            weights = {id_: float(weight) for id_, weight in zip(ids, history.values(), strict=True)}
        except (TypeError, ValueError):
            raise InputError("a history whose weights are no numbers", expected="ids, or ids with weights") from None
        return _Held(weights, list(weights))
    given = listed("history", history, "a list of ids")
    pairs = sum(_is_pair(one) for one in given)
    if 0 < pairs < len(given):
        raise InputError("a history with times for some of its items", expected="times for all of them, or for none")
    if not pairs:
        ids = [items.held(id_) for id_ in given]
        return _Held(dict.fromkeys(ids, 1.0), ids)
    ids = [items.held(id_) for id_, _ in given]
    times = asked.numbers(ids, [time for _, time in given])
    order = np.argsort(times, kind="stable")
    ids = [ids[place] for place in order]
    return _Held(dict.fromkeys(ids, 1.0), ids, times[order])


def _is_pair(one: object) -> bool:
    return isinstance(one, tuple | list) and len(one) == 2


def _batch_of(histories: Interactions, items: Vocabulary, training: OrderedHistories | None) -> HistoryBatch:
    foreign = translate(histories.items, items) < 0
    known = histories.with_items(items)
    bags = BagSource.from_csr(known.matrix).batch(torch.arange(len(known))).inputs
    assert isinstance(bags, Bags)
    users, kind = histories.users.ids.tolist(), histories.users.kind
    ordered = in_unit_of(training, known.histories)
    if not foreign.any():
        return HistoryBatch(bags, [[] for _ in users], ordered, users, kind)
    rows = np.split(histories.matrix.indices.astype(np.int64), histories.matrix.indptr[1:-1])
    unknown = [histories.items.take(row[foreign[row]]) for row in rows[: len(histories)]]
    return HistoryBatch(bags, unknown, ordered, users, kind)

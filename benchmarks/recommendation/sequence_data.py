"""Data sets with an order for ``sequences``, and their protocols: what is trained on, and which item comes next."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

from isthmus.datafolder import dataset_path, unpacked
from isthmus_interactions.datasets import movielens_1m, movielens_100k
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.targets import fold_of
from isthmus_interactions.ordered_histories import OrderedHistories
from isthmus_interactions.splits import FoldIn, aligned

Mask = npt.NDArray[np.bool_]

RAREST = 5
"""Items of ML-1M with fewer ratings are left out, as in the figures that it is compared with; and on a clock those that
have fewer before the test."""

QUANTILES = (0.8, 0.9)
"""Of all times: validation begins at the first, the test at the second."""


@dataclass(frozen=True, eq=False)
class Case:
    """One data set and its protocol.

    Attributes:
        metrics: what is measured; the last one chooses settings.
        seen: whether items of the history are "masked" in the ranking or "kept".
        train: the events before those of ``validation``.
        validation: histories, and the item that comes next in each.
        between: the events after those of ``train`` and before those of ``test``.
        known: both.
        test: the same as ``validation``, later.
        refitted: whether models are only judged after they were fitted on ``known``.
    """

    metrics: tuple[str, ...]
    seen: str
    train: Interactions
    validation: FoldIn
    between: Interactions
    known: Interactions
    test: FoldIn
    refitted: bool


def leave_one_out(data: Interactions) -> Case:
    """The last event of each user is the test and the one before it the validation, for users with three or more."""
    left = _later_events(_order(data))
    enough = np.repeat(_order(data).lengths >= 3, _order(data).lengths)
    last, second = enough & (left == 0), enough & (left == 1)
    return Case(
        ("recall@10", "ndcg@10"),
        "masked",
        _events(data, ~last & ~second),
        _next(data, ~last & ~second, second),
        _events(data, second),
        _events(data, ~last),
        _next(data, ~last, last),
        refitted=False,
    )


def temporal(data: Interactions) -> Case:
    """One clock for everybody: the last event in a period of each user who was there before, after all that this user
    did until then; models know the events before the period. Items that are rare or new then are left out."""
    times = _order(data).times
    assert times is not None
    before, after = np.quantile(times, QUANTILES)
    counts = np.bincount(_order(data).items[times < after], minlength=len(data.items))
    data = data.select_items(np.flatnonzero(counts >= RAREST))
    times = _order(data).times
    assert times is not None
    earlier = _events(data, times < after)
    between = _events(data, (times >= before) & (times < after))
    return Case(
        ("recall@10", "ndcg@10"),
        "masked",
        _events(data, times < before),
        _last_after(earlier, float(before)),
        between,
        earlier,
        _last_after(data, float(after)),
        refitted=True,
    )


def sessions(train: Interactions, test: Interactions) -> Case:
    """Every click of a later session but its first is to be found from those before it. The last tenth of the sessions
    of ``train`` is the validation."""
    order = _order(train)
    assert order.times is not None
    starts = order.times[order.offsets[:-1]]
    early = starts < np.quantile(starts, 0.9)
    first, later = (train.select_users(np.flatnonzero(some)) for some in (early, ~early))
    return Case(
        ("hit@20", "mrr@20"),
        "kept",
        first,
        _every_next(later),
        later,
        train,
        _every_next(test.with_items(train.items, log=False)),
        refitted=True,
    )


def some(fold: FoldIn, most: int) -> FoldIn:
    """At most so many of its users, evenly spaced."""
    rows = np.unique(np.linspace(0, len(fold) - 1, min(most, len(fold))).astype(np.int64))
    ordered = None if fold.ordered is None else fold.ordered.take(rows)
    return FoldIn(fold.history[rows], fold.held_out[rows], [fold.users[row] for row in rows], ordered)


def drawn() -> Case:
    """Walks around a circle of items, for smoke runs."""
    random = np.random.default_rng(0)
    steps = random.choice([1, 1, 1, 5], (80, 8)).cumsum(1) + random.integers(0, 20, (80, 1))
    users = np.repeat(np.arange(80), 8)
    data = Interactions.read((users, (steps % 20).ravel(), np.ones(640), np.arange(640) * 60 + 10**9), keep="all")
    return leave_one_out(data)


def _order(data: Interactions) -> OrderedHistories:
    assert data.histories is not None
    return data.histories


def _later_events(order: OrderedHistories) -> npt.NDArray[np.int64]:
    """How many events of the same user come after each event."""
    ends: npt.NDArray[np.int64] = np.repeat(order.offsets[1:], order.lengths)
    return ends - 1 - np.arange(order.events)


def _events(data: Interactions, mask: Mask) -> Interactions:
    """Some events; users without one are left out, all items are kept."""
    order = _order(data).where(mask)
    part = replace(data, matrix=order.matrix(len(data.items)), histories=order)
    return part.select_users(np.flatnonzero(order.lengths))


def _next(data: Interactions, before: Mask, target: Mask) -> FoldIn:
    order, width = _order(data), len(data.items)
    history = order.where(before)
    return aligned(history.matrix(width), order.where(target).matrix(width), data.users, history)


def _last_after(data: Interactions, time: float) -> FoldIn:
    order = _order(data)
    assert order.times is not None
    left, first = _later_events(order), order.times[np.repeat(order.offsets[:-1], order.lengths)]
    target = (left == 0) & (first < time) & (order.times >= time)
    return _next(data, left > 0, target)


def _every_next(data: Interactions) -> FoldIn:
    """A row for each event but the first of its user: the events before it, and the event."""
    order, width = _order(data), len(data.items)
    places = np.flatnonzero(np.arange(order.events) - np.repeat(order.offsets[:-1], order.lengths) > 0)
    found = fold_of(data, places, np.arange(width), width, None)
    # No names of sessions, so that nobody takes a row for a session that was trained on.
    return replace(found, users=[f"next {row}" for row in range(len(found))])


def _amazon(name: str) -> Interactions:
    lines = unpacked(dataset_path(name) / "sequences.txt.xz").decode().split("\n")
    rows = [np.array(line.split()[1:], np.int64) for line in lines if line]
    users = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    return Interactions.read((users, np.concatenate(rows)), ordered=True)


def _ml_1m() -> Interactions:
    data = movielens_1m(keep="all")[0]
    counts = np.bincount(data.matrix.indices, minlength=len(data.items))
    return data.select_items(np.flatnonzero(counts >= RAREST))


def _ml_latest_small() -> Interactions:
    return Interactions.read(
        pacsv.read_csv(io.BytesIO(unpacked(dataset_path("ml-latest-small") / "ratings.csv.xz"))), keep="all"
    )


def _clicks(name: str) -> Interactions:
    text = unpacked(dataset_path("rsc15-100k") / name).decode()
    rows = list(csv.DictReader(io.StringIO(text), delimiter="\t"))
    names = {"user": "SessionId", "item": "ItemId", "time": "Time"}
    columns = {ours: pa.array([int(float(row[theirs])) for row in rows]) for ours, theirs in names.items()}
    return Interactions.read(pa.table(columns))


CASES: Mapping[str, Callable[[], Case]] = {
    "toys": lambda: leave_one_out(_amazon("amazon-toys-s3rec")),
    "sports": lambda: leave_one_out(_amazon("amazon-sports-s3rec")),
    "ml-1m": lambda: leave_one_out(_ml_1m()),
    "ml-latest-small": lambda: temporal(_ml_latest_small()),
    "ml-100k": lambda: temporal(movielens_100k(keep="all")[0]),
    "rsc15": lambda: sessions(_clicks("train.tsv.xz"), _clicks("test.tsv.xz")),
}
"""By name; they are read when they are asked for."""

"""Compares test data with the training data: common pairs, times, users, and repeated rows."""

from __future__ import annotations

import numpy as np

from isthmus_interactions.csr import Csr, Ints, row_of_entry
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.asked_times import in_unit_of
from isthmus_interactions.ordered_histories import OrderedHistories
from isthmus_interactions.recommend.timed_protocols import PROTOCOLS
from isthmus_interactions.report import checks
from isthmus_interactions.report.checks import Check
from isthmus_interactions.vocabularies import translate

FEWEST = 5
"""Minimum number of items of a user; users with fewer may have the same items by chance."""


def checked_events(fitted: FittedRecommender, test: Interactions, split: str) -> list[Check]:
    """Compare a test with the training data.

    Args:
        fitted: the recommender.
        test: the test data as read, over their own vocabularies.
        split: the protocol of the evaluation.

    Returns:
        The results of the checks.
    """
    over = test.with_items(fitted.adapter.items, log=False)
    rows = translate(test.users, fitted.adapter.users)
    found = [_duplicates(test), checks.unknown_items(test.nnz - over.nnz, test.nnz)]
    if split in PROTOCOLS:
        told = "the evaluation runs along one clock: only events after the training data must be found"
        return [Check("time", "ok", told), *found]
    both = _overlap(fitted.interactions, over.matrix, rows)
    people = checks.trained_users(int((rows >= 0).sum()), len(rows), split)
    overlap = checks.overlap(both, test.nnz, left_out=split == "known")
    return [overlap, _time(fitted, test, rows), people, _twins(fitted, over.matrix, rows), *found]


def _overlap(trained: Csr, asked: Csr, rows: Ints) -> int:
    known = rows[row_of_entry(asked)]
    cells = known * trained.shape[1] + asked.indices
    stored = row_of_entry(trained) * trained.shape[1] + trained.indices
    return int(np.isin(cells[known >= 0], stored).sum())


def _time(fitted: FittedRecommender, test: Interactions, rows: Ints) -> Check:
    told, given = fitted.histories, _comparable(fitted.histories, test.histories)
    if told is None or told.times is None or not told.events or given is None or given.times is None:
        return checks.time_leak(0, 0, None)
    times, known = given.times, rows[given.owners()]
    ends = np.full(len(told) + 1, -np.inf)
    there = told.lengths > 0
    ends[:-1][there] = told.times[told.offsets[1:][there] - 1]
    early = times < told.times.max()
    return checks.time_leak(int(early.sum()), int((times < ends[known]).sum()), len(times))


def _comparable(told: OrderedHistories | None, given: OrderedHistories | None) -> OrderedHistories | None:
    if told is None or given is None or told.times is None or given.times is None:
        return None
    if told.unit != given.unit and (told.clock is None or given.clock is None):
        return None
    return in_unit_of(told, given)


def _twins(fitted: FittedRecommender, asked: Csr, rows: Ints) -> Check:
    """Users whose rows are the same, among those with enough items; the same user is not a twin."""
    trained: dict[bytes, list[int]] = {}
    known = np.flatnonzero(np.diff(fitted.interactions.indptr) >= FEWEST).tolist()
    for row in known:
        trained.setdefault(_items(fitted.interactions, row), []).append(row)
    usual = sum(len(alike) for alike in trained.values() if len(alike) > 1) / max(1, len(known))
    able = np.flatnonzero(np.diff(asked.indptr) >= FEWEST).tolist()
    same = sum(any(other != rows[row] for other in trained.get(_items(asked, row), ())) for row in able)
    return checks.twins(same, len(able), usual, FEWEST)


def _items(matrix: Csr, row: int) -> bytes:
    return matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]].astype(np.int32).tobytes()


def _duplicates(test: Interactions) -> Check:
    report, exact = test.report, None
    histories = test.histories
    if histories is not None and histories.times is not None:
        owners = histories.owners()
        order = np.lexsort((histories.times, histories.items, owners))
        same = [part[order][1:] == part[order][:-1] for part in (owners, histories.items, histories.times)]
        exact = int(np.logical_and.reduce(same).sum())
    return checks.duplicates(exact, report.duplicates, report.duplicates + test.nnz)

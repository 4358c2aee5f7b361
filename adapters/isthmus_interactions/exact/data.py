"""The training data after interactions were added or removed, and the changed rows of the matrix."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array

from isthmus.errors import InputError
from isthmus.vocabulary import Rows, Vocabulary
from isthmus_interactions.adapter import InteractionsAdapter
from isthmus_interactions.csr import Csr, select_rows
from isthmus_interactions.exact import splice
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.ordered_histories import OrderedHistories
from isthmus_interactions.update.merge_data import comparable_times, ids_like, merge, remembered


@dataclass(frozen=True, eq=False)
class ChangedData:
    """Training data after a change.

    Attributes:
        data: the current users and items, with their interactions.
        before: the old rows of the matrix, over the current items.
        after: the new rows.
    """

    data: Interactions
    before: Csr
    after: Csr


def interactions_of(old: FittedRecommender) -> Interactions:
    """The training data of a recommender."""
    report = remembered(old.facts, int(old.interactions.nnz))
    return Interactions(old.adapter.users, old.adapter.items, old.interactions, old.histories, report)


def with_events(old: FittedRecommender, new: Interactions) -> ChangedData:
    """The data with new interactions, merged as by ``update``; only the affected users are processed.

    Raises:
        InputError: no interactions, or ids of another kind (text instead of numbers, or the reverse).
        ValueRangeError: a sum of values does not fit in 32 bits.
    """
    users = old.adapter.users
    places = users.places(ids_like(new.users, users, "users"))
    rows = np.unique(places[places >= 0])
    part = _part(old, rows)
    fresh, known = merge(part, _timed_alike(old, new)).data, len(rows)
    before = _wide(part.interactions, len(fresh.items))
    differs = np.flatnonzero(np.diff((select_rows(fresh.matrix, np.arange(known)) - before).tocsr().indptr))
    histories = old.histories
    if histories is not None and fresh.histories is not None:
        histories = splice.histories_with(histories, rows, fresh.histories)
    everybody = users.extended(fresh.users.take(range(known, len(fresh))))
    matrix = splice.with_rows(old.interactions, rows, fresh.matrix)
    whole = Interactions(everybody, fresh.items, matrix, histories, remembered(old.facts, int(matrix.nnz)))
    after = select_rows(fresh.matrix, np.r_[differs, np.arange(known, len(fresh))])
    return ChangedData(whole, select_rows(before, differs), after)


def without_users(data: Interactions, rows: Rows) -> ChangedData:
    """The data without some users, given by their rows; items that nobody else has stay in the catalogue.

    Raises:
        InputError: no other user has an interaction.
    """
    matrix = splice.without_rows(data.matrix, rows)
    users = Vocabulary(np.delete(data.users.ids, rows))
    histories = None if data.histories is None else splice.histories_without(data.histories, rows)
    rest = _rest(replace(data, users=users, matrix=matrix, histories=histories), "these users")
    return ChangedData(rest, select_rows(data.matrix, rows), select_rows(data.matrix, rows[:0]))


def without_items(data: Interactions, rows: Rows) -> Interactions:
    """The data without some items, given by their rows. Users who had nothing else stay, without interactions.

    Raises:
        InputError: there is no interaction with another item.
    """
    items, columns = Vocabulary(np.delete(data.items.ids, rows)), np.full(len(data.items), -1)
    columns[np.delete(np.arange(len(data.items)), rows)] = np.arange(len(items))
    histories = None if data.histories is None else data.histories.renumbered(columns)
    matrix = splice.without_columns(data.matrix, rows)
    return _rest(replace(data, items=items, matrix=matrix, histories=histories), "these items")


def _rest(data: Interactions, what: str) -> Interactions:
    if not data.nnz:
        raise InputError(
            f"no interaction is left without {what}",
            expected="some to keep",
            remedy="delete the bundle if everything is to be forgotten",
        )
    return replace(data, report=replace(data.report, rows_read=data.nnz))


def _part(old: FittedRecommender, rows: Rows) -> FittedRecommender:
    """The recommender restricted to some users."""
    users = Vocabulary(old.adapter.users.ids[rows])
    histories = None if old.histories is None else old.histories.take(rows)
    adapter = InteractionsAdapter(old.adapter.items, users)
    return replace(old, adapter=adapter, interactions=select_rows(old.interactions, rows), histories=histories)


def _timed_alike(old: FittedRecommender, new: Interactions) -> Interactions:
    """The new interactions, without times if these are not comparable with those of all users."""
    before, later = old.histories, new.histories
    if before is None or later is None or before.times is None or comparable_times(before, later):
        return new
    return replace(new, histories=OrderedHistories(later.offsets, later.items))


def _wide(matrix: Csr, width: int) -> Csr:
    wide: Csr = csr_array((matrix.data, matrix.indices, matrix.indptr), shape=(matrix.shape[0], width))
    wide.has_sorted_indices = wide.has_canonical_format = True
    return wide

"""How a recommender is tested: from data of any kind to histories and what is to be found.

- ``"users"``, strong generalisation: of each user, a random share of the items is hidden; the others are the history.
  For users who were not trained on.
- ``"known"``, weak generalisation: the history of each user is what they have in the training data; what the test data
  add to it is to be found. For later interactions, or for a random part that was held out of each history.
- ``"last"``, leave-last-out: the latest item of each user is to be found; the history is what came before it, in the
  test data and, for users of the training data, in those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from isthmus.errors import InputError, SettingError
from isthmus.plugins import closest
from isthmus.reprs import counted
from isthmus_interactions.csr import Csr, places_in_rows, row_of_entry, select_rows, stored_where
from isthmus_interactions.files.read_like import read_like
from isthmus_interactions.files.reading import Reading
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.ordered_histories import OrderedHistories
from isthmus_interactions.sequences import reads_order
from isthmus_interactions.splits import FoldIn, aligned, hide
from isthmus_interactions.vocabularies import translate

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AskedFold:
    """Who is asked, for what, and how that came about.

    Attributes:
        fold: histories and what is to be found.
        split: the name of the protocol; empty for a fold that was given.
        protocol: the same in a sentence.
        remarks: what was left out, and what a reader of the scores should know beside.
    """

    fold: FoldIn
    split: str
    protocol: str
    remarks: tuple[str, ...]


def asked_fold(
    fitted: FittedRecommender, test: Any, split: str | None, share: float, seed: int, **reading: Unpack[Reading]
) -> AskedFold:
    """Who is asked, and for what. Raises what ``Recommender.evaluate`` raises.

    Args:
        fitted: what is tested.
        test: a fold, interactions, or whatever ``Interactions.read`` takes.
        split: "users", "known" or "last"; None to choose between the first two.
        share: of each user's items that "users" hides.
        seed: of the choice of hidden items.
        reading: how to read ``test``, where otherwise than the training data.

    Returns:
        The fold over the catalogue of ``fitted``.
    """
    if isinstance(test, FoldIn):
        if split is not None or reading:
            raise SettingError("split= or columns for a fold", expected="data that are not split yet")
        return AskedFold(test, "", "a fold that was given", ())
    if split is not None and split not in SPLITS:
        raise SettingError(
            f"split {split!r}",
            expected="'users' (strong generalisation), 'known' (weak) or 'last' (leave-last-out)",
            remedy=closest(split, SPLITS),
        )
    if not 0 < share < 1:
        raise SettingError(f"hide={share}", expected="a share between 0 and 1", option="see --hide")
    in_order = reads_order(fitted.model)
    told: Reading = {"ordered": in_order, **reading}
    data = read_like(fitted, test, timed=in_order or split == "last", **told)
    over = data.with_items(fitted.adapter.items, log=False)
    _check_items(fitted, data, over)
    case = _Case(fitted, over, translate(data.users, fitted.adapter.users), share, seed)
    chosen = split or case.fitting()
    fold, protocol, remarks = SPLITS[chosen](case)
    everything = (*case.why(split, chosen), *_unknown_items(data, over), *remarks)
    return AskedFold(fold, chosen, protocol, tuple(remark for remark in everything if remark))


@dataclass(frozen=True, eq=False)
class _Case:
    """Test data over the catalogue, and the row of each of their users in the training data, or -1."""

    fitted: FittedRecommender
    data: Interactions
    rows: Rows
    share: float
    seed: int

    def trained(self, users: Rows) -> Csr:
        """What some users, by their row in ``data``, have in the training data; nothing for those who are not there."""
        rows = self.rows[users]
        known = self.fitted.interactions[np.maximum(rows, 0)]
        return stored_where(known, (rows >= 0)[row_of_entry(known)])

    def trained_events(self, users: Rows) -> OrderedHistories | None:
        """The same in order, where it is known."""
        events = self.fitted.histories
        return None if events is None else events.take(self.rows[users])

    def new_to(self, users: Rows) -> Csr:
        """What some users have in ``data`` and not in the training data."""
        matrix, trained = select_rows(self.data.matrix, users), self.trained(users)
        new: Csr = (matrix - matrix.multiply(trained.astype(bool))).tocsr()
        new.eliminate_zeros()
        new.sort_indices()
        return new

    def fitting(self) -> str:
        """The protocol that the data suggest."""
        known = np.flatnonzero(self.rows >= 0)
        return "known" if 2 * len(known) >= len(self.rows) and self.new_to(known).nnz else "users"

    def why(self, asked: str | None, chosen: str) -> tuple[str, ...]:
        """Why a protocol was chosen that nobody named."""
        if asked is not None:
            return ()
        known = int((self.rows >= 0).sum())
        return (f"split '{chosen}' was chosen: {known:,} of {len(self.rows):,} users are in the training data",)


_Made = tuple[FoldIn, str, tuple[str, ...]]


def _users(case: _Case) -> _Made:
    data, known = case.data, int((case.rows >= 0).sum())
    fold = hide(data, case.share, np.random.default_rng(case.seed))
    few = len(data) - len(fold)
    return (
        fold,
        f"strong generalisation: of each user, {case.share:.0%} of the items are hidden, the others are the history",
        (
            _counted(known, "user was", "users were", "trained on: the scores of such users are too high"),
            _counted(few, "user has", "users have", "too few known items to hide one, and cannot be asked"),
        ),
    )


def _known(case: _Case) -> _Made:
    known = np.flatnonzero(case.rows >= 0)
    if not len(known):
        raise InputError(
            "nobody in the test data is in the training data",
            expected="users of the training data",
            remedy="for new users there is split='users'",
            option="for new users there is --split users",
        )
    new = case.new_to(known)
    if not new.nnz:
        raise InputError(
            "nothing in the test data is new to the users of the training data",
            expected="interactions that were not trained on",
            remedy="for new users there is split='users'",
            option="for new users there is --split users",
        )
    history, users = case.trained(known), case.data.select_users(known).users
    fold = aligned(history, new, users, case.trained_events(known))
    repeated = case.data.select_users(known).nnz - new.nnz
    return (
        fold,
        "weak generalisation: the history of each user is what was trained on, and what is new is to be found",
        (
            _counted(len(case.data) - len(known), "user is", "users are", "not in the training data: left out"),
            _counted(repeated, "interaction was", "interactions were", "trained on: not asked for"),
            _counted(len(known) - len(fold), "known user has", "known users have", "nothing new, and cannot be asked"),
        ),
    )


def _last(case: _Case) -> _Made:
    data, everybody = case.data, np.arange(len(case.data))
    if data.histories is None:
        raise InputError(
            "test data without times",
            expected="a column that says when",
            remedy="name it with time=NAME, or say ordered=True of rows that are in order",
            option="name it with --time NAME, or say --ordered of rows that are in order",
        )
    latest = data.histories.last_places(data.matrix)
    last = places_in_rows(data.matrix, latest) == np.diff(data.matrix.indptr)[row_of_entry(data.matrix)] - 1
    earlier, wanted = stored_where(data.matrix, ~last), stored_where(data.matrix, last)
    trained = case.trained(everybody)
    repeated = wanted.multiply(trained.astype(bool)).nnz
    history = earlier.maximum(trained).tocsr()
    history.sort_indices()
    asked = (wanted - wanted.multiply(history.astype(bool))).tocsr()
    asked = stored_where(asked, (asked.data > 0) & (np.diff(history.indptr) > 0)[row_of_entry(asked)])
    fold = aligned(history, asked, data.users, _events_before(case, earlier))
    few = len(data) - len(fold) - repeated
    return (
        fold,
        "leave-last-out: the latest item of each user is to be found, what came before is the history",
        (
            _counted(repeated, "latest item was", "latest items were", "trained on: not asked for"),
            _counted(few, "user has", "users have", "nothing before the latest known item, and cannot be asked"),
        ),
    )


def _events_before(case: _Case, earlier: Csr) -> OrderedHistories | None:
    """The events behind a history, those of the training first."""
    data, everybody = case.data, np.arange(len(case.data))
    assert data.histories is not None
    before, trained = data.histories.inside(earlier), case.trained_events(everybody)
    if trained is None:
        return before if (case.rows < 0).all() else None
    columns = np.arange(earlier.shape[1])
    return trained.followed_by(before, everybody, columns, len(data), timed=False)


SPLITS: Mapping[str, Callable[[_Case], _Made]] = MappingProxyType({"users": _users, "known": _known, "last": _last})
"""The protocols, by name."""


def _check_items(fitted: FittedRecommender, data: Interactions, over: Interactions) -> None:
    if not over.nnz:
        known = ", ".join(map(repr, fitted.adapter.items.take(range(min(3, len(fitted.adapter.items))))))
        given = ", ".join(map(repr, data.items.take(range(min(3, len(data.items))))))
        raise InputError(
            f"none of the {len(data.items):,} items of the test data, such as {given}, is in the catalogue",
            expected=f"items of the training data, such as {known}",
        )


def _unknown_items(data: Interactions, over: Interactions) -> tuple[str, ...]:
    lost = data.nnz - over.nnz
    items = len(np.unique(data.matrix.indices)) - len(np.unique(over.matrix.indices))
    which = f"with {counted(items, 'item')} that the catalogue does not hold: left out"
    return (_counted(lost, "interaction is", "interactions are", which),)


def _counted(count: int, one: str, many: str, what: str) -> str:
    """A remark about a number of things; empty for none."""
    return f"{count:,} {one if count == 1 else many} {what}" if count else ""

"""Evaluation protocols of a recommender: from any data to histories and items to find.

- ``"users"``, strong generalisation: for users who were not trained on. A random share of each user's items is hidden;
  the others are the history.
- ``"known"``, weak generalisation: the history of each user is the training data, and the new items in the test data
  must be found. For later interactions, or for a random part that was held out of each history.
- ``"temporal"`` and ``"sessions"``, see ``timed_protocols``: what happened after one moment for all users.
- ``"last"``, leave-last-out: the most recent item of each user must be found; the history consists of the earlier items
  in the test data and, for users of the training data, in the training data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from isthmus.checked.arguments import checked_seed, real
from isthmus.errors import InputError, SettingError
from isthmus.plugins import closest
from isthmus.reprs import counted, one_line
from isthmus.tasks.evaluation import SEEN
from isthmus_interactions.csr import Csr, places_in_rows, row_of_entry, select_rows, stored_where
from isthmus_interactions.files.read_like import read_like
from isthmus_interactions.files.reading import Reading
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.inputs import reads_of
from isthmus_interactions.ordered_histories import OrderedHistories
from isthmus_interactions.recommend.timed_protocols import PROTOCOLS, clocked
from isthmus_interactions.splits import FoldIn, aligned, hide
from isthmus_interactions.vocabularies import translate

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class AskedFold:
    """Histories and items to find, and where they come from.

    Attributes:
        fold: histories and items to find.
        split: name of the protocol; empty for a given fold.
        protocol: description of the protocol.
        remarks: what was left out, and other remarks on the scores.
        seen: whether items of the history are "masked" or "kept".
        apart: events to find of users who are new after the cut of a temporal split, if they are kept separate.
    """

    fold: FoldIn
    split: str
    protocol: str
    remarks: tuple[str, ...]
    seen: str
    apart: FoldIn | None = None


@dataclass(frozen=True)
class Protocol:
    """How a recommender is evaluated; see ``Recommender.evaluate``."""

    split: str | None = None
    hide: float = 0.2
    seed: int = 0
    at: Any = None
    target: str | None = None
    seen: str | None = None

    @property
    def seen_items(self) -> str:
        """Whether they are "masked" or "kept": by default kept for sessions, in which items are repeated.

        Raises:
            SettingError: anything else.
        """
        if self.seen is not None and not (isinstance(self.seen, str) and self.seen in SEEN):
            raise SettingError(f"seen={one_line(repr(self.seen))}", expected="'masked' or 'kept'")
        return self.seen or ("kept" if isinstance(self.split, str) and self.split == "sessions" else "masked")

    def check(self) -> None:
        """Check that the options are consistent. Raises SettingError."""
        named = sorted({*SPLITS, *ALIASES, *PROTOCOLS})
        if self.split is not None and not (isinstance(self.split, str) and self.split in named):
            raise SettingError(
                f"split {one_line(repr(self.split))}",
                expected="'users' (strong generalisation), 'known' (weak), 'last' or 'leave-last-out', 'temporal' or "
                "'sessions'",
                remedy=closest(self.split, named),
            )
        odd = [name for name in ("at", "target") if getattr(self, name) is not None]
        if odd and self.split not in PROTOCOLS:
            told = " and ".join(f"{name}=" for name in odd)
            raise SettingError(f"{told} for split {self.split!r}", expected="split='temporal' or split='sessions'")


def asked_fold(fitted: FittedRecommender, test: Any, asked: Protocol, **reading: Unpack[Reading]) -> AskedFold:
    """Prepare an evaluation. Raises the errors of ``Recommender.evaluate``.

    Args:
        fitted: the recommender to evaluate.
        test: a fold, interactions, or anything that ``Interactions.read`` accepts.
        asked: how it is evaluated; without a split one is chosen.
        reading: how to read ``test`` if it differs from the training data.

    Returns:
        The fold over the catalogue of ``fitted``.
    """
    seen = asked.seen_items
    if isinstance(test, FoldIn):
        if asked.split is not None or asked.at is not None or asked.target is not None or reading:
            raise SettingError("split= or columns for a fold", expected="data that are not a fold")
        return AskedFold(test, "", "given fold", (), seen)
    asked.check()
    split = "" if asked.split is None else ALIASES.get(asked.split, asked.split)
    share, seed = real("hide", asked.hide, "a share between 0 and 1"), checked_seed(asked.seed)
    if not 0 < share < 1:
        raise SettingError(f"hide={share}", expected="a share between 0 and 1", option="see --hide")
    in_order = reads_of(fitted.model).order or split in PROTOCOLS
    told: Reading = reading if isinstance(test, Interactions) else {"ordered": in_order, **reading}
    data = read_like(fitted, test, timed=in_order or split == "last", **told)
    over = data.with_items(fitted.adapter.items, log=False)
    _check_items(fitted, data, over)
    if split in PROTOCOLS:
        usual = "successive" if PROTOCOLS[split] else "last"
        target = usual if asked.target is None else asked.target
        timed = clocked(fitted, data, asked.at, target, seen, sessions=PROTOCOLS[split])
        return AskedFold(timed.fold, split, timed.protocol, timed.remarks, seen, timed.apart)
    case = _Case(fitted, over, translate(data.users, fitted.adapter.users), share, seed)
    chosen = split or case.fitting()
    fold, protocol, remarks = SPLITS[chosen](case)
    everything = (*case.why(asked.split, chosen), *_unknown_items(data, over), *remarks)
    return AskedFold(fold, chosen, protocol, tuple(remark for remark in everything if remark), seen)


@dataclass(frozen=True, eq=False)
class _Case:
    """Test data over the catalogue, and the row of each of their users in the training data, or -1."""

    fitted: FittedRecommender
    data: Interactions
    rows: Rows
    share: float
    seed: int

    def trained(self, users: Rows) -> Csr:
        """Training interactions of some users, given by their row in ``data``; empty for users who are not there."""
        rows = self.rows[users]
        known = self.fitted.interactions[np.maximum(rows, 0)]
        return stored_where(known, (rows >= 0)[row_of_entry(known)])

    def trained_events(self, users: Rows) -> OrderedHistories | None:
        """The same in order, if known."""
        events = self.fitted.histories
        return None if events is None else events.take(self.rows[users])

    def new_to(self, users: Rows) -> Csr:
        """Interactions of some users in ``data`` that are not in the training data."""
        matrix, trained = select_rows(self.data.matrix, users), self.trained(users)
        new: Csr = (matrix - matrix.multiply(trained.astype(bool))).tocsr()
        new.eliminate_zeros()
        new.sort_indices()
        return new

    def fitting(self) -> str:
        """The protocol that fits the data."""
        known = np.flatnonzero(self.rows >= 0)
        return "known" if 2 * len(known) >= len(self.rows) and self.new_to(known).nnz else "users"

    def why(self, asked: str | None, chosen: str) -> tuple[str, ...]:
        """The reason for a protocol that was chosen by default."""
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
        f"strong generalisation: of each user, {case.share:.0%} of the items are hidden, the rest is the history",
        (
            _counted(known, "user was", "users were", "trained on, so their scores are too high"),
            _counted(few, "user has", "users have", "too few known items to hide one and cannot be evaluated"),
        ),
    )


def _known(case: _Case) -> _Made:
    known = np.flatnonzero(case.rows >= 0)
    if not len(known):
        raise InputError(
            "no user of the test data is in the training data",
            expected="users of the training data",
            remedy="for new users use split='users'",
            option="for new users use --split users",
        )
    new = case.new_to(known)
    if not new.nnz:
        raise InputError(
            "the test data contain no new interactions of the users of the training data",
            expected="interactions that were not trained on",
            remedy="for new users use split='users'",
            option="for new users use --split users",
        )
    history, users = case.trained(known), case.data.select_users(known).users
    fold = aligned(history, new, users, case.trained_events(known))
    repeated = case.data.select_users(known).nnz - new.nnz
    return (
        fold,
        "weak generalisation: the training data of each user are the history, and new items must be found",
        (
            _counted(len(case.data) - len(known), "user is", "users are", "not in the training data and left out"),
            _counted(repeated, "interaction was", "interactions were", "trained on and left out"),
            _counted(
                len(known) - len(fold), "known user has", "known users have", "no new items and cannot be evaluated"
            ),
        ),
    )


def _last(case: _Case) -> _Made:
    data, everybody = case.data, np.arange(len(case.data))
    if data.histories is None:
        raise InputError(
            "test data without times",
            expected="a column of times",
            remedy="name it with time=NAME, or pass ordered=True if the rows are in order",
            option="name it with --time NAME, or pass --ordered if the rows are in order",
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
        "leave-last-out: the most recent item of each user must be found, and the earlier ones are the history",
        (
            _counted(repeated, "most recent item was", "most recent items were", "trained on and left out"),
            _counted(few, "user has", "users have", "no item before the most recent known one and cannot be evaluated"),
        ),
    )


def _events_before(case: _Case, earlier: Csr) -> OrderedHistories | None:
    """The events behind a history, those of the training data first."""
    data, everybody = case.data, np.arange(len(case.data))
    assert data.histories is not None
    before, trained = data.histories.inside(earlier), case.trained_events(everybody)
    if trained is None:
        return before if (case.rows < 0).all() else None
    columns = np.arange(earlier.shape[1])
    return trained.followed_by(before, everybody, columns, len(data), timed=False)


SPLITS: Mapping[str, Callable[[_Case], _Made]] = MappingProxyType({"users": _users, "known": _known, "last": _last})
"""The protocols by name; those along a clock are in ``timed_protocols``."""

ALIASES: Mapping[str, str] = MappingProxyType({"leave-last-out": "last", "leave_last_out": "last"})
"""Other names of protocols."""


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
    which = f"with {counted(items, 'unknown item')} and left out"
    return (_counted(lost, "interaction is", "interactions are", which),)


def _counted(count: int, one: str, many: str, what: str) -> str:
    """A remark about a number of things; empty for 0."""
    return f"{count:,} {one if count == 1 else many} {what}" if count else ""

"""Training, validation and test data: ways to split interactions without a clock, each reproducible by its seed.

``order.temporal`` and ``order.sessions`` split along time.

All splits have the same form. A model is trained on ``train``; it then receives the ``history`` of some users and has
to find the ``held_out`` items. Both refer to the items of ``train``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from isthmus.checked.arguments import whole
from isthmus.errors import ColumnError, InputError, SettingError
from isthmus.ids import Id
from isthmus.reprs import brief, counted, described
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.csr import Csr, csr_of, places_in_rows, row_of_entry, select_rows, stored_where
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.ordered_histories import OrderedHistories
from isthmus_interactions.vocabularies import translate

logger = logging.getLogger(__name__)

Mask = npt.NDArray[np.bool_]
MOST_HELD_OUT = 10_000


@dataclass(frozen=True, eq=False, repr=False)
class FoldIn:
    """Users to evaluate on; each has at least one held-out item.

    Attributes:
        history: items that the model receives, shape (users, items).
        held_out: items that it should find, same shape.
        users: the users, one for each row.
        ordered: the events behind ``history`` in order, with times if known; None if the order is unknown.
        at: moment of a temporal split, in the unit of the times: all training events are before it. None for other
            splits.
    """

    history: Csr
    held_out: Csr
    users: list[Id]
    ordered: OrderedHistories | None = None
    at: float | int | None = None

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        asked = f"{counted(int(self.held_out.nnz), 'interaction')} held out, {self.history.nnz:,} given"
        return described(self, f"{counted(len(self), 'user')}, {counted(self.history.shape[1], 'item')}, {asked}")


@brief
@dataclass(frozen=True, eq=False)
class Split:
    """Training data, a fold for choosing a model (or None), and a fold for evaluation."""

    train: Interactions
    validation: FoldIn | None
    test: FoldIn


def strong(
    interactions: Interactions, *, held_out: int | None = None, fold_in: float = 0.8, min_items: int = 5, seed: int = 0
) -> Split:
    """Strong generalisation: evaluate on users who are not in the training data (Liang et al., WWW 2018, section 4.1).

    Users with fewer than ``min_items`` items are left out. The others are shuffled; ``held_out`` of them are used for
    validation and as many for test. Only items of the training users are kept. Of each held-out user's n items,
    ``floor((1 - fold_in) n)`` random ones are hidden; users without a hidden item (by default those with fewer than
    five remaining items) are not evaluated.

    Args:
        interactions: all data.
        held_out: number of users for validation, and again for test; by default a tenth, at most 10,000.
        fold_in: share of a held-out user's items that the model receives.
        min_items: users with fewer items are left out.
        seed: seed of this split.

    Returns:
        Training data, and folds for validation and test over the items of the training data.

    Raises:
        SettingError: a share outside 0 to 1, or too few users or items.
    """
    _check_share("fold_in", fold_in)
    generator = np.random.default_rng(seed)
    users = interactions.select_users(np.flatnonzero(np.diff(interactions.matrix.indptr) >= min_items))
    count = min(MOST_HELD_OUT, max(1, len(users) // 10)) if held_out is None else held_out
    if count < 1 or len(users) <= 2 * count:
        raise SettingError(
            f"{count:,} users for validation and for test, of {len(users):,} with {min_items} items or more",
            expected="at least 1 each, and users left to train on",
            remedy="hold out fewer users, or lower min_items",
        )
    order = generator.permutation(len(users))
    train = users.select_users(np.sort(order[: -2 * count]))
    items = np.flatnonzero(np.bincount(train.matrix.indices, minlength=len(train.items)))
    groups = (order[-2 * count : -count], order[-count:])
    asked = [users.select_users(np.sort(group)).select_items(items) for group in groups]
    validation, test = (hide(part, 1 - fold_in, generator) for part in asked)
    return Split(train.select_items(items), validation, test)


def weak(
    interactions: Interactions, *, test: float = 0.2, validation: float = 0.0, least: int = 0, seed: int = 0
) -> Split:
    """Weak generalisation: a random share of each user's items is held out; the rest is both training data and history.

    Of a user's n items, ``floor(test n)`` are used for test and ``floor(validation n)`` for validation; all users and
    items stay in the vocabularies of the training data. Users with fewer than ``1 / test`` items are then not asked
    about: where most are like that, ``least=1`` keeps the split from judging long histories alone.

    Args:
        interactions: all data.
        test: share of each user's items for test.
        validation: share of each user's items for validation; 0 for no validation.
        least: items of each user for test at least, and as many for validation if there is one, where that leaves an
            item for training.
        seed: seed of this split.

    Returns:
        Training data, and folds for validation (or None) and test.

    Raises:
        SettingError: shares outside 0 to 1, with a sum of 1 or more, or too small to hold out anything, or ``least``
            that is no whole number or negative.
    """
    _check_share("test", test)
    if not 0 <= validation < 1 - test:
        raise SettingError(f"validation={validation}", expected=f"at least 0 and less than {1 - test:g}")
    least = whole("least", least)
    matrix = interactions.matrix
    place = places_in_rows(matrix, np.random.default_rng(seed).random(matrix.nnz))
    counts = np.diff(matrix.indptr)
    held = np.stack([_floor(share * counts) for share in ((test, validation) if validation else (test,))])
    more = np.maximum(held, least)
    places = np.cumsum(np.where(more.sum(0) < counts, more, held), axis=0)[:, row_of_entry(matrix)]
    until_test, until_validation = places[0], places[-1]
    between = (place >= until_test) & (place < until_validation)
    return _parted(interactions, place < until_test, between if validation else None)


def leave_last_out(interactions: Interactions, *, validation: bool = True) -> Split:
    """Use the most recent item of each user for test and the one before it for validation; the rest is training data.

    A history is everything before the item that is to be found: that of the test includes the validation item, as in
    published figures, although no model was trained on it.

    Equal times are ordered by item row; if only an order is known, the last event is the most recent. Users with fewer
    than three items (two without validation) are only used for training.

    Raises:
        ColumnError: the interactions have no times.
        SettingError: no user has enough items.
    """
    if interactions.histories is None:
        raise ColumnError(
            "the interactions have no times",
            expected="a column of times",
            remedy="name it with time=NAME, pass ordered=True if the rows are in order, or use weak()",
            option="name it with --time NAME, or pass --ordered if the rows are in order",
        )
    matrix, times = interactions.matrix, interactions.times
    latest = interactions.histories.last_places(matrix) if times is None else times
    counts = np.diff(matrix.indptr)[row_of_entry(matrix)]
    from_last = counts - 1 - places_in_rows(matrix, latest)
    enough = counts >= (3 if validation else 2)
    last, before = enough & (from_last == 0), enough & (from_last == 1)
    return _parted(interactions, last, before if validation else None, in_order=True)


def from_files(
    train: object,
    validation: object | None,
    test: object,
    *,
    validation_history: object | None = None,
    test_history: object | None = None,
    **options: Any,
) -> Split:
    """A published split, or one of your own.

    Each argument is anything that ``Interactions.read`` accepts, or ``Interactions``. The rule for values is determined
    from the training data and applied to all. Items that are not in the training data are dropped.

    Args:
        train: training data.
        validation: items to find in validation, or None.
        test: items to find in the test.
        validation_history: histories of the users of ``validation``; by default their training data.
        test_history: the same for ``test``.
        options: columns, ``keep`` and ``weights`` for ``Interactions.read``.

    Returns:
        The split over the items of ``train``.

    Raises:
        SettingError: no held-out item is left.
        InputError: as raised by ``Interactions.read``.
    """
    known = _read(train, options)
    if options.get("keep") is None:
        options["keep"] = known.report.keep

    def asked(held_out: object, history: object | None) -> FoldIn:
        given = known if history is None else _read(history, options).with_items(known.items)
        hidden = _read(held_out, options).with_items(known.items)
        history, ordered = _rows_of(given, hidden.users)
        return aligned(history, hidden.matrix, hidden.users, ordered)

    return Split(
        known, None if validation is None else asked(validation, validation_history), asked(test, test_history)
    )


def aligned(history: Csr, held_out: Csr, users: Vocabulary, ordered: OrderedHistories | None = None) -> FoldIn:
    """A fold of matching rows, without users who have no held-out item.

    Args:
        history: items that a model receives, shape (users, items).
        held_out: items that it should find, same shape.
        users: the users, one for each row.
        ordered: events of the same users; events that are not in ``history`` are left out.

    Returns:
        The users with held-out items.

    Raises:
        InputError: the shapes differ.
        SettingError: no user has a held-out item.
    """
    if not history.shape == held_out.shape or history.shape[0] != len(users):
        raise InputError(f"shapes {history.shape}, {held_out.shape} and {len(users)} users", expected="matching shapes")
    rows = np.flatnonzero(np.diff(held_out.indptr))
    if not len(rows):
        raise SettingError(
            "no item is held out", expected="users with enough items", remedy="hold out a larger share, or more users"
        )
    if len(rows) < len(users):
        logger.info("%s of %s users have no held-out item and are not evaluated", len(users) - len(rows), len(users))
    known = select_rows(history, rows)
    events = None if ordered is None else ordered.take(rows).inside(known)
    return FoldIn(known, select_rows(held_out, rows), users.take(rows), events)


def _parted(interactions: Interactions, test: Mask, validation: Mask | None, *, in_order: bool = False) -> Split:
    """What is held out, and the rest to train on.

    Args:
        interactions: of all users.
        test: entries to find in the test.
        validation: entries to find in validation.
        in_order: whether validation items come before test items, so that they are part of the test histories.
    """
    train = interactions.select_entries(~test if validation is None else ~(test | validation))

    def asked(mask: Mask, known: Interactions) -> FoldIn:
        return aligned(known.matrix, stored_where(interactions.matrix, mask), interactions.users, known.histories)

    before = interactions.select_entries(~test) if in_order and validation is not None else train
    return Split(train, None if validation is None else asked(validation, train), asked(test, before))


def hide(part: Interactions, share: float, generator: np.random.Generator) -> FoldIn:
    """Hide ``floor(share n)`` random items of each user's n items; users without a hidden item are left out.

    Args:
        part: interactions of the users to evaluate.
        share: share of each user's items, from 0 to 1.
        generator: generator for the choice of hidden items.

    Returns:
        Histories and hidden items.

    Raises:
        SettingError: nothing is hidden.
    """
    matrix = part.matrix
    hidden = _floor(share * np.diff(matrix.indptr))[row_of_entry(matrix)]
    mask = places_in_rows(matrix, generator.random(matrix.nnz)) < hidden
    return aligned(stored_where(matrix, ~mask), stored_where(matrix, mask), part.users, part.histories)


def _floor(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    # 0.2 * 5 and (1 - 0.8) * 5 must both be 1.
    return np.floor(counts + 1e-9).astype(np.int64)


def _rows_of(given: Interactions, users: Vocabulary) -> tuple[Csr, OrderedHistories | None]:
    """The rows and events of ``users`` in ``given``, empty for users that it does not contain."""
    rows = translate(users, given.users)
    known = np.flatnonzero(rows >= 0)
    part = select_rows(given.matrix, rows[known])
    matrix = csr_of(known[row_of_entry(part)], part.indices, part.data, (len(users), part.shape[1]))
    return matrix, None if given.histories is None else given.histories.take(rows)


def _read(source: object, options: dict[str, Any]) -> Interactions:
    return source if isinstance(source, Interactions) else Interactions.read(source, **options)


def _check_share(name: str, share: float) -> None:
    if not 0 < share < 1:
        raise SettingError(f"{name}={share}", expected="a share between 0 and 1")

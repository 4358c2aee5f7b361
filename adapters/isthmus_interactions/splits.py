"""Training, validation and test: four ways to split interactions, each reproducible by its seed.

Every split has the same form: a model is trained on ``train``, then given the ``history`` of some users and asked for
what was ``held_out``. History and held-out items are over the items of ``train``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from isthmus.errors import ColumnError, InputError, SettingError
from isthmus.reprs import brief, counted, described
from isthmus.vocabulary import Id, Vocabulary
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
        history: what a model is given, shape (users, items).
        held_out: what it is asked for, same shape.
        users: whose rows they are.
        ordered: the events behind ``history`` in order, for models of sequences; None where the order is not known.
    """

    history: Csr
    held_out: Csr
    users: list[Id]
    ordered: OrderedHistories | None = None

    def __len__(self) -> int:
        return len(self.users)

    def __repr__(self) -> str:
        asked = f"{counted(int(self.held_out.nnz), 'interaction')} held out, {self.history.nnz:,} given"
        return described(self, f"{counted(len(self), 'user')}, {counted(self.history.shape[1], 'item')}, {asked}")


@brief
@dataclass(frozen=True, eq=False)
class Split:
    """What to train on, what to choose a model by (or None), and what to evaluate it on."""

    train: Interactions
    validation: FoldIn | None
    test: FoldIn


def strong(
    interactions: Interactions, *, held_out: int | None = None, fold_in: float = 0.8, min_items: int = 5, seed: int = 0
) -> Split:
    """Strong generalisation: the users asked about are not in the training data (Liang et al., WWW 2018, section 4.1).

    Users with fewer than ``min_items`` items are left out. The others are shuffled; ``held_out`` are for validation
    and as many for test. Items are those of the training users: other items of the held-out users are dropped. Of
    each held-out user's n items, ``floor((1 - fold_in) n)`` random ones are hidden; users with none hidden (with
    four fifths, users with fewer than five items left) are not asked about.

    Args:
        interactions: the whole data.
        held_out: users for validation, and again for test; by default a tenth, at most 10,000.
        fold_in: the share of a held-out user's items that the model is given.
        min_items: users with fewer items are left out.
        seed: of a generator that only this split uses.

    Returns:
        Training data, and a fold for validation and for test, over the items of the training data.

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


def weak(interactions: Interactions, *, test: float = 0.2, validation: float = 0.0, seed: int = 0) -> Split:
    """Weak generalisation: a random share of each user's items is held out, the rest is both training and history.

    Of a user's n items, ``floor(test n)`` go to the test and ``floor(validation n)`` to the validation; all users
    and items stay in the training data's vocabularies.

    Args:
        interactions: the whole data.
        test: the share of each user's items to test with.
        validation: the share of each user's items to validate with; 0 for no validation.
        seed: of a generator that only this split uses.

    Returns:
        Training data, and a fold for validation (or None) and for test.

    Raises:
        SettingError: shares outside 0 to 1, together 1 or more, or too small to hold out anything.
    """
    _check_share("test", test)
    if not 0 <= validation < 1 - test:
        raise SettingError(f"validation={validation}", expected=f"at least 0 and less than {1 - test:g}")
    matrix = interactions.matrix
    place = places_in_rows(matrix, np.random.default_rng(seed).random(matrix.nnz))
    counts = np.diff(matrix.indptr)
    tested = _floor(test * counts)
    owners = row_of_entry(matrix)
    until_test, until_validation = tested[owners], (tested + _floor(validation * counts))[owners]
    validated = (place >= until_test) & (place < until_validation)
    return _parted(interactions, place < until_test, validated if validation else None)


def leave_last_out(interactions: Interactions, *, validation: bool = True) -> Split:
    """The latest item of each user is the test and the one before it the validation; the rest is training and history.

    Equal times are ordered by item row; where only an order is known, the last event is the latest. Users with fewer
    than three items (two without validation) only train.

    Raises:
        ColumnError: the interactions have no times.
        SettingError: no user has enough items.
    """
    if interactions.histories is None:
        raise ColumnError(
            "the interactions have no times",
            expected="a column that says when",
            remedy="name it with time=NAME, read rows that are in order with ordered=True, or split by weak()",
            option="name it with --time NAME, or say --ordered of rows that are in order",
        )
    matrix, times = interactions.matrix, interactions.times
    latest = interactions.histories.last_places(matrix) if times is None else times
    counts = np.diff(matrix.indptr)[row_of_entry(matrix)]
    from_last = counts - 1 - places_in_rows(matrix, latest)
    enough = counts >= (3 if validation else 2)
    return _parted(interactions, enough & (from_last == 0), enough & (from_last == 1) if validation else None)


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

    Each argument is whatever ``Interactions.read`` reads, or ``Interactions``. The rule for values is decided by the
    training file and used for all. Items that it does not hold are dropped from the others.

    Args:
        train: what to train on.
        validation: the items to ask for, or None.
        test: the items to ask for.
        validation_history: what the model is given of the users of ``validation``; by default their training rows.
        test_history: the same for ``test``.
        options: columns, ``keep`` and ``weights`` for ``Interactions.read``.

    Returns:
        The same split over the items of ``train``.

    Raises:
        SettingError: no held-out item is left.
        InputError: as ``Interactions.read`` does.
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
    """A fold of rows that already match; users without a held-out item are left out.

    Args:
        history: what a model is given, shape (users, items).
        held_out: what it is asked for, same shape.
        users: whose rows they are.
        ordered: of the same users; events that ``history`` does not hold are left out.

    Returns:
        The users with something held out.

    Raises:
        InputError: the shapes differ.
        SettingError: no user has a held-out item.
    """
    if not history.shape == held_out.shape or history.shape[0] != len(users):
        raise InputError(f"shapes {history.shape}, {held_out.shape} and {len(users)} users", expected="equal ones")
    rows = np.flatnonzero(np.diff(held_out.indptr))
    if not len(rows):
        raise SettingError(
            "nothing is held out", expected="users with enough items", remedy="hold out a larger share, or more users"
        )
    if len(rows) < len(users):
        logger.info("%s of %s users have no held-out item and are not asked about", len(users) - len(rows), len(users))
    known = select_rows(history, rows)
    events = None if ordered is None else ordered.take(rows).inside(known)
    return FoldIn(known, select_rows(held_out, rows), users.take(rows), events)


def _parted(interactions: Interactions, test: Mask, validation: Mask | None) -> Split:
    train = interactions.select_entries(~test if validation is None else ~(test | validation))

    def asked(mask: Mask) -> FoldIn:
        return aligned(train.matrix, stored_where(interactions.matrix, mask), interactions.users, train.histories)

    return Split(train, None if validation is None else asked(validation), asked(test))


def hide(part: Interactions, share: float, generator: np.random.Generator) -> FoldIn:
    """Hide ``floor(share n)`` random ones of each user's n items; users with none hidden are left out.

    Args:
        part: interactions of the users to ask about.
        share: of each user's items, from 0 to 1.
        generator: of the choice of hidden items.

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
    """The rows and events of ``users`` in ``given``, empty for users that it does not hold."""
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

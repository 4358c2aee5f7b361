"""Converts events to a matrix: applies the rule, sorts the ids, merges duplicates."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from isthmus.disk.mapped import pieces
from isthmus.errors import SettingError, SourceError, ValueRangeError
from isthmus.reprs import counted
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.csr import Csr
from isthmus_interactions.files.cells import Cells
from isthmus_interactions.files.read import Events
from isthmus_interactions.files.reading import Weights
from isthmus_interactions.files.report import Report
from isthmus_interactions.files.threshold import Keep, default_keep, is_named_rating
from isthmus_interactions.ordered_histories import OrderedHistories

Assembled = tuple[Vocabulary, Vocabulary, Csr, OrderedHistories | None, Report]


def assemble(events: Events, asked: Keep | None, weights: Weights, *, ordered: bool = False) -> Assembled:
    """Users, items, matrix, ordered histories and report of the events that a rule keeps.

    Args:
        events: rows as they were read.
        asked: the caller's rule; None reads it off the values.
        weights: what a cell holds: 1, the sum of its values, or the logarithm of 1 + that sum.

        ordered: keep the order of the events, also where they have no times.

    Returns:
        Sorted users and items, the matrix over them, ordered histories if they are kept, and the report.

    Raises:
        SettingError: a threshold without values to compare.
        SourceError: no row is left.
        ValueRangeError: a row that the rule keeps has a value below 0.
    """
    keep = rule_of(events, asked)
    name, read, complete = events.name, events.rows_read, len(events)
    untimed, words = events.untimed_rows, events.missing_words
    events = _above(events, keep)
    filtered = complete - len(events)
    if events.values is not None and (events.values < 0).any():
        raise negative(events, keep)
    events = events.unvalued() if weights == "binary" else _positive(events)
    zeros = complete - filtered - len(events)
    if not len(events):
        raise nothing_left(name, keep, filtered, zeros)
    (rows, users), (columns, items) = events.users.numbered(), events.items.numbered()
    left, histories = len(events), None
    if ordered or events.times is not None:
        histories = OrderedHistories.of(rows, columns, events.times, len(users), events.unit)
    cells = Cells(rows, columns, events.values, (len(users), len(items)))
    del events, rows, columns  # their memory is needed for merging
    matrix = cells.merged(counted=weights != "binary")
    if weights == "log":
        matrix.data = np.log1p(matrix.data)
    report = Report(
        read,
        read - complete - untimed,
        filtered,
        zeros,
        left - matrix.nnz,
        untimed=untimed,
        missing_words=words,
        keep=keep.rule,
        why=keep.why,
        weights=weights,
    )
    return users, items, matrix, histories, report


def rule_of(events: Events, asked: Keep | None, untimed: npt.NDArray[np.bool_] | None = None) -> Keep:
    """The caller's rule, or the one that the values suggest.

    Args:
        events: the rows as read.
        asked: the caller's rule, if there is one.
        untimed: rows that do not count because they have no time.

    Raises:
        SettingError: a threshold without values to compare.
    """
    if asked is None:
        rated, counts = is_named_rating(events.value_name), _counts(events, untimed)
        return default_keep(events.levels, valued=events.values is not None, rated=rated, counts=counts)
    if asked.bound is not None and events.values is None:
        raise SettingError(
            f"keep={asked.rule!r} for {events.name}, which has no value column",
            expected="a column of values to compare",
            remedy="say which column it is with value=NAME, or leave keep away",
            option="say which column it is with --value NAME, or leave --keep away",
        )
    return asked


def _counts(events: Events, untimed: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.int64] | None:
    """How many rows have each of the levels."""
    if events.values is None or events.levels is None:
        return None
    counts = np.zeros(len(events.levels), dtype=np.int64)
    for piece in pieces(len(events.values)):
        values = events.values[piece] if untimed is None else events.values[piece][~untimed[piece]]
        counts += np.bincount(np.searchsorted(events.levels, values), minlength=len(counts))
    return counts


def negative(events: Events, keep: Keep) -> ValueRangeError:
    """The error for a row that the rule keeps and that has a value below 0."""
    return ValueRangeError(
        f"{events.negative} and counts by the rule {keep.rule!r} ({keep.why})",
        expected="a value of 0 or more in every row that counts",
        remedy="leave such rows out with keep='>0', or ignore the column with value=''",
        option="leave such rows out with --keep '>0', or ignore the column with --value ''",
    )


def nothing_left(name: str, keep: Keep, filtered: int, zeros: int) -> SourceError:
    """The error for a table of which no row is left.

    Args:
        name: name of the table.
        keep: the rule.
        filtered: number of rows that it removed.
        zeros: number of rows with value 0, which do not count either.
    """
    return SourceError(
        f"no row of {name} is left: keep={keep.rule!r} ({keep.why}) removed {counted(filtered, 'row')}"
        + (f", and {zeros:,} have the value 0" if zeros else ""),
        expected="at least one interaction",
        remedy="choose another rule, such as keep='all'",
        option="choose another rule, such as --keep all",
    )


def _above(events: Events, keep: Keep) -> Events:
    mask = None if events.values is None else keep.mask(events.values)
    return events if mask is None else events.kept(mask)


def _positive(events: Events) -> Events:
    if events.values is None or events.values.all():
        return events
    return events.kept(events.values > 0)

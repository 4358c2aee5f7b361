"""Converts times that callers give with a history to the unit of the training data."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from isthmus.errors import InputError, ValueRangeError
from isthmus.reprs import one_line
from isthmus_interactions.files.times.forms import DATES, FORMS, NUMBERS, SECOND
from isthmus_interactions.ordered_histories import OrderedHistories, Times

logger = logging.getLogger(__name__)

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
LARGEST = 2**62
"""Limit of the size of a time, so that differences fit in 64 bits."""


@dataclass(frozen=True)
class AskedTimes:
    """Converts times to the unit of the training data.

    Attributes:
        known: the training data in order; None if their order is unknown. If they have no times, given times are only
            used for sorting.
    """

    known: OrderedHistories | None

    def numbers(self, items: Sequence[object], times: Sequence[object]) -> Times:
        """The times of one history, in the unit of the training data.

        Args:
            items: the ids, for messages.
            times: numbers, dates or texts of either, one for each id.

        Returns:
            int64 or float64, as in the training data.

        Raises:
            InputError: a date although the training data have numbers that are not a clock, or a number although they
                have dates; or both in one history.
            ValueRangeError: not a time.
        """
        parsed = [_parsed(item, time) for item, time in zip(items, times, strict=True)]
        dates = {dated for _, dated in parsed}
        known = self.known
        if known is None or known.times is None:
            if len(dates) > 1:
                raise InputError("a history with dates and numbers as times", expected="one of them")
            return np.array([number for number, _ in parsed], dtype=np.float64)
        found = [self._in_unit(known, item, *one) for item, one in zip(items, parsed, strict=True)]
        numbers = np.array(found, dtype=np.float64)
        return np.round(numbers).astype(np.int64) if known.times.dtype == np.int64 else numbers

    def _in_unit(self, known: OrderedHistories, item: object, number: float, dated: bool) -> float:
        if known.unit == "us":
            if not dated:
                raise InputError(
                    f"time {number:g} of item {item!r}",
                    expected="dates such as 2024-01-31 12:00:00, as in the training data",
                )
            return number
        if not dated:
            return number
        if known.clock is None:
            raise InputError(
                f"a date as the time of item {item!r}",
                expected="numbers, as in the training data, whose times are no clock",
            )
        return number / SECOND / known.clock


def in_unit_of(known: OrderedHistories | None, given: OrderedHistories | None) -> OrderedHistories | None:
    """Events with times in the unit of the training data; if they cannot be converted, only their order is kept.

    Args:
        known: the training data in order.
        given: other events.

    Returns:
        The given events.
    """
    if given is None or given.times is None or known is None or known.times is None:
        return given
    if given.unit == known.unit and (given.clock == known.clock or not given.events):
        return given
    if given.clock is None or known.clock is None or given.seconds is None:
        logger.warning("the times of the histories are in another unit than those of the training data: only the order "
                       "of the events is used")  # fmt: skip
        return replace(given, times=None, unit=None)
    times = given.seconds / known.clock
    whole = known.times.dtype == np.int64
    return replace(given, times=np.round(times).astype(np.int64) if whole else times, unit=known.unit)


def _parsed(item: object, time: object) -> tuple[float, bool]:
    """A number, and whether it was a date, which is counted in microseconds since 1970."""
    number, dated = _number(time)
    if number is None or not abs(number) < LARGEST:
        raise ValueRangeError(
            f"{one_line(repr(time))}, which is no time, for item {item!r}",
            expected="a number, or a date such as 2024-01-31 12:00:00",
        )
    return number, dated


def _number(time: Any) -> tuple[float | None, bool]:
    if isinstance(time, str):
        texts = pa.array([time.strip()], pa.large_string())
        for form, dated in ((DATES, True), (NUMBERS, False)):
            numbers, fits = FORMS[form](texts)
            if fits.all():
                return float(numbers[0]), dated
        return None, False
    if isinstance(time, np.datetime64):
        return (None if np.isnat(time) else float(time.astype("datetime64[us]").astype(np.int64))), True
    if isinstance(time, datetime.date) and time == time:  # pandas.NaT is a date that differs from itself
        if not isinstance(time, datetime.datetime):
            time = datetime.datetime(time.year, time.month, time.day)
        aware = time if time.tzinfo is not None else time.replace(tzinfo=datetime.UTC)
        return float((aware - EPOCH) / datetime.timedelta(microseconds=1)), True
    if isinstance(time, int | float | np.integer | np.floating) and not isinstance(time, bool):
        return float(time), False
    return None, False

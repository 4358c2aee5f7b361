"""Reads a column of times in any format, batch by batch: numbers are unchanged, dates become microseconds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from isthmus.errors import ColumnError, InputError, ValueRangeError
from isthmus.ids import MISSING
from isthmus_interactions.files.growing_array import Growing, GrowingArray
from isthmus_interactions.files.times.forms import DATES, DAY_FIRST, FORMS, MONTH_FIRST, NUMBERS, WHOLE
from isthmus_interactions.files.times.units import SeenUnits
from isthmus_interactions.files.values import Where
from isthmus_interactions.ordered_histories import Times, TimeUnit

logger = logging.getLogger(__name__)

EXPECTED = "numbers, or dates such as 2024-01-31 12:00:00, in every row"
SAMPLE = 256
"""Number of texts that are checked before a format is tried on all of them."""


Mask = npt.NDArray[np.bool_]
Parsed = dict[str, npt.NDArray[np.generic]]
"""The numbers of a batch, in every format that it may have."""


@dataclass(frozen=True)
class TakenTimes:
    """All times of a column.

    Attributes:
        numbers: one for each kept row.
        unit: unit of the numbers.
        missing: mask of rows without a time; None if all rows have one.
    """

    numbers: Times
    unit: TimeUnit
    missing: Mask | None


class TimeColumn:
    """The times of one column as they are read.

    Args:
        name: name of the column.
        where: names a row for messages.
        asked: whether the column was named by the caller; if not, it never causes an error.
        make: creates the container for the times of one format.
    """

    def __init__(self, name: str, where: Where, *, asked: bool, make: Callable[[], Growing] = GrowingArray) -> None:
        self._name, self._where, self._asked, self._make = name, where, asked, make
        self._forms: dict[str, Growing] | None = None
        self._missing = make()
        self._units = SeenUnits()
        self._why: InputError | None = None

    def add(self, column: pa.Array, complete: Mask | None, before: int) -> None:
        """Append a batch.

        Args:
            column: numbers, dates or texts.
            complete: which rows are kept; None for all.
            before: rows read before.

        Raises:
            ColumnError: a type that is not a time, in a named column.
            ValueRangeError: a cell that is not a time, in a named column.
        """
        if self._why is not None:
            return
        try:
            parsed, missing = self._parsed(column, before)
        except InputError as error:
            if self._asked:
                raise
            self._why = error
            return
        counted = parsed.get(WHOLE, parsed.get(NUMBERS))
        if counted is not None:
            self._units.add(np.where(missing, 0, counted), before)
        for form, numbers in parsed.items():
            assert self._forms is not None
            self._forms[form].add(numbers if complete is None else numbers[complete])
        self._missing.add(missing if complete is None else missing[complete])

    def state(self, told: Callable[[Growing], Any]) -> dict[str, Any]:
        """The state of the times, as JSON.

        Args:
            told: returns where a container is stored.
        """
        forms = None if self._forms is None else {form: told(one) for form, one in self._forms.items()}
        why = None if self._why is None else str(self._why)
        return {"forms": forms, "missing": told(self._missing), "units": self._units.state(), "why": why}

    def restore(self, state: Mapping[str, Any], found: Callable[[Any], Growing]) -> None:
        """The inverse of ``state``.

        Args:
            state: the saved state.
            found: finds a stored container.
        """
        forms = state["forms"]
        self._forms = None if forms is None else {form: found(one) for form, one in forms.items()}
        self._missing = found(state["missing"])
        self._units.restore(state["units"])
        self._why = None if state["why"] is None else InputError(state["why"])

    def taken(self) -> TakenTimes | None:
        """All times; this object is empty afterwards. None if the column is ignored, which is logged.

        Raises:
            ColumnError: ambiguous dates, or times in several units, in a named column.
        """
        try:
            taken = None if self._why is not None else self._chosen()
        except ColumnError as error:
            if self._asked:
                raise
            self._why, taken = error, None
        if self._why is not None:
            logger.warning("the column %r is left alone: %s", self._name, self._why.given)
        return taken

    def _chosen(self) -> TakenTimes:
        missing = self._missing.take_array()
        assert missing is not None
        assert self._forms is not None
        count = int(missing.sum())
        if count and (not self._asked or count == len(missing)):
            raise ColumnError(
                f"{count:,} of {len(missing):,} rows have no time in it"
                + ("" if count == len(missing) else f"; {self._name!r} asked for by name leaves those rows out"),
                expected=f"a time in some row of the column {self._name!r}",
                remedy="time='' ignores the column",
                option="--time '' ignores the column",
            )
        found = {form: numbers.take_array() for form, numbers in self._forms.items()}
        form, times = next(iter(found.items()))
        assert times is not None
        other = found.get(DAY_FIRST)
        if form == MONTH_FIRST and other is not None and not np.array_equal(times, other):
            raise ColumnError(
                f"the dates in the column {self._name!r} can be read as {MONTH_FIRST} and as {DAY_FIRST}",
                expected="days above 12 somewhere, or dates such as 2024-01-31",
                remedy="write the dates as 2024-01-31, or ignore the column with time=''",
                option="write the dates as 2024-01-31, or ignore the column with --time ''",
            )
        if form in (WHOLE, NUMBERS):
            self._check_units()
        unit: TimeUnit = "as given" if form in (WHOLE, NUMBERS) else "us"
        return TakenTimes(times, unit, missing if count else None)

    def _check_units(self) -> None:
        found = self._units.found()
        if len(found) < 2:
            return
        shown = [
            f"{seen.count:,} in {unit} ({self._where(seen.row, self._name)} holds {seen.number})"
            for unit, seen in found.items()
        ]
        raise ColumnError(
            f"the times in the column {self._name!r} are counted in several units: {', '.join(shown)}",
            expected="times in one unit, such as seconds since 1970, in every row",
            remedy="convert them to one unit, or ignore the column with time=''",
            option="convert them to one unit, or ignore the column with --time ''",
        )

    def _parsed(self, column: pa.Array, before: int) -> tuple[Parsed, Mask]:
        """The numbers of a batch in every format that fits all texts so far, and a mask of the rows without a time."""
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        kind = column.type
        if pa.types.is_null(kind):
            column = column.cast(pa.large_string())
        elif not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
            return self._typed(column, before)
        texts = pc.utf8_trim_whitespace(column.cast(pa.large_string()))
        absent = pc.fill_null(pc.is_in(texts, pa.array(sorted(MISSING), texts.type)), True)
        missing = pc.or_(absent, texts.is_null()).to_numpy(zero_copy_only=False)
        texts = pc.if_else(absent, pa.scalar(None, texts.type), texts)
        parsed, worst = Parsed(), 0
        for form in self._alive():
            if form == NUMBERS and WHOLE in parsed:
                continue  # if later texts are not integers, the previous ones become floats
            some = np.flatnonzero(~missing)[:SAMPLE]
            fits = FORMS[form](texts.take(pa.array(some)))[1]
            if fits.all():
                numbers, known = FORMS[form](texts)
                if (known | missing).all():
                    parsed[form] = numbers
                    continue
                worst = max(worst, int(np.argmin(known | missing)))
            elif len(some):
                worst = max(worst, int(some[np.argmin(fits)]))
        if not parsed:
            raise self._no_time(texts[worst].as_py(), before + worst)
        before_now = self._forms or {}
        if NUMBERS in parsed and WHOLE in before_now:
            before_now = {NUMBERS: self._as_floats(before_now[WHOLE])}
        self._forms = {form: before_now[form] if form in before_now else self._make() for form in parsed}
        return parsed, missing

    def _alive(self) -> list[str]:
        """The formats that fit all texts so far."""
        if self._forms is None:
            return list(FORMS)
        return [form for form in FORMS if form in self._forms or (form == NUMBERS and WHOLE in self._forms)]

    def _typed(self, column: pa.Array, before: int) -> tuple[Parsed, Mask]:
        kind = column.type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            form = DATES
            column = column.cast(pa.timestamp("us", tz=getattr(kind, "tz", None)), safe=False).cast(pa.int64())
        elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            form = WHOLE if pa.types.is_integer(kind) else NUMBERS
            column = column.cast(pa.int64() if pa.types.is_integer(kind) else pa.float64(), safe=False)
        else:
            raise ColumnError(
                f"the column {self._name!r} is of type {kind}",
                expected=EXPECTED,
                remedy="time='' ignores the column",
                option="--time '' ignores the column",
            )
        if self._forms is not None and form not in self._forms:
            raise ColumnError(
                f"the column {self._name!r} is of type {kind} here, and was of another one before",
                expected="times of one type in all files",
                remedy="time='' ignores the column",
                option="--time '' ignores the column",
            )
        missing = pc.is_null(column, nan_is_null=True).to_numpy(zero_copy_only=False)
        numbers = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
        endless = np.isinf(numbers)
        if endless.any():
            row = int(np.argmax(endless))
            raise self._no_time(numbers[row], before + row)
        self._forms = self._forms or {form: self._make()}
        return {form: numbers}, missing

    def _no_time(self, found: object, row: int) -> ValueRangeError:
        return ValueRangeError(
            f"{self._where(row, self._name)} holds {found!r}, which is no time",
            expected=EXPECTED,
            remedy="correct or remove such rows, or ignore the column with time=''",
            option="correct or remove such rows, or ignore the column with --time ''",
        )

    def _as_floats(self, numbers: Growing) -> Growing:
        floats, whole = self._make(), numbers.take_array()
        if whole is not None:
            floats.add(whole.astype(np.float64))
        return floats

"""Parses texts of times: the formats of a column, each of which is tried on all of its texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Parsed = tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]
"""A number for each text, and a mask of the texts in this format."""

_CLOCK = (
    r"(?:(?:[Tt]|,? +)(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r" *(?P<half>[AaPp][Mm])?)?"
)
_ZONE = r"(?: *(?P<zone>[Zz]|UTC|GMT|[-+]\d{2}(?::?\d{2})?))?"
_ISO = rf"^(?P<year>\d{{4}})[-/.](?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}}){_CLOCK}{_ZONE}$"
_MONTH_FIRST = rf"^(?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}})[-/.](?P<year>\d{{4}}){_CLOCK}{_ZONE}$"
_DAY_FIRST = rf"^(?P<day>\d{{1,2}})[-/.](?P<month>\d{{1,2}})[-/.](?P<year>\d{{4}}){_CLOCK}{_ZONE}$"

_WHOLE = r"^[-+]?\d{1,18}$"
_NUMBER = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"

SECOND = 1_000_000
"""In microseconds, which dates are counted in."""

WHOLE, NUMBERS, DATES, MONTH_FIRST, DAY_FIRST = "whole numbers", "numbers", "dates", "m/d/Y", "d/m/Y"


def _numbers(pattern: str, kind: pa.DataType) -> Callable[[pa.Array], Parsed]:
    def parse(texts: pa.Array) -> Parsed:
        fits = pc.fill_null(pc.match_substring_regex(texts, pattern), False)
        numbers = pc.if_else(fits, pc.utf8_ltrim(texts, "+"), "0").cast(kind)
        return numbers.to_numpy(zero_copy_only=False), fits.to_numpy(zero_copy_only=False)

    return parse


def _dates(pattern: str) -> Callable[[pa.Array], Parsed]:
    def parse(texts: pa.Array) -> Parsed:
        found = pc.extract_regex(texts, pattern)
        fits = found.is_valid().to_numpy(zero_copy_only=False)
        parts = {field.name: pc.fill_null(pc.struct_field(found, field.name), "") for field in found.type}
        numbers = {name: _whole(parts[name]) for name in ("year", "month", "day", "hour", "minute", "second")}
        days, in_month = _days(numbers)
        clock, in_day = _clock(numbers, parts)
        zone = _each(parts["zone"], _minutes)
        return days * 86_400 * SECOND + clock - zone * 60 * SECOND, fits & in_month & in_day

    return parse


FORMS: Mapping[str, Callable[[pa.Array], Parsed]] = {
    WHOLE: _numbers(_WHOLE, pa.int64()),
    NUMBERS: _numbers(_NUMBER, pa.float64()),
    DATES: _dates(_ISO),
    MONTH_FIRST: _dates(_MONTH_FIRST),
    DAY_FIRST: _dates(_DAY_FIRST),
}
"""Formats by name; the first one that fits all texts of a column is used. Dates are microseconds since 1970, UTC."""


def _whole(texts: pa.Array) -> npt.NDArray[np.int64]:
    numbers: npt.NDArray[np.int64] = pc.if_else(pc.equal(texts, ""), "0", texts).cast(pa.int64()).to_numpy()
    return numbers


def _days(numbers: Mapping[str, npt.NDArray[np.int64]]) -> Parsed:
    month = numbers["month"]
    first = (numbers["year"] - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (month - 1)
    starts = first.astype("datetime64[D]").astype(np.int64)
    ends = (first + 1).astype("datetime64[D]").astype(np.int64)
    days = starts + numbers["day"] - 1
    return days, (month >= 1) & (month <= 12) & (numbers["day"] >= 1) & (days < ends)


def _clock(numbers: Mapping[str, npt.NDArray[np.int64]], parts: Mapping[str, pa.Array]) -> Parsed:
    """Microseconds of the day."""
    halves = _each(parts["half"], lambda half: {"": 0, "a": 1, "p": 2}[half[:1].lower()])
    hour, twelve = numbers["hour"], halves > 0
    right = (
        np.where(twelve, (hour >= 1) & (hour <= 12), hour < 24) & (numbers["minute"] < 60) & (numbers["second"] < 61)
    )
    hour = np.where(twelve, hour % 12 + 12 * (halves == 2), hour)
    fraction = _whole(pc.utf8_slice_codeunits(pc.utf8_rpad(parts["fraction"], 6, "0"), 0, 6))
    return ((hour * 60 + numbers["minute"]) * 60 + numbers["second"]) * SECOND + fraction, right


def _each(texts: pa.Array, change: Callable[[str], int]) -> npt.NDArray[np.int64]:
    """A number for each of few distinct texts."""
    coded = texts.dictionary_encode()
    table = np.array([change(text) for text in coded.dictionary.to_pylist()], dtype=np.int64)
    numbers: npt.NDArray[np.int64] = table[coded.indices.to_numpy()]
    return numbers


def _minutes(zone: str) -> int:
    """The minutes of a time zone such as ``+05:30``, east of Greenwich."""
    digits = zone[1:].replace(":", "")
    if not digits.isdecimal():
        return 0
    minutes = int(digits[:2]) * 60 + int(digits[2:] or 0)
    return -minutes if zone.startswith("-") else minutes

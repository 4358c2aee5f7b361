"""Columns of times in the usual forms, missing ones, and columns that nobody asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from isthmus.errors import ColumnError, InputError, ValueRangeError
from isthmus_interactions import Interactions


def us(*parts: int) -> int:
    return int((datetime(*parts, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


def times_of(texts: list[Any], folder: Path, **told: Any) -> list[float] | None:
    path = folder / "events.csv"
    path.write_text("user,item,timestamp\n" + "".join(f'1,{row},"{text}"\n' for row, text in enumerate(texts)))
    read = Interactions.read(path, **told)
    return None if read.times is None else read.times.tolist()


@pytest.mark.parametrize(
    ("texts", "times"),
    [
        (["979110111", "984435241"], [979110111, 984435241]),
        (["979110111000", "984435241000"], [979110111000, 984435241000]),
        (["1700000000123456789"], None),
        (["0.5", "1e3"], [0.5, 1000.0]),
        (["5", "0.25"], [5.0, 0.25]),
        (["2024-01-31"], [us(2024, 1, 31)]),
        (["2024-01-31 12:30", "2024-02-01T01:02:03"], [us(2024, 1, 31, 12, 30), us(2024, 2, 1, 1, 2, 3)]),
        (["2024-01-31T12:30:00Z"], [us(2024, 1, 31, 12, 30)]),
        (["2024-01-31T12:30:00.25+02:00"], [us(2024, 1, 31, 10, 30, 0, 250_000)]),
        (["2024-01-31 12:30:00 -0530"], [us(2024, 1, 31, 18)]),
        (["2024/1/31", "2024/12/1"], [us(2024, 1, 31), us(2024, 12, 1)]),
        (["1/31/2024", "2/1/2024"], [us(2024, 1, 31), us(2024, 2, 1)]),
        (["31/1/2024", "2/1/2024"], [us(2024, 1, 31), us(2024, 1, 2)]),
        (["31.01.2024 23:59"], [us(2024, 1, 31, 23, 59)]),
        (["1/31/2024 12:05 AM", "1/31/2024 11:05 pm"], [us(2024, 1, 31, 0, 5), us(2024, 1, 31, 23, 5)]),
        (["2/2/2024", "3/3/2024"], [us(2024, 2, 2), us(2024, 3, 3)]),
        (["1969-12-31 23:59:59"], [-1_000_000]),
    ],
    ids=lambda value: str(value[0]) if value else "",
)
def test_forms(texts: list[str], times: list[float] | None, tmp_path: Path) -> None:
    read = times_of(texts, tmp_path)
    assert read == (times if times is not None else [float(text) for text in texts])


ODD = [
    ["yesterday"],
    ["2024-13-01"],
    ["2024-02-30"],
    ["1/2/2024", "3/4/2024"],
    ["5", "2024-01-31"],
    ["25:00"],
    ["5", ""],
]


@pytest.mark.parametrize("texts", ODD, ids=str)
def test_a_column_that_nobody_asked_for_is_left_alone(
    texts: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert times_of(texts, tmp_path) is None
    assert caplog.text.count("'timestamp' is left alone") == 1


@pytest.mark.parametrize("texts", ODD[:-1], ids=str)
def test_one_that_was_asked_for_is_refused_by_name(texts: list[str], tmp_path: Path) -> None:
    with pytest.raises((ColumnError, ValueRangeError), match="timestamp"):
        times_of(texts, tmp_path, time="timestamp")


def test_the_line_without_a_time_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueRangeError, match=r"line 4, column 'timestamp'.*'soon'"):
        times_of(["2024-01-01", "2024-01-02", "soon"], tmp_path, time="timestamp")


MIXED = [
    ["978300760", "1700000000000", "978300761"],
    ["1700000000000", "1700000000000000", "1700000000001"],
    ["978300760.5", "1700000000000.25"],
    ["0", "978300760", "", "1700000000000000000"],
]


@pytest.mark.parametrize("texts", MIXED, ids=str)
def test_times_in_two_units_are_never_mixed(texts: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert times_of(texts, tmp_path) is None
    assert caplog.text.count("'timestamp' is left alone") == 1
    with pytest.raises(InputError, match="timestamp"):
        times_of(texts, tmp_path, time="timestamp")


def test_the_first_row_of_each_unit_is_named(tmp_path: Path) -> None:
    with pytest.raises(ColumnError, match=r"2 in seconds \(line 2.* holds 978300760\), 1 in milliseconds \(line 3"):
        times_of(MIXED[0], tmp_path, time="timestamp")


@pytest.mark.parametrize("times", [[1, 1000, 10**6, 10**9, 10**12, 10**15], [0, 978300760], [5, 978300760, 1700000000]])
def test_other_numbers_are_times_in_their_own_unit(times: list[int], tmp_path: Path) -> None:
    assert times_of(list(map(str, times)), tmp_path) == times


@pytest.mark.parametrize("missing", ["", "NULL", "NaT"])
def test_missing_times_are_counted_where_times_were_asked_for(missing: str, tmp_path: Path) -> None:
    assert times_of(["5", missing, "7"], tmp_path, time="timestamp") == [5, 7]
    read = Interactions.read(tmp_path / "events.csv", time="timestamp")
    assert (read.report.untimed, read.nnz) == (1, 2)
    assert "1 without a time" in read.report.text()
    assert Interactions.read(tmp_path / "events.csv").nnz == 3


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(pd.to_datetime(["2024-01-31 10:30", "2024-02-01 00:00"], utc=True)),
        pd.Series(pd.to_datetime(["2024-01-31 10:30", "2024-02-01 00:00"])),
        pd.Series(["2024-01-31 10:30", "2024-02-01 00:00"]),
        pa.array([datetime(2024, 1, 31, 10, 30), datetime(2024, 2, 1)], pa.timestamp("ms")),
    ],
    ids=["zone", "naive", "text", "arrow"],
)
def test_frames(column: Any) -> None:
    table = pa.table({"user": [1, 1], "item": [1, 2], "timestamp": pa.array(column)})
    read = Interactions.read(table)
    assert read.times is not None
    assert read.times.tolist() == [us(2024, 1, 31, 10, 30), us(2024, 2, 1)]


def test_a_form_is_kept_over_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    from isthmus_interactions.files import tables

    monkeypatch.setattr(tables, "BATCH_ROWS", 2)
    for texts, expected in (
        (["1", "2", "3.5"], [1.0, 2.0, 3.5]),
        (["1/2/2024", "2/3/2024", "1/31/2024"], [us(2024, 1, 2), us(2024, 2, 3), us(2024, 1, 31)]),
        ([None, None, "2024-01-31"], None),
    ):
        table = pa.table({"user": [1] * 3, "item": [1, 2, 3], "timestamp": texts})
        times = Interactions.read(table).times
        assert (None if times is None else times.tolist()) == expected

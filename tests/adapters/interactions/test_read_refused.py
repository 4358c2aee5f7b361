"""Columns that are found or not, values and times that mean nothing, files that hold nothing."""

import gzip
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.errors import ColumnError, SettingError, SourceError, ValueRangeError
from isthmus_interactions.files import tables
from isthmus_interactions.interactions import Interactions

CSV = "userId,movieId,rating,timestamp\n7,30,5,100\n7,10,4,90\n2,10,5,80\n2,20,1,70\n"


# --- columns ---


def test_default_names(subtests, write):
    for header in [
        "user,item",
        "user_id,item_id",
        "userId,itemId",
        "userid,movieId",
        "USER_ID,book_id",
        "user_id:token,item_id:token",
    ]:
        with subtests.test(header=header):
            assert Interactions.read(write(f"{header}\n1,2\n")).nnz == 1


def test_named_columns(write):
    path = write("who,what,stars:float,when\n1,2,5,9\n1,3,1,8\n")
    interactions = Interactions.read(path, user="who", item="what", value="stars", time="when", keep=">1")
    assert interactions.items.ids.tolist() == [2]
    assert interactions.times.tolist() == [9]


def test_an_empty_name_ignores_a_column(write):
    path = write("user,item,rating,time\n1,2,5,soon\n1,3,x,\n")
    interactions = Interactions.read(path, value="", time="")
    assert interactions.nnz == 2
    assert interactions.times is None


def test_columns_that_are_missing_or_ambiguous(subtests, write):
    for header, options, message in [
        ("person,item", {}, r"hold the users, among the columns 'person', 'item'; .*such as user='person'$"),
        ("user,thing", {}, r"hold the items, among the columns 'user', 'thing'; .*such as item='thing'$"),
        ("who,what,stars", {}, r"hold the users or items, .*such as user='who', item='what'$"),
        ("user,item", {"user": "person"}, r"no column 'person' among the columns 'user', 'item'"),
        ("who,Movie", {"user": "who", "item": "movi"}, r"no column 'movi' .*did you mean item='Movie'\?"),
        ("user,item", {"value": "stars"}, r"no column 'stars'"),
        ("user,item", {"user": ""}, "no column"),
        ("user,user_id,item", {}, "2 columns could hold the user: 'user', 'user_id'"),
        ("user,item,rating,value", {}, "2 columns could hold the value"),
        ("user,item,item", {}, "2 columns could hold the item"),
        ("user,item", {"item": "user"}, "one column for two things"),
        ("1,2,5,100", {}, r"no line of names, and its 4 columns do not tell .*header=False, user=1, item=2"),
    ]:
        with subtests.test(header=header, options=options), pytest.raises(ColumnError, match=message):
            Interactions.read(write(f"{header}\n1,2,3,4\n"), **options)


# --- values and times ---


def test_values_without_meaning_name_row_and_column(subtests, write):
    for cell in ["nan", "", "inf", "1e39", "NA"]:
        with subtests.test(cell=cell), pytest.raises(ValueRangeError, match="line 4, column 'rating'"):
            Interactions.read(write(f"user,item,rating\n1,1,5\n1,2,4\n1,3,{cell}\n1,4,3\n"))


def test_text_among_the_values_names_row_and_column(write):
    with pytest.raises(ValueRangeError, match=r"line 3, column 'rating' \(4\) of .*'good'"):
        Interactions.read(write("user,item,note,rating\n1,1,a,5\n1,2,b,good\n"))


def test_a_bad_value_in_a_later_batch_names_its_row(monkeypatch):
    monkeypatch.setattr(tables, "BATCH_ROWS", 4)
    table = pa.table({"user": range(10), "item": range(10), "value": [1.0] * 9 + [None]})
    with pytest.raises(ValueRangeError, match=r"row 10, column 'value' \(3\) holds nothing"):
        Interactions.read(table)


def test_a_column_of_text_is_no_value_and_no_time():
    table = pa.table({"user": [1], "item": [1], "rating": ["good"], "time": ["noon"]})
    with pytest.raises(ValueRangeError, match=r"row 1, column 'rating' \(3\) holds 'good'"):
        Interactions.read(table)
    with pytest.raises(ValueRangeError, match=r"row 1, column 'time' \(4\) holds 'noon', which is no time"):
        Interactions.read(table, value="", time="time")
    for column in ([True], [[1]]):
        odd = pa.table({"user": [1], "item": [1], "rating": column, "time": column})
        with pytest.raises(ColumnError, match="'time' is of type"):
            Interactions.read(odd, value="", time="time")
    with pytest.raises(ColumnError, match="'rating' of type list"):
        Interactions.read(odd)


def test_dates_become_microseconds(write):
    expected = [int(datetime(2024, 1, 31, 12, tzinfo=UTC).timestamp()) * 1_000_000]
    assert Interactions.read(write("user,item,time\n1,1,2024-01-31 12:00:00\n")).times.tolist() == expected
    for moment in (datetime(2024, 1, 31, 12), datetime(2024, 1, 31, 12, tzinfo=UTC)):
        assert Interactions.read(pl.DataFrame({"user": [1], "item": [1], "time": [moment]})).times.tolist() == expected
    day = pa.table({"user": [1], "item": [1], "time": [date(1970, 1, 2)]})
    assert Interactions.read(day).times.tolist() == [86_400 * 1_000_000]


def test_times_may_be_fractions(write):
    times = Interactions.read(write("user,item,time\n1,1,0.5\n1,1,0.25\n")).times
    assert times.dtype == np.float64
    assert times.tolist() == [0.5]


# --- nothing to read ---


@pytest.mark.parametrize("text", ["", "\n\n", gzip.compress(b"")])
def test_an_empty_file(write, text):
    with pytest.raises(SourceError, match="is empty"):
        Interactions.read(write(text))


def test_a_header_without_rows(write):
    with pytest.raises(SourceError, match="a header and no rows"):
        Interactions.read(write("user,item\n"))
    with pytest.raises(SourceError, match="a header and no rows"):
        Interactions.read(pd.DataFrame({"user": [], "item": []}))


def test_no_row_with_both_ids(write):
    with pytest.raises(SourceError, match="none of the 2 rows"):
        Interactions.read(write("user,item\n1,\n,2\n"))


def test_a_rule_that_removes_everything_is_named(write):
    with pytest.raises(SourceError, match=r"keep='>=9'.*removed 2.*keep='all'"):
        Interactions.read(write("user,item,rating\n1,1,5\n1,2,4\n"), keep=">=9")
    with pytest.raises(SourceError, match="have the value 0"):
        Interactions.read(write("user,item,rating\n1,1,0\n"), weights="value")


def test_a_rule_without_values(write):
    with pytest.raises(SettingError, match="no value column"):
        Interactions.read(write("user,item\n1,1\n"), keep=">=4")


def test_damaged_and_foreign_files(subtests, write):
    for text, message in [
        ("user,item\n1,2\n1,2,3\n", "line 3 of .* has 3 columns; expected 2"),
        (gzip.compress(CSV.encode() * 50)[:-40], "cannot be read"),
        (b"PAR1 and then nothing", "cannot be read"),
    ]:
        with subtests.test(text=text), pytest.raises((SourceError, ValueRangeError), match=message):
            Interactions.read(write(text))


def test_parquet_with_damaged_text(tmp_path):
    pq.write_table(pa.table({"user": ["aaaa"], "item": ["bbbb"]}), tmp_path / "t", compression="none")
    whole = (tmp_path / "t").read_bytes()
    for name, error in ((b"aaaa", ValueRangeError), (b"item", SourceError)):
        (tmp_path / "t").write_bytes(whole.replace(name, b"\xff" + name[1:]))
        with pytest.raises(error, match=r"UTF-8|utf-8"):
            Interactions.read(tmp_path / "t")


def test_no_file_and_no_table(tmp_path):
    with pytest.raises(SourceError, match="no file"):
        Interactions.read(tmp_path / "absent.csv")
    with pytest.raises(SourceError, match="is a directory"):
        Interactions.read(tmp_path)
    with pytest.raises(SourceError, match="of type builtins dict"):
        Interactions.read({"user": [1], "item": [2]})


def test_a_frame_that_arrow_cannot_hold():
    mixed = pd.DataFrame({"user": pd.Series([1, "a"], dtype=object), "item": [1, 2]})
    with pytest.raises(SourceError, match="pandas DataFrame"):
        Interactions.read(mixed)

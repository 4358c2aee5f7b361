"""Files and tables in every form that is read."""

import csv
import gzip
import io
import re
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import ColumnError, SourceError, ValueRangeError
from isthmus.files import delimited
from isthmus_interactions.files import growing_array
from isthmus_interactions.interactions import Interactions

CSV = "userId,movieId,rating,timestamp\n7,30,5,100\n7,10,4,90\n2,10,5,80\n2,20,1,70\n"
DENSE = [[1, 0], [1, 1]]  # users 2 and 7; items 10 and 30; the 1 is below the top two fifths


def frame():
    return pd.read_csv(io.StringIO(CSV))


def check(interactions):
    assert interactions.users.ids.tolist() == [2, 7]
    assert interactions.items.ids.tolist() == [10, 30]
    np.testing.assert_array_equal(interactions.matrix.toarray(), DENSE)
    assert interactions.times.tolist() == [80, 90, 100]


def test_delimited_text(subtests, write):
    for delimiter in [",", "\t", ";", "|"]:
        for packed in [False, True]:
            with subtests.test(delimiter=delimiter, packed=packed):
                text = CSV.replace(",", delimiter).encode()
                check(Interactions.read(write(gzip.compress(text) if packed else text, "events.data")))


def test_byte_order_mark_quotes_blanks_and_windows_line_ends(write):
    text = '\ufeff"user_id" , item_id,rating,time,"a, b"\r\n\r\n'
    text += '"7", 30 ,5,100,x\r\n7,10,4,90,y\r\n2,10,5,80,"z, w"\r\n2,20,1,70,\r\n'
    check(Interactions.read(str(write(text))))


def test_parquet(tmp_path):
    pq.write_table(pa.Table.from_pandas(frame()), tmp_path / "events")
    check(Interactions.read(tmp_path / "events"))


def test_tables_in_memory(subtests):
    for make in [
        frame,
        lambda: frame().iloc[::-1],
        lambda: pl.read_csv(CSV.encode()),
        lambda: pa.Table.from_pandas(frame()),
        lambda: pa.RecordBatch.from_pandas(frame()),
        lambda: pa.Table.from_pandas(frame()).to_reader(max_chunksize=1),
        lambda: frame().astype({"userId": "category", "movieId": "int16", "rating": "float32"}),
        lambda: frame().astype({"userId": "float64"}),
    ]:
        with subtests.test(make=make):
            check(Interactions.read(make()))


def test_text_ids_of_polars_and_pandas():
    columns = {"user": ["b", "a", "b"], "item": ["é", "z", "é"]}
    for table in (pl.DataFrame(columns), pd.DataFrame(columns), pa.table(columns)):
        interactions = Interactions.read(table)
        assert interactions.users.ids.tolist() == ["a", "b"]
        assert interactions.items.ids.tolist() == ["z", "é"]
        np.testing.assert_array_equal(interactions.matrix.toarray(), [[1, 0], [0, 1]])
        assert interactions.report.duplicates == 1


def test_many_small_blocks_and_pages_give_the_same(write, monkeypatch):
    generator = np.random.default_rng(3)
    users, items = generator.integers(0, 40, 5000), generator.integers(0, 30, 5000)
    text = "user,item,timestamp\n" + "".join(
        f"u{u},{i},{t}\n" for t, (u, i) in enumerate(zip(users, items, strict=True))
    )
    path = write(text)
    whole = Interactions.read(path)
    monkeypatch.setattr(delimited, "BLOCK", 512)
    monkeypatch.setattr(growing_array, "PAGE_ROWS", 97)
    pieces = Interactions.read(path)
    expected = np.zeros((40, 30))
    expected[users, items] = 1
    order = [int(id_[1:]) for id_ in whole.users.ids.tolist()]
    np.testing.assert_array_equal(whole.matrix.toarray(), expected[order])
    assert pieces.users == whole.users
    assert pieces.items == whole.items
    assert (pieces.matrix != whole.matrix).nnz == 0
    np.testing.assert_array_equal(pieces.times, whole.times)


def test_the_order_of_rows_has_no_influence():
    generator = np.random.default_rng(0)
    table = pa.table({name: generator.integers(0, 9, 400) for name in ("user", "item", "value", "time")})
    one = Interactions.read(table, weights="value", keep="all")
    other = Interactions.read(table.take(generator.permutation(400)), weights="value", keep="all")
    np.testing.assert_array_equal(one.matrix.toarray(), other.matrix.toarray())
    np.testing.assert_array_equal(one.times, other.times)


# --- ids ---


def test_ids_of_text_files(subtests, write):
    for cells, kind, ids in [
        (["10", "9", "-3"], "int64", [-3, 9, 10]),
        (["007", "7", "10"], "string", ["007", "10", "7"]),
        (["tt1", "2", "10"], "string", ["10", "2", "tt1"]),
        (["9" * 20, "1", "2"], "string", ["1", "2", "9" * 20]),
        ([str(2**64 - 1), "1", "2"], "uint64", [1, 2, 2**64 - 1]),
        (["1400000000000000026", "-1"], "int64", [-1, 1400000000000000026]),
        (["1.0", "2", "3"], "int64", [1, 2, 3]),
        (["1.0", "2.5"], "string", ["1.0", "2.5"]),
        (["NULL", "3", "NA", "nan", "None", "", "10"], "int64", [3, 10]),
    ]:
        with subtests.test(cells=cells, kind=kind, ids=ids):
            users = Interactions.read(write("user,item\n" + "".join(f"{cell},x\n" for cell in cells))).users
            assert users.kind == kind
            assert users.ids.tolist() == ids


def test_ids_that_become_text_late_in_the_file(write, monkeypatch):
    monkeypatch.setattr(delimited, "BLOCK", 64)
    users = Interactions.read(write("user,item\n" + "".join(f"{n},1\n" for n in range(100)) + "last,1\n")).users
    assert users.kind == "string"
    assert len(users) == 101


def test_text_that_looks_like_a_number_stays_text_in_a_typed_table():
    assert Interactions.read(pa.table({"user": ["1"], "item": [2]})).users.ids.tolist() == ["1"]


def test_rows_without_an_id_are_dropped_and_counted(write, caplog):
    interactions = Interactions.read(write("user,item,rating\n1,5,3\n,5,3\n1, ,3\n2,6,3\n"))
    assert interactions.users.ids.tolist() == [1, 2]
    assert interactions.report.missing_ids == 2
    assert "2 without a user or an item" in caplog.text
    table = pa.table({"user": [1.0, float("nan"), None], "item": ["a", "b", "c"]})
    assert Interactions.read(table).report.missing_ids == 2
    assert Interactions.read(pl.DataFrame({"user": ["", "x"], "item": [1, 2]})).report.missing_ids == 1


@pytest.mark.parametrize("users", [[1.5, 2.0], [float("inf"), 1.0], [1.5e18, 1.0]])
def test_numbers_that_are_no_ids(users):
    with pytest.raises(ValueRangeError, match="'user'"):
        Interactions.read(pd.DataFrame({"user": users, "item": [1, 2]}))


@pytest.mark.parametrize("users", [[True, False], [date(2024, 1, 1), date(2024, 1, 2)], [[1], [2]]])
def test_types_that_are_no_ids(users):
    with pytest.raises(ColumnError, match="'user' of type"):
        Interactions.read(pa.table({"user": users, "item": [1, 2]}))


_CELLS = st.text(alphabet='ab é,;"07-', min_size=0, max_size=3)
_ROWS = st.lists(st.tuples(_CELLS, _CELLS, st.integers(0, 3)), min_size=1, max_size=12)


def _typed(ids):
    """As text files mean them: integers if every one is written as an integer."""
    plain = all(re.fullmatch(r"0|-?[1-9][0-9]*", id_) for id_ in ids)
    return {id_: int(id_) if plain else id_ for id_ in ids}


@settings(derandomize=True, max_examples=60, deadline=None)
@given(_ROWS, st.sampled_from([",", "\t", "parquet"]), st.booleans(), st.sampled_from(["value", "binary"]))
def test_any_file_is_what_plain_python_makes_of_it(rows, form, packed, weights):
    """Ids with delimiters, quotes and blanks in them, missing ones among them, in every form of file."""
    text = form != "parquet"
    given_rows = [(u.strip(), i.strip(), r) for u, i, r in rows]
    whole = [(u, i, r) for u, i, r in given_rows if u and i and (r or weights == "binary")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events"
        if text:
            stream = io.StringIO()
            writer = csv.writer(stream, delimiter=form, quoting=csv.QUOTE_ALL, lineterminator="\n")
            writer.writerows([("user", "item", "rating"), *rows])
            content = stream.getvalue().encode()
            path.write_bytes(gzip.compress(content) if packed else content)
        else:
            columns = {name: [row[place] for row in rows] for place, name in enumerate(("user", "item", "rating"))}
            pq.write_table(pa.table(columns), path)
        if not whole:
            with pytest.raises(SourceError):
                Interactions.read(path, keep="all", weights=weights)
            return
        found = Interactions.read(path, keep="all", weights=weights)
    users, items = ({row[place] for row in whole} for place in (0, 1))
    users, items = (_typed(ids) if text else {id_: id_ for id_ in ids} for ids in (users, items))
    cells = {}
    for user, item, value in whole:
        cells[users[user], items[item]] = 1 if weights == "binary" else cells.get((users[user], items[item]), 0) + value
    assert found.users.ids.tolist() == sorted(users.values())
    assert found.items.ids.tolist() == sorted(items.values())
    entries = found.matrix.tocoo()
    pairs = zip(found.users.take(entries.row.tolist()), found.items.take(entries.col.tolist()), strict=True)
    assert dict(zip(pairs, entries.data.tolist(), strict=True)) == cells
    assert found.report.rows_read == len(rows)
    assert found.report.missing_ids == sum(not (u and i) for u, i, _ in given_rows)

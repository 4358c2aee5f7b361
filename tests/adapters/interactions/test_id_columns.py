"""Columns of ids of every type, in every source: read, missing ones counted, and found when they are asked for."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import InputError, ValueRangeError
from isthmus_interactions import Interactions, Recommender

UUIDS = [uuid.UUID(int=number) for number in (7, 2**100, 3)]
BIG = [1_400_000_000_000_000_026, 1_400_000_000_000_000_033, 5]
HUGE = [2**64 - 1, 2**63, 5]


def _csv(users: list[Any], folder: Path) -> object:
    path = folder / "events.csv"
    path.write_text("user,item\n" + "".join(f"{'' if user is None else user},x\n" for user in users))
    return path


def _json(users: list[Any], folder: Path) -> object:
    path = folder / "events.jsonl"
    path.write_text("".join(json.dumps({"user": user, "item": "x"}) + "\n" for user in users))
    return path


def _parquet(users: list[Any], folder: Path) -> object:
    path = folder / "events.parquet"
    kind = pa.uint64() if max(filter(None, users)) >= 2**63 else pa.int64()
    pq.write_table(pa.table({"user": pa.array(users, kind), "item": ["x"] * len(users)}), path)
    return path


def _frame(users: list[Any], folder: Path) -> object:
    return pl.DataFrame({"user": users, "item": ["x"] * len(users)})


SOURCES: list[Callable[[list[Any], Path], object]] = [_csv, _json, _parquet, _frame]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("ids", [BIG, HUGE, [3, 1, 2]], ids=["19 digits", "unsigned", "small"])
def test_large_integers_are_integers_everywhere(source: Any, ids: list[int], tmp_path: Path) -> None:
    users = Interactions.read(source(ids, tmp_path)).users
    assert users.ids.tolist() == sorted(ids)
    assert users.rows(ids).tolist() == [sorted(ids).index(id_) for id_ in ids]


@pytest.mark.parametrize("source", SOURCES)
def test_missing_ids_are_left_out_and_leave_numbers_what_they_are(source: Any, tmp_path: Path) -> None:
    read = Interactions.read(source([3, None, 1], tmp_path))
    assert read.users.ids.tolist() == [1, 3]
    assert read.report.missing_ids == 1


@pytest.mark.parametrize("word", ["NULL", "NA", "N/A", "nan", "NaN", "None", "<NA>", "", "  "])
def test_words_for_what_is_missing(word: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read = Interactions.read(_csv(["3", word, "1"], tmp_path))
    assert read.users.ids.tolist() == [1, 3]
    assert "1 without a user or an item" in caplog.text
    assert word.strip() in read.report.text()
    assert read.report.missing_words == ((word,) if word.strip() else ())


@pytest.mark.parametrize(
    ("column", "ids"),
    [
        (pd.Series([1.0, None, 3.0]), [1, 3]),
        (pd.Series([1, None, 3], dtype="Int64"), [1, 3]),
        (pa.array([1, 3], pa.decimal128(20, 0)), [1, 3]),
        ([Decimal("1.0"), Decimal(3)], [1, 3]),
        (np.array([1, 3], np.float16), [1, 3]),
        (pd.Categorical(["b", "a"]), ["a", "b"]),
        (UUIDS, sorted(map(str, UUIDS))),
        (pa.array([one.bytes for one in UUIDS], pa.binary(16)), sorted(map(str, UUIDS))),
        (np.array([b"ab", b"c"]), ["ab", "c"]),
        (pa.array([b"0123456789abcdef"], pa.binary(16)), ["0123456789abcdef"]),
        (pa.array(["a", "b"], pa.string_view()), ["a", "b"]),
    ],
    ids=["floats", "nullable", "decimals", "Decimal", "halves", "categories", "uuid", "16 bytes", "S", "text", "views"],
)
def test_types_of_columns(column: Any, ids: list[Any]) -> None:
    rows = len(column)
    read = Interactions.read(pa.table({"user": pa.array(column), "item": list(range(rows))}))
    assert read.users.ids.tolist() == ids
    present = [one for one in (column.tolist() if hasattr(column, "tolist") else column) if not pd.isna(one)]
    assert sorted(read.users.rows(present).tolist()) == list(range(len(ids)))


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([float(BIG[0]), 2.0]), "lost its last digits.*Int64"),
        (pa.array([2.0**25, 1.0], pa.float32()), "lost its last digits"),
        (pa.array([b"\xff\xfe", b"a"]), "not UTF-8.*hex"),
        (pa.array([1.5, 2.0]), "cannot be an id"),
    ],
)
def test_columns_that_hold_no_ids(column: pa.Array, said: str) -> None:
    with pytest.raises(ValueRangeError, match=said):
        Interactions.read(pa.table({"user": column, "item": [1, 2]}))


def test_lone_surrogates_are_refused_at_the_door() -> None:
    odd = pd.Series(["a\udc80"], dtype=object)
    for source in (pd.DataFrame({"user": odd, "item": [1]}), (["a\udc80"], [1]), (odd, [1])):
        with pytest.raises(InputError):
            Interactions.read(source)


@pytest.fixture(scope="module")
def snowflakes() -> Recommender:
    users, items = np.divmod(np.arange(60), 6)
    return Recommender.fit((users, items * 7 + BIG[0]), "popularity", progress=False)


def test_ids_are_asked_for_in_any_form(snowflakes: Recommender) -> None:
    first = BIG[0]
    for form in (first, str(first), np.int64(first), f" {first} "):
        (answer,) = snowflakes.recommend([[form]], k=6)
        assert (answer.unknown, answer.popular, first in answer.ids) == ([], False, False)
        assert first not in snowflakes.recommend([[]], k=6, exclude=[form])[0].ids
        assert snowflakes.recommend([[]], k=6, allow=[[form]])[0].ids == [first]
        assert np.isfinite(snowflakes.score([[first + 7]], [form])).all()
    assert snowflakes.recommend_users(["3", 3.0, 3], k=1).queries == [3, 3, 3]
    titled = Recommender.fit(([1, 2], [5, 5]), "popularity", titles={"5": "five"}, progress=False)
    assert titled.titles == {5: "five"}
    (twice,) = snowflakes.recommend([{first: 1.0, str(first): 1.0}], k=6)
    assert len(twice.ids) == 5


def test_what_is_no_id_is_refused_when_it_is_asked_for(snowflakes: Recommender) -> None:
    for odd in (True, [1], b"\xff"):
        with pytest.raises(InputError):
            snowflakes.recommend([[odd]])


_IDS = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=6),
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=6),
    st.lists(st.floats(-(2**52), 2**52).map(round).map(float), min_size=1, max_size=6),
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=5), min_size=1, max_size=6),
    st.lists(st.uuids(), min_size=1, max_size=6),
)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(_IDS)
def test_whatever_is_read_is_found(ids: list[Any]) -> None:
    read = None
    try:
        read = Interactions.read((ids, ["x"] * len(ids)))
    except InputError:
        return
    kept = read.report.rows_read - read.report.missing_ids
    found = [read.users.find(id_) for id_ in ids]
    assert sum(row is not None for row in found) == kept
    assert {row for row in found if row is not None} == set(range(len(read.users)))

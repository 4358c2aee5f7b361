"""Files as people have them: read as they were meant, or refused with the line; nothing is lost without a word."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.errors import ColumnError, InputError, SourceError, ValueRangeError
from isthmus.index import Index
from isthmus_interactions import Interactions
from isthmus_text.texts import Texts
from isthmus_vectors.vectors import Vectors

EVENTS = [(user, 100 + (user * 7 + step * 3) % 12, 1 + (user + step) % 5) for user in range(12) for step in range(4)]
HEAD = "user_id,item_id,rating"


def csv(rows: list[tuple[int, int, int]] = EVENTS, head: str = HEAD, delimiter: str = ",", end: str = "\n") -> str:
    lines = [head.replace(",", delimiter)] if head else []
    return "".join(line + end for line in [*lines, *(delimiter.join(map(str, row)) for row in rows)])


def objects(**more: object) -> list[dict[str, object]]:
    return [{"user_id": user, "item_id": item, "rating": rating, **more} for user, item, rating in EVENTS]


SAME: dict[str, str | bytes] = {
    "Excel's sep= with a mark": "\ufeff" + "sep=;\r\n" + csv(delimiter=";", end="\r\n"),
    "Excel's tabs in UTF-16": ("sep=\t\r\n" + csv(delimiter="\t", end="\r\n")).encode("utf-16"),
    "trailing delimiters": csv(end=";\r\n", delimiter=";"),
    "trailing delimiters below a header without": HEAD + "\n" + csv(head="", end=",\n"),
    "blank lines between": csv().replace("\n", "\n\n", 20),
    "lines of spaces between": csv().replace("\n", "\n   \n", 3),
    "empty rows between": csv().replace("\n", "\n,,\n", 3),
    "two line ends": csv().replace("\n", "\r\n", 20),
    "old Mac": csv(end="\r"),
    "a null byte": csv().replace("7,", "7\0,", 1),
    "null bytes at the end": csv() + "\0\0\0",
    "the end of a DOS file": csv() + "\x1a",
    "comments": "# exported 2024\n# by me\n" + csv(),
    "a header behind a #": "# " + csv(),
    "a title": "Ratings export 2024\n\n" + csv(),
    "a title over all columns": "Ratings export,,\n" + csv(),
    "a sum below": csv() + "Total,,144\n",
    "joined files": gzip.compress(csv(EVENTS[:20]).encode()) + gzip.compress(csv(EVENTS[20:], head="").encode()),
    "spaces around": csv(head=" User ID , Item-ID , RATING ").replace(",", " , "),
    "row numbers": "," + HEAD + "\n" + "".join(f"{row},{u},{i},{r}\n" for row, (u, i, r) in enumerate(EVENTS)),
    "quoted line feeds": HEAD + ",note\n" + "".join(f'{u},{i},{r},"a\nb, ""c"""\n' for u, i, r in EVENTS),
    "names twice that nobody asks for": HEAD + ",x,x\n" + "".join(f"{u},{i},{r},1,2\n" for u, i, r in EVENTS),
    "decimal commas": "user_id;item_id;rating\n" + "".join(f"{u};{i};{r},0\n" for u, i, r in EVENTS),
    "quoted decimal commas": HEAD + "\n" + "".join(f'{u},{i},"{r},0"\n' for u, i, r in EVENTS),
    "floats as ids": HEAD + "\n" + "".join(f"{u}.0,{i}.0,{r}\n" for u, i, r in EVENTS),
    "an array of objects": json.dumps(objects()),
    "an array within an object": json.dumps({"data": objects(), "count": 48}),
    "lines of JSON with a mark": "\ufeff" + "".join(json.dumps(one) + "\r\n" for one in objects(text="a\u2028b")),
}


@pytest.mark.parametrize("name", SAME)
def test_it_is_the_same_table(tmp_path: Path, name: str) -> None:
    path = tmp_path / ("events.json" if "JSON" in name or "array" in name else "events.csv")
    content = SAME[name]
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    read = Interactions.read(path, keep="all", weights="value")
    assert read.users.ids.tolist() == list(range(12))
    assert read.items.ids.tolist() == list(range(100, 112))
    assert read.matrix.sum() == sum(rating for _, _, rating in EVENTS)


IDS: dict[str, tuple[str, list[int | str]]] = {
    "leading zeros": ("item_id\n007\n010\n", ["007", "010"]),
    "exponents": ("item_id\n1e5\n1E+5\n", ["1E+5", "1e5"]),
    "negative": ("item_id\n-3\n2\n", [-3, 2]),
    "signs": ("item_id\n+3\n2\n", ["+3", "2"]),
    "mixed": ("item_id\n3\na\n", ["3", "a"]),
    "beyond 64 bits": (f"item_id\n{10**25}\n1\n", ["1", str(10**25)]),
    "long": (f"item_id\n{'x' * 5000}\ny\n", ["x" * 5000, "y"]),
    "emoji": ("item_id\n\U0001f3ac\n\U0001f469\u200d\U0001f467\n", ["\U0001f3ac", "\U0001f469\u200d\U0001f467"]),
    "right to left": ("item_id\n\u05d0\u05d1\n\u0641\u064a\n", ["\u05d0\u05d1", "\u0641\u064a"]),
    "names again": ("item_id\n3\nitem_id\n4\n", [3, 4]),
}


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("form", ["csv", "json"])
def test_ids_stay_what_they_are(tmp_path: Path, name: str, form: str) -> None:
    text, ids = IDS[name]
    path = tmp_path / f"events.{form}"
    if form == "csv":
        path.write_text("".join(f"{'user_id' if cell == 'item_id' else 'u'},{cell}\n" for cell in text.split()))
    else:
        path.write_text(json.dumps([{"user_id": "u", "item_id": one} for one in ids]))
    assert Interactions.read(path).items.ids.tolist() == ids


def test_numbers_and_texts_as_ids_in_json_are_texts(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        '[{"user_id":1,"item_id":2},{"user_id":"1","item_id":3},{"user_id":null,"item_id":3}]'
    )
    read = Interactions.read(tmp_path / "a.json")
    assert (read.users.ids.tolist(), read.nnz, read.report.rows_read) == (["1"], 2, 3)


REFUSED: dict[str, tuple[str | bytes, type[InputError], str]] = {
    "short row": (csv() + "7,101\n", SourceError, "line 50 .* has 2 columns"),
    "long row": (csv() + "7,101,3,9,9\n", SourceError, "line 50 .* has 5 columns"),
    "header only": (HEAD + "\n", SourceError, "no rows"),
    "name twice": (csv(head="user_id,item_id,item_id"), ColumnError, "2 columns"),
    "comment between": (csv().replace("\n", "\n# note\n", 2), SourceError, "line 2"),
    "two delimiters": (HEAD + "\n" + csv(head="", delimiter=";"), SourceError, "line 2"),
    "words in numbers": (csv().replace(",5\n", ",5/5\n", 1), ValueRangeError, "line .*column 'rating'"),
    "currency": (csv().replace(",5\n", ",$5\n", 1), ValueRangeError, "'[$]5'"),
    "missing value": (csv().replace(",5\n", ",\n", 1), ValueRangeError, "holds nothing"),
    "names again over numbers": (csv() + csv(), ValueRangeError, "line 50"),
    "cut gzip": (gzip.compress(csv().encode())[:-9], SourceError, "cannot be read"),
    "broken UTF-8": ("x,user_id,item_id\né,1,2\nü,1,3\n".encode() + b"\xed\xa0\x80,1,4\n", InputError, "line 4"),
    "names twice in JSON": ('[{"user_id": 1, "item_id": 2, "item_id": 3}]', SourceError, "several values"),
    "names twice in lines": ('{"user_id": 1, "item_id": 2, "item_id": 3}\n' * 3, SourceError, "line 1"),
    "commas after lines": ('{"user_id": 1, "item_id": 2},\n' * 3, SourceError, "line 1"),
    "lists in JSON": ("[[1, 2], [3, 4]]", SourceError, "objects"),
    "an empty array": ("[]", SourceError, "no rows"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, name: str) -> None:
    content, error, said = REFUSED[name]
    path = tmp_path / ("events.json" if content[:1] in ("[", "{") else "events.csv")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(error, match=said):
        Interactions.read(path)


@pytest.mark.parametrize("read", [Index.build, Interactions.read, Texts.read, Vectors.read])
def test_parquet_with_a_name_that_is_no_utf8(read: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "odd.parquet"
    table = pa.table({"user": ["a", "b"], "item": ["c", "d"], "text": ["e f", "g"], "xqzw": [1.0, 2.0]})
    pq.write_table(table, path, compression="none", store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"xqzw", b"x\xb2zw"))
    with pytest.raises(SourceError, match="codec can't decode"):
        read(path)

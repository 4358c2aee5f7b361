"""Tables in files of every dialect are read as they were meant, or refused with the line."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path

import pytest

from isthmus.errors import ColumnError, InputError, SourceError
from isthmus.files import Told, open_table, read_table

ROWS = [["1", "26", "3"], ["1", "33", "4"], ["2", "5", "5"], ["3", "26", "1"]]
NAMES = ["user_id", "item_id", "rating"]


def written(delimiter: str, *, end: str = "\n") -> str:
    return "".join(delimiter.join(row) + end for row in [NAMES, *ROWS])


DIALECTS = {
    "comma": written(",").encode(),
    "semicolon": written(";").encode(),
    "tab": written("\t").encode(),
    "pipe": written("|").encode(),
    "two colons": written("::").encode(),
    "spaces": written("  ").encode(),
    "crlf": written(",", end="\r\n").encode(),
    "old Mac": written(",", end="\r").encode(),
    "no last line feed": written(",").removesuffix("\n").encode(),
    "blank lines": ("\n" + written(",").replace("\n", "\n\n")).encode(),
    "utf-8 mark": written(",").encode("utf-8-sig"),
    "utf-16 mark": written("\t").encode("utf-16"),
    "utf-16-le": written("\t").encode("utf-16-le"),
    "utf-16-be": written("\t").encode("utf-16-be"),
    "sep": ("sep=;\r\n" + written(";", end="\r\n")).encode(),
    "gzip": gzip.compress(written(",").encode()),
    "bzip2": bz2.compress(written(",").encode()),
    "xz": lzma.compress(written(",").encode()),
    "quoted": written(",").replace(",", '","').replace("\n", '"\n"').removesuffix('"').join(['"', ""]).encode(),
    "trailing delimiter": written(",", end=",\n").replace("rating,", "rating").encode(),
}


@pytest.mark.parametrize("contents", DIALECTS.values(), ids=DIALECTS)
def test_a_table_is_the_same_in_every_dialect(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "table.csv").write_bytes(contents)
    table = read_table(tmp_path / "table.csv")
    assert table.column_names[:3] == NAMES
    assert [list(row.values())[:3] for row in table.to_pylist()] == ROWS


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "::", " "])
def test_rows_without_names_are_seen(tmp_path: Path, delimiter: str) -> None:
    (tmp_path / "u.data").write_text("".join(delimiter.join(row) + "\n" for row in ROWS))
    table = read_table(tmp_path / "u.data")
    assert table.column_names == ["1", "2", "3"]
    assert [list(row.values()) for row in table.to_pylist()] == ROWS


@pytest.mark.parametrize("count", [1, 2, 10])
def test_a_quote_that_nobody_closes_is_a_letter(tmp_path: Path, count: int) -> None:
    lines = [f"{row}\t{row % 7}\t{'Her' if row >= count else chr(34) + 'Her'}oes" for row in range(50)]
    (tmp_path / "lone.tsv").write_text("user_id\titem_id\ttitle\n" + "\n".join(lines) + "\n")
    titles = read_table(tmp_path / "lone.tsv")["title"].to_pylist()
    assert titles == ['"Heroes'] * count + ["Heroes"] * (50 - count)


def test_quotes_keep_line_feeds_delimiters_and_quotes(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text('id,text\n1,"one, ""two""\nthree"\n2,plain\n3,"a\r\n\nb"\n', newline="")
    assert read_table(tmp_path / "table.csv")["text"].to_pylist() == ['one, "two"\nthree', "plain", "a\r\n\nb"]


def test_backslashes_make_quotes_letters(tmp_path: Path) -> None:
    (tmp_path / "books.csv").write_bytes('"ISBN";"Title"\n"1";"The \\"Best\\"; é"\n"2";"b"\n'.encode("latin-1"))
    assert read_table(tmp_path / "books.csv")["Title"].to_pylist() == ['The "Best"; é', "b"]


def test_one_quote_among_good_ones_costs_no_row(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "id,title,n\n" + '1,"Smith, John",2\n' * 9 + '2,"Heroes,3\n' + '3,"a ""b""",4\n' * 9
    )
    table = read_table(tmp_path / "t.csv")
    assert table["title"].to_pylist() == ["Smith, John"] * 9 + ['"Heroes'] + ['a "b"'] * 9


JSON = {
    "lines.jsonl": "".join(json.dumps({"id": 2**62 + row, "text": f"é {row}"}) + "\n" for row in range(3)),
    "array.json": json.dumps([{"id": 2**62 + row, "text": f"é {row}"} for row in range(3)], indent=1),
    "columns.json": json.dumps({"id": [2**62 + row for row in range(3)], "text": [f"é {row}" for row in range(3)]}),
    "pandas.json": json.dumps({"id": {r: 2**62 + r for r in range(3)}, "text": {r: f"é {r}" for r in range(3)}}),
    "lines.txt": "".join(json.dumps({"id": 2**62 + row, "text": f"é {row}"}) + "\n" for row in range(3)),
}


@pytest.mark.parametrize("name", JSON)
@pytest.mark.parametrize("packed", [False, True])
def test_json_is_read_in_every_shape(tmp_path: Path, name: str, packed: bool) -> None:
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(JSON[name].encode()) if packed else JSON[name].encode())
    table = read_table(path)
    assert table["id"].to_pylist() == [2**62 + row for row in range(3)]
    assert table["text"].to_pylist() == [f"é {row}" for row in range(3)]


def test_unsigned_numbers_stay_exact(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 18446744073709551615}\n{"id": 1}\n')
    assert read_table(tmp_path / "a.jsonl")["id"].to_pylist() == [2**64 - 1, 1]


REFUSED = {
    "short row": (b"a,b\n1,2\n\n3\n", "line 4 .* has 1 columns"),
    "long row": (b"a,b\n1,2\n3,4,5\n", "line 3 .* has 3 columns"),
    "zip": (b"PK\x03\x04rest", "zip archive"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(20), "PNG picture"),
    "nulls": (b"a,b\n1,2\n\x00\x01\x02\x03\x04\n" * 9, "null bytes"),
    "empty": (b"", "is empty"),
    "blank": (b"\n\n", "is empty"),
    "broken gzip": (gzip.compress(b"a,b\n1,2\n" * 99)[:-12], "cannot be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_table_is_refused(tmp_path: Path, case: str) -> None:
    contents, said = REFUSED[case]
    (tmp_path / "file.csv").write_bytes(contents)
    with pytest.raises(SourceError, match=said):
        read_table(tmp_path / "file.csv")


def test_what_is_said_counts(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("é;1,2\nü;3,4\n".encode("cp437"))
    told = Told.of("cp437", ",", header=False)
    assert open_table(tmp_path / "t.csv", told).read().to_pydict() == {"1": ["é;1", "ü;3"], "2": ["2", "4"]}
    with pytest.raises(InputError, match=r"line 1 .*UTF-8"):
        read_table(tmp_path / "t.csv", encoding="utf-8")


def test_columns_are_asked_for_by_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,a\n1,2,3\n")
    assert read_table(tmp_path / "t.csv", columns=["b"]).to_pydict() == {"b": ["2"]}
    with pytest.raises(ColumnError, match=r"2 columns 'a' \(1 and 3\)"):
        read_table(tmp_path / "t.csv", columns=["a"])
    with pytest.raises(ColumnError, match="no column 'c'"):
        read_table(tmp_path / "t.csv", columns=["c"])

"""A table written in any dialect is the same table when it is read."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.errors import InputError
from isthmus.files import read_table

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=12)
CELLS = WORDS | st.sampled_from(
    ["", "a,b", "c;d", 'say "no"', "two\nlines", '"', "5' 11\"", "x\ty", "1|2", "é", "NULL"]
)
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16")


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Rows of a number and two texts, below names."""
    texts = st.lists(st.tuples(CELLS, CELLS), min_size=3, max_size=12)
    return [["id", "one", "two"], *([str(row), *cells] for row, cells in enumerate(draw(texts)))]


@settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    table=tables(),
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(ENCODINGS),
)
def test_quoted_tables_come_back(
    tmp_path: Path, table: list[list[str]], delimiter: str, end: str, encoding: str
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_MINIMAL).writerows(table)
    path = tmp_path / "table.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    read = read_table(path, delimiter=delimiter)
    assert read.column_names == table[0]
    assert [list(row.values()) for row in read.to_pylist()] == table[1:]


PLAIN = st.text(
    st.characters(codec="latin-1", min_codepoint=33, exclude_characters=',;|:"\x7f'), min_size=1, max_size=8
).map(lambda word: "w" + "".join(letter for letter in word if letter.isprintable()))


@settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    words=st.lists(PLAIN, min_size=3, max_size=12),
    delimiter=st.sampled_from([",", ";", "\t", "|", "::"]),
    headed=st.booleans(),
    lone=st.booleans(),
)
def test_plain_tables_come_back_whatever_stands_between_columns(
    tmp_path: Path, words: list[str], delimiter: str, headed: bool, lone: bool
) -> None:
    texts = [('"' if lone and row == 1 else "") + word for row, word in enumerate(words)]
    rows = [[str(row), text, str(row % 5)] for row, text in enumerate(texts)]
    path = tmp_path / "table.txt"
    path.write_text("".join(delimiter.join(row) + "\n" for row in [*([["id", "word", "n"]] if headed else []), *rows]))
    read = read_table(path)
    assert read.column_names == (["id", "word", "n"] if headed else ["1", "2", "3"])
    assert [list(row.values()) for row in read.to_pylist()] == rows


@settings(derandomize=True, deadline=None, max_examples=150, suppress_health_check=list(HealthCheck))
@given(
    content=st.binary(max_size=60)
    | st.lists(st.sampled_from([b'"', b",", b"\n", b"a", b"1", b";", b"\r", b"\xe9"]), max_size=40).map(b"".join)
)
def test_any_bytes_are_read_or_refused_and_no_line_is_lost(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bytes.csv"
    path.write_bytes(content)
    try:
        table = read_table(path)
    except InputError:
        return
    assert table.num_columns
    cells = "".join(cell or "" for column in table.columns for cell in column.to_pylist()) + "".join(table.column_names)
    letters = content.count(b"a")
    assert cells.count("a") == letters or content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in content


CASES = Path(__file__).parents[2].parent / "shared" / "cases" / "interactions"
ROWS = {
    "lone_quote.tsv": 654,
    "lone_quote_item.tsv": 654,
    "movies.dat": 40,
    "ratings.dat": 654,
    "u.data": 654,
    "u.item": 40,
}
ROWS |= {
    "movies_latin1.csv": 40,
    "BX-Books.csv": 40,
    "BX-Book-Ratings.csv": 654,
    "excel_sep.csv": 654,
    "utf16.csv": 654,
}
ROWS |= {"excel_decimal_comma.csv": 654}


@pytest.mark.parametrize("name", ROWS)
def test_files_that_people_had_trouble_with(name: str) -> None:
    if not CASES.is_dir():
        pytest.skip("the files are not there")
    assert read_table(CASES / name).num_rows == ROWS[name]

"""Texts from files, columns, lists and iterators."""

from __future__ import annotations

import bz2
import copy
import csv
import gzip
import json
import lzma
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import ColumnError, InputError, SettingError, SourceError
from isthmus.testing._same import same
from isthmus_text.files import packed, plain
from isthmus_text.texts import Texts


@pytest.fixture
def write(tmp_path):
    def written(contents, name="texts.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
        return path

    return written


@pytest.fixture
def tiny(monkeypatch):
    """Everything goes to disk, and blocks are so small that every seam is met."""
    monkeypatch.setattr(packed, "IN_MEMORY", 4)
    monkeypatch.setattr(plain, "IN_MEMORY", 4)
    monkeypatch.setattr(plain, "BLOCK", 5)
    monkeypatch.setattr(packed, "BLOCK", 5)


LINES = "one\r\n\r\n\ttwo  \n\u2028x\u0085\x0b\nlast é 🙂"
EXPECTED = ["one", "", "\ttwo  ", "\u2028x\u0085\x0b", "last é 🙂"]


def test_lines_end_at_line_feeds_only(write):
    for bom in ["", "\ufeff"]:
        for end in ["", "\n", "\r\n"]:
            assert list(Texts.read(write(bom + LINES + end))) == EXPECTED


def test_large_files_are_mapped_and_read_alike(write, tiny):
    texts = Texts.read(write("\ufeff" + LINES))
    assert list(texts) == EXPECTED
    assert [texts[row] for row in range(len(texts))] == EXPECTED


def test_packed_files(write):
    for suffix, pack in [("gz", gzip.compress), ("xz", lzma.compress), ("bz2", bz2.compress)]:
        assert list(Texts.read(write(pack(LINES.encode()), f"texts.txt.{suffix}"))) == EXPECTED
        with pytest.raises(SourceError, match="cannot be read"):
            Texts.read(write(pack(LINES.encode())[:-9], f"cut.txt.{suffix}"))


def test_other_encodings(write, tiny):
    for encoding in ["utf-16", "utf-8-sig", "UTF8", "utf-32"]:
        assert list(Texts.read(write(LINES.encode(encoding)), encoding=encoding)) == EXPECTED


def test_other_encodings_are_found_out_or_named(write, caplog):
    path = write("gut\nschön\n".encode("latin-1"))
    assert list(Texts.read(path, encoding="latin-1")) == ["gut", "schön"]
    assert list(Texts.read(path)) == ["gut", "schön"]
    assert "read as cp1252" in caplog.text
    with pytest.raises(InputError, match=r"line 2 .*latin-1"):
        Texts.read(path, encoding="utf-8")
    with pytest.raises(SettingError, match="klingon"):
        Texts.read(path, encoding="klingon")
    with pytest.raises(InputError, match=r"line 2 .*ascii"):
        Texts.read(path, encoding="ascii")


def test_invalid_utf8_names_its_line(write, tiny):
    for wrong in [b"\xff", b"\xc3", b"\xe2\x82", b"\xc3\n"]:
        with pytest.raises(InputError, match="line 3"):
            Texts.read(write(b"some\nlines\nand " + wrong), encoding="utf-8")


def test_what_is_no_text(write, tmp_path):
    for empty in ("", "\ufeff"):
        with pytest.raises(SourceError, match="is empty"):
            Texts.read(write(empty))
    assert list(Texts.read(write("abc\n".encode("utf-16-le")))) == ["abc"]
    with pytest.raises(SourceError, match="null bytes"):
        Texts.read(write(b"abc\x00\n"))
    for start, said in ((b"PK\x03\x04", "zip archive"), (b"\x89PNG\r\n", "PNG picture"), (b"%PDF-1.7", "PDF")):
        with pytest.raises(SourceError, match=said):
            Texts.read(write(start))
    with pytest.raises(SourceError, match=r"absent\.txt"):
        Texts.read("absent.txt")
    with pytest.raises(SettingError, match="unit='document'"):
        Texts.read(tmp_path)
    for thing in (3, None, b"bytes", {"a": 1}):
        with pytest.raises(SourceError, match="path"):
            Texts.read(thing)


def test_an_unknown_unit():
    read = Texts.read.__func__
    unchecked = getattr(read, "__wrapped__", read)  # past the run-time type check that only the tests have
    with pytest.raises(SettingError, match="unit='word'"):
        unchecked(Texts, ["a"], unit="word")


def test_documents(write, tmp_path):
    first = write("\ufeffone\r\ntwo\r\n", "docs/a.txt")
    write("", "docs/b.txt")
    write("three", "docs/sub/c.txt")
    write("not a document", "docs/readme.md")
    assert list(Texts.read(tmp_path / "docs", unit="document")) == ["one\ntwo\n", "", "three"]
    assert list(Texts.read(first, unit="document")) == ["one\ntwo\n"]
    with pytest.raises(InputError, match=r"line 2 of .*bad\.txt"):
        Texts.read(write(b"a\n\xff\n", "bad.txt"), unit="document", encoding="utf-8")
    with pytest.raises(SourceError, match="is empty"):
        Texts.read(tmp_path / "docs" / "b.txt", unit="document")
    (tmp_path / "none").mkdir()
    with pytest.raises(SourceError, match=r"no \.txt file"):
        Texts.read(tmp_path / "none", unit="document")


VALUES = ["plain", "", 'with "quotes", commas', "two\nlines", "é 🙂", "007"]


def test_a_column_of_a_csv_file(write):
    for pack in ["", "gz", "xz"]:
        for suffix, separator in [("csv", ","), ("tsv", "\t")]:
            frame = pd.DataFrame({"id": range(len(VALUES)), "text": VALUES})
            contents = frame.to_csv(index=False, sep=separator).encode()
            packed = {"": bytes, "gz": gzip.compress, "xz": lzma.compress}[pack](contents)
            path = write(packed, f"table.{suffix}" + (f".{pack}" if pack else ""))
            assert list(Texts.read(path)) == VALUES
            assert list(Texts.read(path, column="id")) == [str(row) for row in range(len(VALUES))]
            with pytest.raises(ColumnError, match="'body'"):
                Texts.read(path, column="body")


def test_a_csv_column_has_to_be_clear(write):
    assert list(Texts.read(write("body\na\nb\n", "one.csv"))) == ["a", "b"]
    assert list(Texts.read(write("title,body\na,b\n", "two.csv"))) == ["b"]
    assert list(Texts.read(write("id;said\n1;one two\n2;three four\n", "words.csv"))) == ["one two", "three four"]
    with pytest.raises(ColumnError, match=r"'one', 'two'.*column=NAME"):
        Texts.read(write("one,two\na,b\n", "two.csv"))


def test_texts_are_never_the_source_of_a_table(write, caplog):
    caplog.set_level("INFO")
    lines = "".join(json.dumps({"id": row, "text": f"hello {row}"}) + "\n" for row in range(5))
    expected = [f"hello {row}" for row in range(5)]
    for name in ("a.jsonl", "a.ndjson", "a.json", "a.txt", "a"):
        assert list(Texts.read(write(lines, name))) == expected
    assert list(Texts.read(write(gzip.compress(lines.encode()), "a.jsonl.gz"))) == expected
    assert list(Texts.read(write(json.dumps([json.loads(line) for line in lines.splitlines()]), "b.json"))) == expected
    table = "id\tsentence\n" + "".join(f"{row}\thello {row}\n" for row in range(5))
    for name in ("a.tsv", "b.txt"):
        assert list(Texts.read(write(table, name))) == expected
    assert "column 'sentence'" in caplog.text


def test_a_quote_that_nobody_closes_costs_no_text(write):
    texts = ['"He said' if row in (3, 7) else "He said" for row in range(20)]
    rows = "".join(f"{row}\t{text}\n" for row, text in enumerate(texts))
    assert list(Texts.read(write(f"score\ttext\n{rows}", "sts.tsv"))) == texts


def test_csv_files_that_cannot_be_read(write):
    with pytest.raises(InputError, match="line 3"):
        Texts.read(write(b"text\nfine\n\xff\n", "bytes.csv"), encoding="utf-8")
    assert list(Texts.read(write("text\nschön\n".encode("latin-1"), "l.csv"), encoding="latin-1")) == ["schön"]
    for contents, problem in ((b"", "is empty"), (b"a,text\n1,2\n3\n", "line 3 .* has 1"), (b"text\n", "no rows")):
        with pytest.raises(SourceError, match=problem):
            Texts.read(write(contents, "odd.csv"))


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_a_column_of_a_parquet_file(tmp_path, kind, caplog):
    column = pa.array([*VALUES, None], pa.string()).cast(kind)
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"n": range(len(VALUES) + 1), "text": column}), path, row_group_size=3)
    assert list(Texts.read(path)) == [*VALUES, ""]
    assert "1 of 7 texts" in caplog.text
    with pytest.raises(ColumnError, match=r"'n' .*int64"):
        Texts.read(path, column="n")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match="cannot be read"):
        Texts.read(path)


def test_a_column_of_a_table():
    for made in [pa.table, pd.DataFrame, pl.DataFrame]:
        table = made({"n": [1, 2], "text": ["a", "b"]})
        assert list(Texts.read(table)) == ["a", "b"]
        with pytest.raises(ColumnError, match="'x'"):
            Texts.read(table, column="x")


def test_a_sliced_table():
    table = pa.table({"text": ["skipped", "a", "bc", None, "d"]}).slice(1)
    assert list(Texts.read(table)) == ["a", "bc", "", "d"]


def test_iterables_are_gone_through_once():
    for made in [list, tuple, iter, pd.Series, pl.Series, lambda texts: (text for text in texts)]:
        texts = Texts.read(made(VALUES))
        assert list(texts) == list(texts) == VALUES
        assert len(texts) == 6
        assert texts.empty == 1
        assert texts.size == sum(len(text.encode()) for text in VALUES)


def test_what_is_no_str_is_named():
    with pytest.raises(InputError, match="text 2"):
        Texts.read(["a", 5])
    with pytest.raises(InputError, match="text 2"):
        Texts.read(["a", "\ud800"])
    with pytest.raises(SettingError, match="column='text'"):
        Texts.read(["a"], column="text")


def test_a_text_file_has_no_columns(write):
    with pytest.raises(ColumnError, match=r"no column 'text' in .*texts\.txt"):
        Texts.read(write("a"), column="text")


def test_no_texts_are_texts():
    texts = Texts.read([])
    assert len(texts) == 0
    assert list(texts) == []
    assert list(texts.subsample(3)) == []


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
QUICK = settings(derandomize=True, max_examples=50, deadline=None)


@QUICK
@given(st.lists(ANY_TEXT), st.integers(1, 4), st.integers(1, 9))
def test_blocks_hold_everything_in_order(given_texts, count, size):
    texts = Texts.read(given_texts)
    blocks = list(texts.blocks(count, size))
    assert [text for block in blocks for text in block] == given_texts
    assert all(0 < len(block) <= count for block in blocks)
    assert all(not block[1:] or len("".join(block[1:]).encode()) < size for block in blocks)


def test_texts_beyond_memory(tiny):
    texts = Texts.read(iter(VALUES))
    assert list(texts) == VALUES
    with pytest.raises(ValueError, match="read-only"):
        texts.packed.data[0] = 1


def test_selections_share_the_bytes():
    texts = Texts.read(["a", "b", "c", "d", "e"])
    chosen = texts.select(np.array([4, 0, 0]))
    assert list(chosen) == ["e", "a", "a"]
    assert chosen.packed.data is texts.packed.data
    assert list(texts.subsample(2)) == ["a", "c"]
    assert texts.subsample(5) is texts
    assert texts[-1] == "e"
    with pytest.raises(IndexError):
        texts[5]
    assert same(copy.deepcopy(texts), texts)
    assert Texts.of(texts) is texts
    assert list(Texts.of(["x"])) == ["x"]


@QUICK
@given(st.lists(ANY_TEXT, min_size=1))
def test_any_texts_come_back_from_files(given_texts):
    with tempfile.TemporaryDirectory() as folder:
        lines, table, columns = (Path(folder) / name for name in ("texts.txt", "texts.csv", "texts.parquet"))
        # A line is what stands between line feeds, less a carriage return at its end; a file may begin with a mark.
        kept = [text.replace("\n", " ").rstrip("\r").replace("\0", "") for text in given_texts]
        kept[0] = kept[0].removeprefix("\ufeff")
        lines.write_bytes("".join(f"{text}\n" for text in kept).encode())
        assert list(Texts.read(lines)) == kept
        with table.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["text"], *([text] for text in given_texts)])
        assert list(Texts.read(table)) == [text.replace("\0", "") for text in given_texts]
        pq.write_table(pa.table({"text": pa.array(given_texts, pa.string())}), columns)
        assert list(Texts.read(columns)) == given_texts


@QUICK
@given(st.binary(), st.sampled_from(["txt", "csv", "parquet", "txt.gz", "csv.xz"]), st.sampled_from(["utf-8", "ascii"]))
def test_any_bytes_are_read_or_refused(content, suffix, encoding):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"texts.{suffix}"
        path.write_bytes(content)
        try:
            texts = Texts.read(path, encoding=encoding)
        except InputError:
            return
        assert all(isinstance(text, str) for text in texts)

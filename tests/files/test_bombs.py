"""Compressed files that unpack to absurd sizes, and lines without end, are refused; what people compress is read."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from isthmus.errors import SourceError
from isthmus.files import json_table, opening, read_table, stream


def zstd(content: bytes) -> bytes:
    packed: bytes = pa.compress(content, "zstd", asbytes=True)
    return packed


PACKERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gz", gzip.compress),
    ("bz2", bz2.compress),
    ("xz", lzma.compress),
    ("zst", zstd),
]
ROW = b"1,1,1\n"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "LARGE", 1 << 14)
    monkeypatch.setattr(opening, "available_bytes", lambda: 1 << 17)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("ending", "pack"), PACKERS, ids=lambda one: one if isinstance(one, str) else "")
@pytest.mark.parametrize("inner", ["csv", "jsonl", "txt"])
def test_a_bomb_is_refused_and_the_way_out_is_named(
    tmp_path: Path, ending: str, pack: Callable[[bytes], bytes], inner: str
) -> None:
    row = b'{"a":1}\n' if inner == "jsonl" else ROW
    bomb = tmp_path / f"bomb.{inner}.{ending}"
    bomb.write_bytes(pack(row * 200_000))
    with pytest.raises(SourceError, match=r"unpacks to more than .*unpack the file first"):
        read_table(bomb)
    (tmp_path / f"bomb.{inner}").write_bytes(row * 1000)
    assert read_table(tmp_path / f"bomb.{inner}").num_rows >= 999


@pytest.mark.parametrize(("ending", "pack"), PACKERS, ids=lambda one: one if isinstance(one, str) else "")
def test_large_files_that_compress_well_are_read(tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]) -> None:
    (tmp_path / f"t.csv.{ending}").write_bytes(pack(b"a,b,c\n" + ROW * 100_000))
    assert read_table(tmp_path / f"t.csv.{ending}").num_rows == 100_000


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LONGEST_LINE", 1 << 20)
    (tmp_path / "t.csv").write_bytes(b"a,b\n" + b"1" * (1 << 24))
    with pytest.raises(SourceError, match="line of more than"):
        read_table(tmp_path / "t.csv")


def test_json_that_does_not_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_table, "WITH_ROWS", 10**15)
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n' * 100)
    with pytest.raises(SourceError, match="the memory that is free"):
        read_table(tmp_path / "t.jsonl")

"""Files of vectors as people write them: reading options are remembered, ids stay as written, bad cells are named."""

from __future__ import annotations

import bz2
from pathlib import Path

import numpy as np
import pytest

from isthmus.cli import main
from isthmus.errors import ColumnError, InputError, SettingError, ValueRangeError
from isthmus.index import Index, vector_files

ROWS = "007;Zoé;0,5;1\n010;Ann;1,5;0\n011;Ida;0;2,25\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("v.csv").write_bytes("".join(line.replace("é", "\x82") + "\n" for line in ROWS.splitlines()).encode("latin-1"))
    return tmp_path


def test_what_build_was_told_counts_for_later_files(home: Path) -> None:
    told = ["--encoding", "cp437", "--delimiter", ";", "--no-header"]
    Path("w.csv").write_bytes(b"".join(line[4:] + b"\n" for line in Path("v.csv").read_bytes().splitlines()))
    assert main(["index", "build", "w.csv", "--out", "v.index", "--ids", "1", *told]) == 0
    index = Index.load("v.index")
    assert index.ids == ["Zoé", "Ann", "Ida"]
    np.testing.assert_array_equal(index.vectors(["Zoé", "Ida"]), [[0.5, 1], [0, 2.25]])
    assert index.written.said() == {"encoding": "cp437", "delimiter": ";", "header": False}
    Path("more.csv").write_bytes("Andr\x82;9;9\n".encode("latin-1"))
    assert main(["index", "add", "v.index", "more.csv"]) == 0
    assert Index.load("v.index").ids[-1] == "André"
    Path("other.csv").write_text("id,a,b\nEva,1,2\n", encoding="utf-8")
    index.add("other.csv", encoding="utf-8", delimiter=",", header=True, ids="id")
    assert index.ids[-1] == "Eva"
    assert main(["index", "search", "v.index", "more.csv", "-k", "1"]) == 0
    assert main(["index", "benchmark", "v.index", "--queries", "more.csv"]) == 0


def test_ids_stay_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "v.csv.bz2"
    for ids, expected in (
        (("007", "010"), ["007", "010"]),
        (("7", "10.0"), [7, 10]),
        ((str(2**64 - 1), "1"), [2**64 - 1, 1]),
        (("1e5", "x"), ["1e5", "x"]),
    ):
        path.write_bytes(bz2.compress(f"id,a,b\n{ids[0]},1,2\n{ids[1]},3,4\n".encode()))
        vectors, found = vector_files.read(path)
        assert (found, vectors.tolist()) == (expected, [[1, 2], [3, 4]])
    vector_files.write(vectors, [2**64 - 1, 1], tmp_path / "v.parquet")
    assert vector_files.read(tmp_path / "v.parquet")[1] == [2**64 - 1, 1]


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("id,a,a\n1,2,3\n2,4,5\n", ColumnError, "2 columns 'a'"),
        ("id,a\n1,2\n,3\n", ValueRangeError, "line 3, column 'id'"),
        ("id,a\n1,2\n2,?\n3,4\n4,5\n", ValueRangeError, r"line 3, column 'a'.*'\?'"),
        ("a;b\n1;2\n1,5;2.5\n3;4\n2;2\n", ValueRangeError, "line 3, column 'a'.*'1,5'"),
    ],
)
def test_bad_cells_are_named(tmp_path: Path, text: str, error: type[InputError], said: str) -> None:
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(error, match=said):
        vector_files.read(tmp_path / "v.csv")


def test_options_of_text_are_refused_for_other_sources(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.eye(2))
    for source in (np.eye(2), tmp_path / "v.npy"):
        with pytest.raises(SettingError, match="delimiter"):
            Index.build(source, delimiter=";")

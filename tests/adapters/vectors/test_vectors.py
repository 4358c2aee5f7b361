"""Rows of numbers from whatever holds them, and what is said of everything else."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import coo_array, csr_matrix, random_array, save_npz

from isthmus.errors import ColumnError, InputError, SourceError, ValueRangeError
from isthmus_vectors import Vectors

NUMBERS = np.array([[1.0, 2.5], [3.0, -4.0], [5.0, 6.0]])
TABLE = {"a": [1, 3, 5], "b": [2.5, -4.0, 6.0]}


def test_the_same_rows_from_everything() -> None:
    for source in [
        NUMBERS,
        NUMBERS.tolist(),
        np.asfortranarray(NUMBERS),
        NUMBERS.astype(object),
        torch.tensor(NUMBERS),
        pd.DataFrame(TABLE),
        pd.DataFrame(TABLE, index=[7, 5, 9]),
        pl.DataFrame(TABLE),
        pa.table(TABLE),
    ]:
        read = Vectors.read(source)
        assert np.array_equal(read.dense(), NUMBERS)
        assert read.columns in (None, ("a", "b"))
        assert (len(read), read.width, read.is_sparse) == (3, 2, False)


def test_the_same_rows_from_files(tmp_path: Path) -> None:
    for name in ["t.csv", "t.tsv", "t.parquet", "t.npy", "bare.csv", "t.csv.gz"]:
        path = tmp_path / name
        frame = pd.DataFrame(TABLE)
        match name:
            case "t.parquet":
                frame.to_parquet(path)
            case "t.npy":
                np.save(path, NUMBERS)
            case "bare.csv":
                path.write_text("1,2.5\n3,-4\n5,6\n")
            case _:
                frame.to_csv(path, sep="\t" if "tsv" in name else ",", index=False)
        assert np.array_equal(Vectors.read(path).dense(), NUMBERS)
        assert np.array_equal(Vectors.read(str(path)).dense(), NUMBERS)


def test_sparse_rows_stay_sparse(tmp_path: Path) -> None:
    matrix = random_array((30, 50), density=0.1, format="csr", rng=0)
    save_npz(tmp_path / "m.npz", csr_matrix(matrix))
    for source in (matrix, coo_array(matrix), csr_matrix(matrix), tmp_path / "m.npz"):
        read = Vectors.read(source)
        assert read.is_sparse
        assert np.array_equal(read.dense(), matrix.toarray())
    doubled = coo_array((np.array([1.0, 2.0, 0.0]), (np.array([0, 0, 1]), np.array([1, 1, 0]))), shape=(2, 2))
    assert Vectors.read(doubled).values.nnz == 1


def test_fp32_stays_fp32() -> None:
    assert Vectors.read(NUMBERS.astype(np.float32)).dense().dtype == np.float32
    assert Vectors.read(pa.table({"a": pa.array([1.0], pa.float32())})).dense().dtype == np.float32
    assert Vectors.read(np.array([[1]])).dense().dtype == np.float64


def test_the_source_is_not_changed() -> None:
    source = NUMBERS.copy()
    Vectors.read(source).dense()[:] = 0
    assert np.array_equal(source, NUMBERS)


def test_a_column_of_lists_is_an_embedding() -> None:
    table = pa.table({"id": [4, 5], "vector": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]})
    read = Vectors.read(table, columns=["vector"])
    assert read.columns == ("vector.0", "vector.1", "vector.2")
    assert np.array_equal(read.dense(), [[1, 2, 3], [4, 5, 6]])
    with pytest.raises(InputError, match=r"row 2 .*'v'"):
        Vectors.read(pa.table({"v": [[1.0, 2.0], [1.0]]}))
    with pytest.raises(InputError, match="holds nothing"):
        Vectors.read(pa.table({"v": [[1.0, 2.0], None]}))


def test_columns_are_chosen_by_name() -> None:
    table = pd.DataFrame({"name": ["x", "y"], "a": [1, 2], "b": [True, False]})
    assert Vectors.read(table, columns=["b", "a"]).dense().tolist() == [[1, 1], [0, 2]]
    assert Vectors.read(table, drop=["name"]).columns == ("a", "b")
    assert Vectors.read(Vectors.read(table, drop=["name"]), columns=["a"]).dense().tolist() == [[1], [2]]
    with pytest.raises(ColumnError, match=r"drop=\['name'\]"):
        Vectors.read(table)
    with pytest.raises(ColumnError, match="did you mean 'a'"):
        Vectors.read(table, columns=["aa"])
    with pytest.raises(ColumnError, match="no column 'z'"):
        Vectors.read(table, drop=["z", "name"])
    with pytest.raises(ColumnError, match="have no names"):
        Vectors.read(NUMBERS, columns=["a"])


def test_parts_of_rows() -> None:
    read = Vectors.read(np.arange(20).reshape(10, 2))
    assert read.select(np.array([3, 1])).dense().tolist() == [[6, 7], [2, 3]]
    assert len(read.subsample(4)) == 4
    assert read.subsample(99) is read
    assert [len(block) for block in read.blocks(4)] == [4, 4, 2]


def test_what_is_no_rows_of_numbers() -> None:
    for source, error, says in [
        (np.array([[1.0, np.nan]]), ValueRangeError, "row 1, column 2 of the source holds no number"),
        (np.array([[1.0], [np.inf]]), ValueRangeError, "row 2, column 1 of the source holds inf"),
        (pd.DataFrame({"a": [1.0, None]}), ValueRangeError, "row 2, column 'a' of the table holds no number"),
        (csr_matrix(np.array([[0, np.nan]])), ValueRangeError, "row 1, column 2"),
        (np.zeros(3), InputError, r"reshape\(-1, 1\)"),
        (np.zeros((2, 2, 2)), InputError, "shape"),
        (pd.Series([1.0, 2.0]), InputError, "shape"),
        (np.zeros((0, 3)), SourceError, "no rows"),
        (np.zeros((3, 0)), SourceError, "no columns"),
        (pd.DataFrame({"a": []}), SourceError, "no rows"),
        ([[1.0, 2.0], [3.0]], InputError, "one length"),
        ([["a", "b"]], InputError, "real numbers"),
        (np.array([[1j]]), InputError, "real numbers"),
        (csr_matrix(np.array([[1j]])), InputError, "real numbers"),
        (np.array([[{"a": 1}]]), InputError, "rows of numbers"),
        (None, InputError, "NoneType"),
    ]:
        with pytest.raises(error, match=says):
            Vectors.read(source)


def test_files_that_are_none(tmp_path: Path) -> None:
    def made(name: str, content: bytes) -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    wrong = {
        "gone.csv": (None, "does not exist"),
        "a.txt": (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
        "empty.csv": (b"", "is empty"),
        "header.csv": (b"a,b\n", "no rows"),
        "broken.parquet": (b"PAR1 nothing", "cannot be read"),
        "broken.npy": (b"\x93NUMPY nothing", "cannot be read"),
        "broken.npz": (b"nothing", "cannot be read"),
        "ragged.csv": (b"a,b\n1,2\n3\n", "line 3 of .* has 1 columns"),
    }
    for name, (content, says) in wrong.items():
        path = tmp_path / name if content is None else made(name, content)
        with pytest.raises(SourceError, match=says):
            Vectors.read(path)
    with pytest.raises(SourceError, match="is a directory"):
        Vectors.read(tmp_path)
    np.save(tmp_path / "objects.npy", np.array([[{"a": 1}]]), allow_pickle=True)
    with pytest.raises(SourceError, match="no objects"):
        Vectors.read(tmp_path / "objects.npy")
    with pytest.raises(ColumnError, match="columns 'name', 'day'"):
        Vectors.read(made("words.csv", b"name,day,a\nx,2026-01-01,1\n"))


def test_missing_cells_of_a_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,\n")
    with pytest.raises(ValueRangeError, match=r"line 3, column 'b' \(2\) of .*t\.csv "):
        Vectors.read(tmp_path / "t.csv")


QUICK = settings(derandomize=True, max_examples=50, deadline=None)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@QUICK
@given(arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 4)), elements=FINITE))
def test_any_finite_numbers_come_back_from_files(rows: np.ndarray) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place, frame = Path(folder), pd.DataFrame(rows, columns=list("abcd")[: rows.shape[1]])
        np.save(place / "t.npy", rows)
        frame.to_parquet(place / "t.parquet")
        frame.to_csv(place / "t.csv", index=False)
        save_npz(place / "t.npz", csr_matrix(rows))
        for name in ("t.npy", "t.parquet", "t.csv", "t.npz"):
            assert np.array_equal(Vectors.read(place / name).dense(), rows), name


@QUICK
@given(st.binary(), st.sampled_from(["csv", "tsv", "parquet", "npy", "npz", "csv.gz"]), st.booleans())
def test_any_bytes_are_read_or_refused(content: bytes, suffix: str, with_magic: bool) -> None:
    magic = {"npy": b"\x93NUMPY\x01\x00", "npz": b"PK\x03\x04", "parquet": b"PAR1"}.get(suffix, b"1,2\n")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"t.{suffix}"
        path.write_bytes(magic * with_magic + content)
        try:
            read = Vectors.read(path)
        except InputError:
            return
        assert np.isfinite(read.dense()).all()

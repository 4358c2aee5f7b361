"""Arrays in files: what they say of their size is weighed first, and no file takes the process along."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import random_array, save_npz

from isthmus.checked import paths
from isthmus.checked.arrays import npy_of, read_npy, read_npz, read_sparse
from isthmus.checked.paths import plain_file, read_limited
from isthmus.datafolder import unpacked
from isthmus.errors import InputError, SourceError

CASES = Path(__file__).parents[3] / "shared" / "cases" / "vectors"


def header(text: str, version: bytes = b"\x01\x00") -> bytes:
    line = text.encode()
    line += b" " * (-(len(line) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(line)) + line


def npy(shape: str, kind: str = "<f8", content: bytes = b"\0" * 80) -> bytes:
    return header(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}") + content


def archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "dia"])
@pytest.mark.parametrize("packed", [True, False])
def test_sparse_matrices_there_and_back(tmp_path: Path, kind: str, packed: bool):
    made = random_array((30, 20), density=0.2, rng=np.random.default_rng(1), format=kind)
    save_npz(tmp_path / "a.npz", made, compressed=packed)
    assert np.array_equal(read_sparse(tmp_path / "a.npz").toarray(), made.toarray())


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 3), (2, 3, 4)])
def test_arrays_there_and_back(tmp_path: Path, shape: tuple[int, ...], order: Any):
    made = np.asarray(np.random.default_rng(0).random(shape), order=order)
    np.savez(tmp_path / "a.npz", x=made, y=made.astype(np.int16))
    read = read_npz(tmp_path / "a.npz")
    assert np.array_equal(read["x"], made)
    assert read["y"].dtype == np.int16
    np.save(tmp_path / "a.npy", made)
    assert np.array_equal(npy_of((tmp_path / "a.npy").read_bytes(), "a"), made)
    assert np.array_equal(read_npy(tmp_path / "a.npy"), made)


WRONG = {
    "sixteen terabytes": npy("(2000000000000,)"),
    "a product that overflows": npy("(8589934592, 2147483648)"),
    "a negative length": npy("(-3,)"),
    "objects": npy("(3,)", "|O"),
    "another version": header("{}", b"\x07\x00"),
    "no header": b"\x93NUMPY\x01\x00\xff\xff{",
    "nested": header("(" * 3000),
    "minus signs": header("-" * 9000 + "1"),
    "no dictionary": header("[]"),
    "a list as key": header("{[]: 1}"),
    "no type": npy("(3,)", "nonsense"),
    "truncated": npy("(11,)"),
    "text": b"hello",
    "nothing": b"",
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
def test_arrays_that_are_none(tmp_path: Path, content: bytes):
    with pytest.raises(SourceError):
        npy_of(content, "a.npy")
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(SourceError):
        read_npy(tmp_path / "a.npy")
    with pytest.raises(SourceError):
        read_npz(archive(tmp_path / "a.npz", x=content))


def test_archives_that_are_none(tmp_path: Path):
    path = tmp_path / "a.npz"
    with pytest.raises(SourceError, match="sparse matrix"):
        read_sparse(archive(path, x=npy("(10,)")))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
        file.writestr("x.npy", npy("(10,)"))
    with pytest.raises(SourceError, match="unusual"):
        read_npz(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x.npy", npy("(10,)"))
        file.writestr("x", npy("(10,)"))
    with pytest.raises(SourceError, match="different names"):
        read_npz(path)


def test_an_archive_that_unpacks_to_more_than_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = archive(tmp_path / "a.npz", x=npy("(1000000,)", content=b"\0" * 8_000_000))
    assert path.stat().st_size < 20_000
    assert len(read_npz(path)["x"]) == 1_000_000
    monkeypatch.setattr(paths, "available_bytes", lambda: 1_000_000)
    with pytest.raises(SourceError, match="memory"):
        read_npz(path)


def test_a_packed_file_that_unpacks_to_more_than_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"\0" * 50_000_000))
    assert len(unpacked(tmp_path / "a.gz")) == 50_000_000
    monkeypatch.setattr(paths, "available_bytes", lambda: 40_000_000)
    with pytest.raises(SourceError, match="memory"):
        unpacked(tmp_path / "a.gz")


def test_a_matrix_of_more_rows_than_memory(tmp_path: Path):
    parts = {"format": np.array(b"coo"), "row": np.zeros(1, int), "col": np.zeros(1, int), "data": np.ones(1)}
    np.savez(tmp_path / "a.npz", shape=np.array([2**40, 3]), **parts)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="rows and"):
        read_sparse(tmp_path / "a.npz")


def test_each_number_of_a_matrix_in_a_file_changed(tmp_path: Path):
    made = random_array((7, 5), density=0.5, rng=np.random.default_rng(1), format="csr")
    parts = {"format": np.array(b"csr"), "shape": np.array([7, 5]), "data": made.data}
    for number in (-1, 5, 7, 1000, 2**31, 2**62, -(2**63)):
        for name in ("indices", "indptr"):
            for place in range(len(getattr(made, name))):
                changed = getattr(made, name).astype(np.int64)
                changed[place] = number
                own = {"indices": made.indices, "indptr": made.indptr, name: changed}
                np.savez(tmp_path / "a.npz", **parts, **own)  # type: ignore[arg-type]
                if name == "indptr" and number in (5, 7):
                    continue  # may be another matrix
                with pytest.raises(InputError):
                    read_sparse(tmp_path / "a.npz")


@pytest.mark.skipif(not CASES.is_dir(), reason="needs the folder of cases beside the checkout")
def test_matrices_that_ended_the_process():
    from isthmus_vectors.vectors import Vectors

    found = sorted(CASES.glob("*.npz"))
    assert found
    for path in found:
        with pytest.raises(InputError):
            Vectors.read(path)


def test_what_is_no_plain_file_is_not_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    found = {"pipe.npy": "pipe", "loop": "itself", "gone": "nowhere", "x": "exist", "a" * 999: "looked"}
    for name, said in found.items():
        with pytest.raises(SourceError, match=said):
            plain_file(tmp_path / name)
    for path, said in {"/dev/zero": "device", "/": "directory", "a\0b": "not a path"}.items():
        with pytest.raises(SourceError, match=said):
            plain_file(path)
    (tmp_path / "link").symlink_to(__file__)
    assert plain_file(tmp_path / "link").read_bytes() == Path(__file__).read_bytes()
    with pytest.raises(SourceError, match="more than"):
        read_limited(__file__, 10, "a short file")
    assert io.BytesIO(read_limited(__file__, 10**6, "a file")).getvalue() == Path(__file__).read_bytes()

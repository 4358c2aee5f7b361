"""Reads NumPy arrays and sparse matrices from files: sizes are checked before memory is allocated, and nothing is
unpickled."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy
from scipy.sparse import csr_array

from isthmus.checked.paths import check_fits, plain_file
from isthmus.checked.sparse import from_parts
from isthmus.errors import InputError, SourceError

Array = npt.NDArray[Any]

MOST_MEMBERS = 10_000
"""Maximum number of arrays in an archive."""

PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The compression methods of NumPy; others would let a file choose how much memory decompression takes."""

SPARSE = ("csr", "csc", "bsr", "coo", "dia")


def read_npy(path: str | Path) -> Array:
    """Memory-map the array of a ``.npy`` file, read-only.

    Raises:
        SourceError: not a plain file, or a file that is damaged, shorter than its header says, or holds objects.
    """
    place = plain_file(path, "a .npy file")
    with _readable(place, ".npy file of numbers"):
        with place.open("rb") as file:
            _header(file, place.stat().st_size)
        mapped: Array = np.load(place, mmap_mode="r", allow_pickle=False)
    return mapped


def npy_of(content: bytes, name: str) -> Array:
    """The array in the content of a ``.npy`` file; read-only, sharing the memory of ``content``.

    Args:
        content: content of the file.
        name: its name in error messages.

    Raises:
        SourceError: the content is damaged, shorter than its header says, or holds objects.
    """
    with _readable(name, ".npy file of numbers"):
        return _parsed(content)


def read_npz(path: str | Path) -> dict[str, Array]:
    """All arrays of a ``.npz`` archive by name.

    Raises:
        SourceError: not a plain file, or an archive that is damaged, does not fit into free memory, or holds objects.
    """
    place = plain_file(path, "a .npz file")
    with _readable(place, ".npz file of numbers"), place.open("rb") as file:
        return _unpacked(file, str(place))


def npz_of(content: bytes, name: str) -> dict[str, Array]:
    """``read_npz`` for the content of a file.

    Args:
        content: content of the file.
        name: its name in error messages.

    Raises:
        SourceError: as for ``read_npz``.
    """
    with _readable(name, ".npz file of numbers"):
        return _unpacked(io.BytesIO(content), name)


def read_sparse(path: str | Path) -> csr_array:
    """The sparse matrix of a ``.npz`` file that ``scipy.sparse.save_npz`` wrote.

    Raises:
        SourceError: as for ``read_npz``, or the archive is not a sparse matrix.
        InputError: inconsistent parts of a matrix.
        ValueRangeError: an entry outside the matrix.
    """
    parts = read_npz(path)
    with _readable(path, ".npz file of a sparse matrix"):
        return from_parts(_matrix(parts, str(path)), f"the matrix in {str(path)!r}")


def _matrix(parts: Mapping[str, Array], where: str) -> SimpleNamespace:
    if not {"format", "shape", "data"} <= parts.keys():
        raise SourceError(
            f"{where!r} holds {', '.join(sorted(parts)[:5]) or 'nothing'}",
            expected="a sparse matrix, as scipy.sparse.save_npz writes it",
        )
    kind = parts["format"].item()
    kind = kind.decode("ascii") if isinstance(kind, bytes) else str(kind)
    if kind not in SPARSE:
        raise SourceError(f"{where!r} holds a sparse matrix of the format {kind!r}", expected=f"{', '.join(SPARSE)}")
    held: dict[str, Any] = dict(parts)
    if "coords" in held:
        held["row"], held["col"] = held["coords"]
    shape = [int(length) for length in parts["shape"].ravel()[:3]]
    return SimpleNamespace(**{**held, "format": kind, "shape": shape})


def _unpacked(file: Any, name: str) -> dict[str, Array]:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        names = [member.filename.removesuffix(".npy") for member in members]
        if len(members) > MOST_MEMBERS or len(set(names)) < len(names):
            raise SourceError(f"{name!r} is an archive of {len(members):,} files", expected="arrays of different names")
        check_fits(sum(member.file_size for member in members), f"what is packed in {name!r}")
        return {own: _member(archive, member) for own, member in zip(names, members, strict=True)}


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array:
    if member.compress_type not in PLAIN or member.flag_bits & 1:
        raise SourceError(f"{member.filename!r} is packed in an unusual way", expected="as NumPy packs arrays")
    with archive.open(member) as file:
        return _parsed(file.read(member.file_size))


def _parsed(content: bytes) -> Array:
    file = io.BytesIO(content)
    shape, in_columns, kind = _header(file, len(content))
    count = math.prod(shape)
    flat = np.frombuffer(content, kind, count, file.tell()) if count else np.empty(0, kind)
    return flat.reshape(shape[::-1]).T if in_columns else flat.reshape(shape)


def _header(file: Any, size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type of an array, checked against the length of the file."""
    version = npy.read_magic(file)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version} of the format")
    shape, in_columns, kind = readers[version](file)
    if kind.hasobject:
        raise ValueError("objects, which are not read")
    if any(length < 0 for length in shape):
        raise ValueError(f"the shape {shape}")
    need, left = math.prod(shape) * kind.itemsize, size - file.tell()
    if need > left or (not kind.itemsize and math.prod(shape)):
        raise ValueError(f"{need:,} bytes by its header, {left:,} in the file")
    return shape, in_columns, kind


@contextmanager
def _readable(path: str | Path, what: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # whatever the parsers of NumPy and zipfile raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise SourceError(f"{str(path)!r} cannot be read ({reason})", expected=f"a whole {what}, no objects") from None

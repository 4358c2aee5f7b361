"""Arrays that are files: what is larger than memory is mapped, and so are the parts that are taken out of it.

A function that copies a part of an array asks ``room`` for the place of the copy: memory, as usual, or an unnamed file
beside the one that the array is mapped from. Work on such arrays goes block by block (``pieces``).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from isthmus.disk.files import allocate

Array = npt.NDArray[Any]

PIECE = 1 << 22
"""Entries that are worked on at a time."""

_FOLDER = "scratch_folder"


def pieces(count: int, size: int = PIECE) -> Iterator[slice]:
    """The whole range of so many entries, some at a time."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def is_mapped(array: Array) -> bool:
    """Whether the numbers of an array are in a file."""
    return _origin(array) is not None


def constant(value: np.generic, count: int) -> Array:
    """The same number many times, which takes no memory; it cannot be written to."""
    return np.broadcast_to(np.asarray(value), (count,))


def is_constant(array: Array) -> bool:
    """Whether it is known without a look that all numbers of an array are the same."""
    return array.ndim == 1 and len(array) > 0 and array.strides[0] == 0


def room(like: Array, count: int) -> Array:
    """Place for so many numbers of the type of an array, in memory, or in an unnamed file if that one is mapped.

    Args:
        like: an array of one dimension, of which a part will be copied.
        count: of numbers.

    Returns:
        An array to be written to. The file is gone as soon as nobody uses it, however the process ends.

    Raises:
        OSError: the disk is full.
    """
    origin = _origin(like)
    if origin is None or not count:
        return np.empty(count, like.dtype)
    folder = getattr(origin, _FOLDER, None) or (origin.filename and Path(origin.filename).parent)
    with _unnamed(folder) as file:
        allocate(file, 0, count * like.dtype.itemsize)
        mapped = np.memmap(file, like.dtype, "r+", shape=(count,))
    setattr(mapped, _FOLDER, folder)
    return np.asarray(mapped)


def _unnamed(folder: Path | None) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(dir=folder)
    except OSError:
        # Nothing may be written beside the data.
        return tempfile.TemporaryFile()


def _origin(array: Any) -> Any:
    """The mapped file behind an array; None for one in memory."""
    found = None
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            found = array
        array = array.base
    return found

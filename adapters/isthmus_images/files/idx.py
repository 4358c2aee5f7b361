"""IDX files, the format of MNIST: a header of big-endian sizes, then bytes; optionally compressed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from isthmus.datafolder import unpacked
from isthmus.errors import SourceError

NAMED = re.compile(r"(ubyte|\.idx\d?)(\.gz|\.xz)?$")
BYTES = 0x08


def is_idx(path: Path) -> bool:
    """Whether a file name has such a form, for example ``train-images-idx3-ubyte.gz``."""
    return NAMED.search(path.name) is not None


def read_idx(path: Path, dimensions: int | None = None) -> npt.NDArray[np.uint8]:
    """The array of a file, decompressed if its name ends in .gz or .xz.

    Args:
        dimensions: required number of dimensions; None accepts any.

    Raises:
        SourceError: it cannot be read, is not an IDX file of bytes, or is truncated.
    """
    content = unpacked(path)
    if len(content) < 4 or content[:2] != b"\0\0":
        raise SourceError(f"{path} is not an IDX file", expected="two zero bytes, a type, the number of dimensions")
    kind, count = content[2], content[3]
    if kind != BYTES or count < 1 or (dimensions is not None and count != dimensions):
        wanted = "" if dimensions is None else f" in {dimensions} dimensions"
        raise SourceError(f"{path} holds type {kind:#04x} in {count} dimensions", expected=f"bytes (0x08){wanted}")
    start = 4 + 4 * count
    sizes = np.frombuffer(content[4:start], ">u4").astype(np.int64).tolist() if len(content) >= start else []
    expected = int(np.prod(np.array(sizes, dtype=object))) if sizes else -1
    if expected != len(content) - start:
        raise SourceError(
            f"{path} holds {max(len(content) - start, 0):,} bytes of data",
            expected=f"{expected:,}, as its header says" if sizes else "a whole header",
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes).copy()


def labels_beside(path: Path) -> tuple[str, ...] | None:
    """The labels of a file of images, if a label file with MNIST's name is next to it.

    Raises:
        SourceError: it exists and cannot be read.
    """
    beside = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
    if beside.name == path.name or not beside.is_file():
        return None
    found: Any = read_idx(beside, 1)
    return tuple(map(str, found.tolist()))

"""The folder of data sets for tests and benchmarks: the environment variable ``ISTHMUS_DATA`` or, in a checkout,
``../shared/data``. It has one folder per data set, as described in its README.
"""

from __future__ import annotations

import gzip
import lzma
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from isthmus.checked.paths import check_fits, plain_file
from isthmus.errors import SourceError

VARIABLE = "ISTHMUS_DATA"


def data_folder() -> Path:
    """The folder of data sets.

    Raises:
        SourceError: the folder does not exist.
    """
    named = os.environ.get(VARIABLE)
    checkout = Path(__file__).resolve().parents[2]
    beside = checkout.parent / "shared" / "data" if (checkout / "pyproject.toml").is_file() else None
    folder = Path(named) if named else beside
    if folder is not None and folder.is_dir():
        return folder
    raise SourceError(
        f"no folder of data sets ({VARIABLE} {f'names {named}' if named else 'is not set'})",
        expected="a folder with one folder for each data set",
        remedy=f"set the environment variable {VARIABLE} to it",
    )


def dataset_path(name: str) -> Path:
    """The path of a file or folder in the data folder, such as ``ml-1m/ratings.npz``.

    Raises:
        SourceError: it does not exist.
    """
    path = data_folder() / name
    if path.exists():
        return path
    raise SourceError(
        f"no {name} in {data_folder()}",
        expected=f"one of {', '.join(sorted(found.name for found in data_folder().iterdir()))}",
        remedy=f"set the environment variable {VARIABLE} to a folder that has it",
    )


def unpacked(path: Path) -> bytes:
    """The contents of a file, decompressed if its name ends in .gz or .xz.

    Raises:
        SourceError: it cannot be read or decompressed, or needs more memory than is free.
    """
    plain_file(path)
    try:
        check_fits(path.stat().st_size, str(path))
        with OPENERS.get(path.suffix, Path.open)(path, "rb") as file:
            return _contents(file, str(path))
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise SourceError(f"{path} cannot be read ({error})", expected="a whole file") from error


OPENERS: Mapping[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}

STEP = 1 << 24
"""Number of bytes that are unpacked at a time, because a small file may contain more than fits in memory."""


def _contents(file: Any, name: str) -> bytes:
    parts: list[bytes] = []
    size = 0
    while part := file.read(STEP):
        parts.append(part)
        size += len(part)
        # In the end, both the parts and the whole are in memory.
        check_fits(size + STEP, f"what is packed in {name!r}")
    return parts[0] if len(parts) == 1 else b"".join(parts)

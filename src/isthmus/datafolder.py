"""Where data sets for tests and benchmarks lie: the folder that the environment variable ``ISTHMUS_DATA`` names, or, in
a checkout, ``../shared/data`` beside it. One folder a data set, as its README says.
"""

from __future__ import annotations

import gzip
import lzma
import os
import zlib
from pathlib import Path

from isthmus.errors import SourceError

VARIABLE = "ISTHMUS_DATA"


def data_folder() -> Path:
    """Where the data sets are.

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
    """A file or folder below the data folder, such as ``ml-1m/ratings.npz``.

    Raises:
        SourceError: it is not there.
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
        SourceError: it cannot be read or decompressed.
    """
    openers = {".gz": gzip.decompress, ".xz": lzma.decompress}
    try:
        contents = path.read_bytes()
        return openers[path.suffix](contents) if path.suffix in openers else contents
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise SourceError(f"{path} cannot be read ({error})", expected="a whole file") from error

"""Arrays in files: ``.npy`` and ``.npz``, optionally compressed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from isthmus.checked.arrays import npy_of, npz_of
from isthmus.datafolder import unpacked
from isthmus.errors import SourceError

PACKED = (".gz", ".xz")
ENDS = (".npy", ".npz")


def is_array(path: Path) -> bool:
    """Whether a file name has such an extension, such as ``images.npy`` or ``images.npz.xz``."""
    return _plain_name(path).endswith(ENDS)


def read_arrays(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """The array of a ``.npy`` file under the name of the file, or those of a ``.npz`` file under theirs.

    Raises:
        SourceError: it cannot be read, or contains something other than plain arrays.
    """
    content = unpacked(path)
    if _plain_name(path).endswith(".npy"):
        return {path.name: npy_of(content, str(path))}
    found = npz_of(content, str(path))
    if not found:
        raise SourceError(f"{path} holds no array", expected="at least one")
    return found


def _plain_name(path: Path) -> str:
    return path.stem if path.suffix in PACKED else path.name

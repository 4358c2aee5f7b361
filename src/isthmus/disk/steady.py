"""Reads a folder consistently although other processes may replace it meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from isthmus.checked.arguments import path_of
from isthmus.disk.scratch import REPLACED, is_at, leftovers, sweep
from isthmus.errors import BundleError

T = TypeVar("T")

TRIES = 200
_PAUSE = 0.01
"""Seconds to wait if a path is missing because a writer is between two renames."""


def steadily(folder: str | Path, read: Callable[[Path], T]) -> T:
    """The result of ``read`` on a folder in one state: if the folder is replaced meanwhile, it is read again.

    Args:
        folder: path of the folder.
        read: called with the path, perhaps several times. Its errors are raised only if the folder was not replaced.

    Raises:
        BundleError: the folder was replaced each time; or an error of ``read``.
        SettingError: not a path.
        OSError: an error of ``read``.
    """
    folder = path_of("path", folder)
    for _ in range(TRIES):
        settled = _await(folder)
        with _held(folder) as is_same:
            try:
                found = read(folder)
            except Exception:
                if not settled or is_same():
                    raise
            else:
                if is_same():
                    return found
    raise BundleError(f"{str(folder)!r} was replaced {TRIES} times while it was read", remedy="try again later")


@contextmanager
def _held(folder: Path) -> Iterator[Callable[[], bool]]:
    """Inside the block, the folder's inode number is not reused for another folder."""
    if not hasattr(os, "O_DIRECTORY"):
        before = _identity(folder)
        yield lambda: _identity(folder) == before
        return
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        missing = not os.path.lexists(folder)
        yield lambda: not missing or _is_gone(folder)
        return
    try:
        yield lambda: is_at(handle, folder)
    finally:
        os.close(handle)


def _is_gone(folder: Path) -> bool:
    """Whether the path is missing, and no writer is between two renames before or after it was looked for."""
    place = Path(os.path.realpath(folder))
    return not (leftovers(place, REPLACED) or os.path.lexists(place) or leftovers(place, REPLACED))


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _await(folder: Path) -> bool:
    """If the path is missing because it is being replaced by two renames, wait for the second, or undo the first if its
    writer was killed. Returns false if the writer stays between the two."""
    place = Path(os.path.realpath(folder))
    for _ in range(TRIES):
        if os.path.lexists(place) or not leftovers(place, REPLACED):
            return True
        sweep(place)
        if os.path.lexists(place):
            return True
        time.sleep(_PAUSE)
    return False

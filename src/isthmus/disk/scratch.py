"""Scratch files and folders: temporary paths next to their targets, for content that is being written.

They are called ``.NAME.<12 hexadecimal digits>.partial``; while a path is replaced by two renames, its old content is
``.NAME.<12 hexadecimal digits>.replaced``. The writer holds a lock that the system releases when the process ends for
any reason. Scratch paths without a lock were left by a killed process, and ``sweep`` removes them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PARTIAL, REPLACED = ".partial", ".replaced"

_ENDING = re.compile(r"\.[0-9a-f]{12}\.(?:partial|replaced)")
_LONGEST = 200
"""Maximum bytes of a name; file systems allow 255 including the added parts."""

_TRIES = 100
_ABANDONED = 24 * 3600
"""Seconds after which scratch that cannot be locked (Windows, some network file systems) counts as abandoned."""


def prefix(place: Path) -> str:
    """The prefix of all scratch paths of a target."""
    return str(place.with_name(f".{_stem(place.name)}."))


@contextlib.contextmanager
def private_folder(name: str) -> Iterator[Path]:
    """A private folder in the system's temporary directory that is deleted when the block ends. Folders of the same
    name that killed processes left are removed."""
    place = Path(tempfile.gettempdir(), name)
    sweep(place)
    path, lock = make_folder(place, stat.S_IRWXU)
    try:
        yield path
    finally:
        release(lock)
        remove(path)


def make_folder(place: Path, mode: int = 0o777) -> tuple[Path, int | None]:
    """A new folder next to ``place``, and the descriptor that holds its lock."""
    for _ in range(_TRIES):
        path = _beside(place)
        path.mkdir(mode)
        # Between these two lines, another process may sweep it as abandoned.
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            return path, claim(path)
    raise FileExistsError(f"no scratch folder stays beside {str(place)!r}")


def make_file(place: Path) -> tuple[Path, int]:
    """A new file next to ``place``, and the descriptor that holds its lock."""
    for _ in range(_TRIES):
        path = _beside(place)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            _lock(handle)
            if is_at(handle, path):
                return path, handle
        except BlockingIOError:
            pass
        os.close(handle)
    raise FileExistsError(f"no scratch file stays beside {str(place)!r}")


def claim(path: Path) -> int | None:
    """Lock a file or folder while the descriptor is open; returns None if the system does not support it.

    Raises:
        BlockingIOError: another process has locked it.
        FileNotFoundError: it no longer exists.
    """
    if sys.platform == "win32":
        return None
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        locked = _lock(handle)
        if not is_at(handle, path):
            raise FileNotFoundError(f"{str(path)!r} is gone")
    except BaseException:
        os.close(handle)
        raise
    if locked:
        return handle
    os.close(handle)
    return None


def release(handle: int | None) -> None:
    """Release a lock."""
    if handle is not None:
        os.close(handle)


def is_at(handle: int, path: Path) -> bool:
    """Whether the path still refers to the opened file or folder."""
    try:
        now = os.stat(path)
    except OSError:
        return False
    held = os.fstat(handle)
    return (now.st_dev, now.st_ino) == (held.st_dev, held.st_ino)


def sweep(place: Path) -> None:
    """Remove what killed processes left next to ``place``; old content without a replacement is moved back."""
    _sweep(place.parent, lambda name: _is_of(name, place), place)


def sweep_folder(folder: Path) -> None:
    """Remove what killed processes left in a folder, for all targets in it."""
    _sweep(folder, lambda name: name.startswith(".") and _ENDING.search(name) is not None, None)


def leftovers(place: Path, ending: str) -> list[Path]:
    """Existing scratch paths of ``place``, in use or not."""
    try:
        names = sorted(os.listdir(place.parent))
    except OSError:
        return []
    return [place.parent / name for name in names if _is_of(name, place) and name.endswith(ending)]


def remove(path: Path) -> None:
    """Remove a file or a folder with its content, as far as possible."""
    with contextlib.suppress(OSError):
        if not path.is_dir() or path.is_symlink():
            path.unlink(missing_ok=True)
            return
        _unlock(path)
        for entry in path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                _unlock(entry)
    shutil.rmtree(path, ignore_errors=True)


def _unlock(folder: Path) -> None:
    """Add the permissions that are needed to remove files from a folder, which a read-only bundle lacks."""
    if os.name != "posix" or os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return
    folder.chmod(stat.S_IRWXU)


def _beside(place: Path) -> Path:
    return place.with_name(f".{_stem(place.name)}.{secrets.token_hex(6)}{PARTIAL}")


def _stem(name: str) -> str:
    whole = os.fsencode(name)
    return name if len(whole) <= _LONGEST else hashlib.sha256(whole).hexdigest()[:32]


def _is_of(name: str, place: Path) -> bool:
    stem = f".{_stem(place.name)}"
    return name.startswith(stem) and _ENDING.fullmatch(name[len(stem) :]) is not None


def _sweep(folder: Path, is_scratch: Callable[[str], bool], place: Path | None) -> None:
    try:
        found = [folder / name for name in os.listdir(folder) if is_scratch(name)]
    except OSError:
        return
    for path in found:
        with contextlib.suppress(OSError), _abandoned(path) as abandoned:
            if not abandoned:
                continue
            if place is not None and path.name.endswith(REPLACED) and not os.path.lexists(place):
                os.replace(path, place)
            else:
                remove(path)


@contextlib.contextmanager
def _abandoned(path: Path) -> Iterator[bool]:
    """Whether no process is writing it; inside the block, no other process can claim it."""
    try:
        handle = claim(path)
    except (BlockingIOError, FileNotFoundError):
        yield False
        return
    try:
        yield handle is not None or time.time() - path.stat().st_mtime > _ABANDONED
    finally:
        release(handle)


def _lock(handle: int) -> bool:
    """Whether locking succeeded; False if the file system has no locks."""
    if sys.platform == "win32":
        return False
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True

"""A folder that appears at its place whole or not at all, and replaces an older one in one step."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus.disk.causes import errors_about
from isthmus.disk.exchange import exchange
from isthmus.disk.scratch import REPLACED, claim, make_folder, prefix, release, remove, sweep
from isthmus.errors import InputError

_TRIES = 1000
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST)
_PAUSE = 0.005
"""Seconds until another writer of the same place is done with its two renames."""


def check_writable(path: str | Path) -> None:
    """Ask whether a file or folder could be made at a place, with the folders above it that are missing.

    Raises:
        InputError: no folder, or one in which nothing may be written.
    """
    above = Path(os.path.realpath(path)).parent
    while not above.exists() and above != above.parent:
        above = above.parent
    if not above.is_dir():
        raise InputError(f"{str(above)!r} is not a directory", remedy="choose another place")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"nothing may be written in {str(above)!r}", remedy="choose another place")


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """As ``replaced``, for a place where nothing or an empty folder stands.

    Raises:
        InputError: something stands there.
        OSError: as ``replaced``.
    """
    place = Path(path)
    if os.path.lexists(place) and (not place.is_dir() or any(place.iterdir())):
        raise InputError(f"{str(path)!r} exists", expected="a new name", remedy="choose another one or move it away")
    check_writable(place)
    with replaced(place) as scratch:
        yield scratch


@contextmanager
def replaced(path: str | Path, *, durable: bool = True) -> Iterator[Path]:
    """A scratch folder beside ``path`` that takes its place when the block ends, and vanishes if it fails.

    What stood there before stays until then, and whoever looks finds either of them whole. A link keeps pointing at its
    place: what is replaced is the folder behind it. The new folder has the mode, and where that is allowed the owner
    and the group, of the old one; what killed processes left beside the place is removed.

    Args:
        path: of a folder, or where nothing stands; missing folders above it are made.
        durable: whether to wait until everything is on the disk.

    Raises:
        OSError: it names ``path``.
    """
    place = Path(os.path.realpath(path))
    sweep(place)
    with errors_about(path, prefix(place)):
        _make_parents(place.parent, durable)
        scratch, lock = make_folder(place)
    try:
        with errors_about(path, prefix(place)):
            mode = _prepare(scratch, place)
            yield scratch
            _finish(scratch, mode, durable)
            _swap(scratch, place)
            if durable:
                sync_folder(place.parent)
    finally:
        release(lock)
        remove(scratch)


def _make_parents(folder: Path, durable: bool) -> None:
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing if durable else ():
        sync_folder(made.parent)


def _prepare(scratch: Path, place: Path) -> int | None:
    """Owner and mode of the folder that will be replaced; the mode, if there is one."""
    try:
        old = place.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISDIR(old.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))
    give(scratch, old)
    mode = stat.S_IMODE(old.st_mode)
    scratch.chmod(mode | stat.S_IRWXU)
    return mode


def give(path: Path, old: os.stat_result) -> None:
    """Owner and group of what is replaced, or the group alone, as far as the system allows it."""
    now = path.stat()
    if os.name != "posix" or (now.st_uid, now.st_gid) == (old.st_uid, old.st_gid):
        return
    for owner in (old.st_uid, -1):
        with contextlib.suppress(OSError):
            os.chown(path, owner, old.st_gid)
            return


def _finish(scratch: Path, mode: int | None, durable: bool) -> None:
    made = [Path(folder) / name for folder, _, names in os.walk(scratch) for name in names]
    folders = [Path(folder) for folder, _, _ in os.walk(scratch)]
    if mode is not None:
        owner = scratch.stat()
        for path in (*made, *folders):
            give(path, owner)
    if durable:
        for path in made:
            # Windows syncs only what may be written to.
            with path.open("rb" if os.name == "posix" else "r+b") as file:
                os.fsync(file.fileno())
        for folder in folders:
            sync_folder(folder)
    if mode is not None:
        scratch.chmod(mode)


def _swap(scratch: Path, place: Path) -> None:
    """Put the scratch at its place; the old content is at the place of the scratch afterwards, or gone."""
    for _ in range(_TRIES):
        try:
            if not os.path.lexists(place):
                os.rename(scratch, place)
                return
            if exchange(scratch, place) or _renamed_twice(scratch, place):
                return
        except FileNotFoundError:
            # Another writer has the place in hand; or somebody took the scratch away.
            if not scratch.exists():
                raise
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
        time.sleep(_PAUSE)
    raise FileExistsError(errno.EEXIST, "others keep replacing it", str(place))


def _renamed_twice(scratch: Path, place: Path) -> bool:
    """The way for systems that cannot exchange: for a moment nothing is at the place, which readers wait for
    (``isthmus.disk.steady``)."""
    old = scratch.with_suffix(REPLACED)
    try:
        lock = claim(place)
    except BlockingIOError:
        return False
    try:
        _moved(place, old)
        os.rename(scratch, place)
    except BaseException:
        if old.exists() and not place.exists():
            os.rename(old, place)
        raise
    finally:
        release(lock)
        if place.exists():
            remove(old)
    return True


def _moved(place: Path, old: Path) -> None:
    try:
        os.rename(place, old)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # overlayfs, as in containers, moves no folder of a lower layer; it can be copied and removed.
        try:
            shutil.copytree(place, old, symlinks=True)
        except BaseException:
            remove(old)
            raise
        shutil.rmtree(place)


def sync_folder(folder: Path) -> None:
    """Wait until what was made, renamed or removed in a folder is on the disk."""
    # Windows opens no folders; its renames need no such care.
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems cannot do it for folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)

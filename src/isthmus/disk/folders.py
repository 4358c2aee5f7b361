"""Writes a folder completely or not at all, and replaces an older one atomically."""

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
"""Seconds to wait for another writer of the same path to finish its two renames."""


def check_writable(path: str | Path) -> None:
    """Check that a file or folder, and its missing parent folders, can be created.

    Raises:
        InputError: an existing parent is not a folder, or is not writable.
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
    """Like ``replaced``, for a path that does not exist or is an empty folder.

    Raises:
        InputError: the path exists.
        OSError: as for ``replaced``.
    """
    place = Path(path)
    if os.path.lexists(place) and (not place.is_dir() or any(place.iterdir())):
        raise InputError(f"{str(path)!r} exists", expected="a new name", remedy="choose another one or move it away")
    check_writable(place)
    with replaced(place) as scratch:
        yield scratch


@contextmanager
def replaced(path: str | Path, *, durable: bool = True) -> Iterator[Path]:
    """A scratch folder next to ``path`` that replaces it when the block ends, and is deleted if the block fails.

    An older folder stays until then, and readers see either of them complete. A symbolic link keeps its target, which
    is replaced. The new folder gets the mode of the old one and, if that is allowed, its owner and group. Scratch
    folders of killed processes next to the path are removed.

    Args:
        path: path of a folder, which may exist; missing parents are created.
        durable: whether to wait until everything is on disk.

    Raises:
        OSError: an error of the system; it names ``path``.
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
    """Take over owner and mode of the folder that will be replaced; returns the mode, if there is one."""
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
    """Take over owner and group of the old folder, or only the group, as far as the system allows it."""
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
            # Windows can only sync files that are opened for writing.
            with path.open("rb" if os.name == "posix" else "r+b") as file:
                os.fsync(file.fileno())
        for folder in folders:
            sync_folder(folder)
    if mode is not None:
        scratch.chmod(mode)


def _swap(scratch: Path, place: Path) -> None:
    """Move the scratch folder to its target; the old content is then at the scratch path, or deleted."""
    for _ in range(_TRIES):
        try:
            if not os.path.lexists(place):
                os.rename(scratch, place)
                return
            if exchange(scratch, place) or _renamed_twice(scratch, place):
                return
        except FileNotFoundError:
            # Another writer is replacing the same path, or the scratch folder was deleted.
            if not scratch.exists():
                raise
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
        time.sleep(_PAUSE)
    raise FileExistsError(errno.EEXIST, "other processes keep replacing it", str(place))


def _renamed_twice(scratch: Path, place: Path) -> bool:
    """Replace by two renames, on systems without an atomic exchange: for a moment the path does not exist, so readers
    wait (``isthmus.disk.steady``)."""
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
        # overlayfs, as in containers, cannot move a folder of a lower layer, but it can be copied and removed.
        try:
            shutil.copytree(place, old, symlinks=True)
        except BaseException:
            remove(old)
            raise
        shutil.rmtree(place)


def sync_folder(folder: Path) -> None:
    """Sync a folder: wait until files that were created, renamed or removed in it are on disk."""
    # Windows cannot open folders, and its renames do not need this.
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems cannot sync folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)

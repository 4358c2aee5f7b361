"""Writes a file completely or not at all; pipes and terminals are written to directly."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from isthmus.disk.causes import errors_about
from isthmus.disk.folders import check_writable, give, sync_folder
from isthmus.disk.scratch import make_file, prefix, remove, sweep
from isthmus.errors import InputError

_OWN = re.compile(r"/dev/(?:fd/\d+|stdin|stdout|stderr)|/proc/(?:self|\d+)/fd/\d+")
"""Prefixes of the names of this process's open files, which are written to directly and never replaced."""

_BLOCK = 1 << 20


def is_stream(path: str | Path) -> bool:
    """Whether a path is written to directly and never replaced: a pipe, a terminal, ``/dev/stdout``."""
    if _OWN.fullmatch(os.path.abspath(path)):
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def check_file(path: str | Path) -> None:
    """Check, before long computations, that a file can be written to a path; an older file there is replaced.

    Raises:
        InputError: the path is a directory or a device, its parent directory is missing, or it is not writable.
    """
    if is_stream(path):
        return
    place = Path(os.path.realpath(path))
    if place.is_dir():
        raise InputError(f"{str(path)!r} is a directory", expected="the name of a file")
    if os.path.lexists(place) and not place.is_file():
        raise InputError(f"{str(path)!r} is not a plain file", expected="the name of a file", remedy="choose another")
    if not place.parent.is_dir():
        above = place.parent if os.path.islink(path) else Path(path).parent
        raise InputError(f"no directory {str(above)!r}", expected="an existing directory", remedy="create it first")
    check_writable(place)
    if place.exists() and not os.access(place, os.W_OK):
        raise InputError(f"{str(path)!r} may not be written to", remedy="choose another name")


def check_new_file(path: str | Path) -> None:
    """Like ``check_file``, but an older file must not be replaced.

    Raises:
        InputError: as for ``check_file``, or the path exists.
    """
    if os.path.exists(path) and not is_stream(path):
        raise InputError(f"{path} exists", expected="a new file", remedy="choose another name or remove it")
    check_file(path)


@contextmanager
def written(path: str | Path) -> Iterator[IO[bytes]]:
    """A file that is synced and moved to ``path`` when the block ends, and deleted if the block fails.

    An older file stays until then. A symbolic link keeps its target, which is replaced; a pipe, a terminal or
    ``/dev/stdout`` gets the whole content when the block ends. The new file gets the mode of the old one and, if that
    is allowed, its owner and group.

    Args:
        path: path of a file, which may exist.

    Yields:
        The file to write to. Unless ``path`` is a stream, its ``name`` is a path that other code may write to.

    Raises:
        InputError: as for ``check_file``.
        OSError: an error of the system; it names ``path``.
    """
    check_file(path)
    if is_stream(path):
        with tempfile.TemporaryFile() as held:
            yield held
            held.seek(0)
            with errors_about(path, str(path)), _opened(path) as stream:
                shutil.copyfileobj(held, stream, _BLOCK)
        return
    place = Path(os.path.realpath(path))
    sweep(place)
    with errors_about(path, prefix(place)):
        scratch, handle = make_file(place)
    try:
        with errors_about(path, prefix(place)):
            with open(scratch, "r+b", opener=lambda *_: handle) as file:
                _prepare(scratch, place)
                yield file
                file.flush()
                os.fsync(handle)
            os.replace(scratch, place)
            sync_folder(place.parent)
    finally:
        remove(scratch)


def allocate(file: IO[bytes], start: int, stop: int) -> None:
    """Allocate disk space for a part of a file that will be memory-mapped, so that a full disk is an error here;
    writing to mapped memory would end the process instead.

    Args:
        file: file of ``written``.
        start: start of the part in bytes; nothing has been written there yet.
        stop: end of the part.

    Raises:
        OSError: not enough space.
    """
    if stop <= start:
        return
    if sys.platform == "linux":
        try:
            os.posix_fallocate(file.fileno(), start, stop - start)
            return
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
    file.seek(start)
    while start < stop:
        start += file.write(bytes(min(_BLOCK, stop - start)))
    file.flush()


def _prepare(scratch: Path, place: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        old = place.stat()
        give(scratch, old)
        scratch.chmod(stat.S_IMODE(old.st_mode))


def _opened(path: str | Path) -> IO[bytes]:
    name = os.path.abspath(path)
    if not _OWN.fullmatch(name) or (name.startswith("/proc/") and not name.startswith("/proc/self/")):
        return open(path, "wb", buffering=0)
    number = {"stdin": 0, "stdout": 1, "stderr": 2}.get(Path(name).name)
    return os.fdopen(os.dup(int(Path(name).name) if number is None else number), "wb")

"""A file that appears at its place whole or not at all; pipes and terminals are written into."""

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
"""Names of what this process has open: to be written into, even where it is a file."""

_BLOCK = 1 << 20


def is_stream(path: str | Path) -> bool:
    """Whether a path names something that is written into and never replaced: a pipe, a terminal, ``/dev/stdout``."""
    if _OWN.fullmatch(os.path.abspath(path)):
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def check_file(path: str | Path) -> None:
    """Ask before long work whether a file could be written at a place; an older file there is replaced.

    Raises:
        InputError: a directory or a device stands at that place, the directory above it is missing, or nothing may be
            written there.
    """
    if is_stream(path):
        return
    place = Path(os.path.realpath(path))
    if place.is_dir():
        raise InputError(f"{str(path)!r} is a directory", expected="the name of a file")
    if os.path.lexists(place) and not place.is_file():
        raise InputError(f"{str(path)!r} is no plain file", expected="the name of a file", remedy="choose another one")
    if not place.parent.is_dir():
        above = place.parent if os.path.islink(path) else Path(path).parent
        raise InputError(f"no directory {str(above)!r}", expected="one that exists", remedy="make it first")
    check_writable(place)
    if place.exists() and not os.access(place, os.W_OK):
        raise InputError(f"{str(path)!r} may not be written to", remedy="choose another name")


def check_new_file(path: str | Path) -> None:
    """As ``check_file``, where an older file is not to be replaced.

    Raises:
        InputError: also where something stands at that place.
    """
    if os.path.exists(path) and not is_stream(path):
        raise InputError(f"{path} exists", expected="a new file", remedy="choose another name or remove it")
    check_file(path)


@contextmanager
def written(path: str | Path) -> Iterator[IO[bytes]]:
    """A file that takes its place when the block ends, synced, and vanishes if the block fails.

    What stood there before stays until then. A link keeps pointing at its place; a pipe, a terminal or ``/dev/stdout``
    gets the whole content when the block ends. The new file has the mode, and where that is allowed the owner and the
    group, of the old one.

    Args:
        path: of a file, or where nothing stands.

    Yields:
        The file, to be written to; where ``path`` names no stream, its ``name`` is a path that others may write to.

    Raises:
        InputError: as ``check_file``.
        OSError: it names ``path``.
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
    """Have the disk hold a part of a file that will be mapped into memory: a full disk is then an error, where writing
    to the mapped memory would end the process.

    Args:
        file: as ``written`` yields it.
        start: of the part, in bytes; nothing has been written there yet.
        stop: where it ends.

    Raises:
        OSError: it does not fit.
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

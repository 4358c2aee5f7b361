"""Checks that a path is a plain file before it is opened, because reading from a pipe may never end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from isthmus.errors import SourceError
from isthmus.machine.hardware import available_bytes

KINDS = (
    (stat.S_ISDIR, "is a directory"),
    (stat.S_ISFIFO, "is a pipe"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
    (stat.S_ISSOCK, "is a socket"),
)


def plain_file(path: str | Path, expected: str = "a file") -> Path:
    """Check that a path is a plain file and return it; links are followed.

    Args:
        path: path of a file.
        expected: what was expected, for the error message.

    Raises:
        SourceError: nothing exists there, or a directory, a pipe, a device, a socket, or a broken link.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        raise SourceError(f"{str(path)!r} {_missing(path, error)}", expected=expected) from None
    if not stat.S_ISREG(mode):
        what = next((said for is_kind, said in KINDS if is_kind(mode)), "is no plain file")
        remedy = "" if stat.S_ISDIR(mode) else "write the data into a file first"
        raise SourceError(f"{str(path)!r} {what}", expected=expected, remedy=remedy)
    return Path(path)


def is_plain(path: str | Path) -> bool:
    """Whether a path is a plain file; never raises."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def check_fits(size: int, what: str) -> None:
    """Check that something fits into memory.

    Args:
        size: size in bytes.
        what: name of the thing, for the error message.

    Raises:
        SourceError: too little free memory.
    """
    there = available_bytes()
    if there is not None and size > there:
        raise SourceError(
            f"{what} takes {size / 1e9:,.1f} GB", expected=f"at most {there / 1e9:,.1f} GB, the memory that is free"
        )


def read_limited(path: str | Path, most: int, expected: str) -> bytes:
    """The content of a small file.

    Args:
        path: path of a plain file.
        most: maximum size in bytes.
        expected: what was expected, for the error message.

    Raises:
        SourceError: not a plain file, or a larger one.
        OSError: it cannot be read.
    """
    with plain_file(path, expected).open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise SourceError(f"{str(path)!r} has more than {most:,} bytes", expected=expected)
    return content


def _missing(path: str | Path, error: OSError | ValueError) -> str:
    if isinstance(error, ValueError):
        return "is not a path"
    if error.errno == errno.ELOOP:
        return "is a link that leads back to itself"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "is a link that leads nowhere" if os.path.islink(path) else "does not exist"
    return f"cannot be looked at ({error.strerror})"

"""Recovers the error of the system from the errors of libraries written in C++ and Rust."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus.errors import IsthmusError

_NUMBER = (re.compile(r"\(os error (\d+)\)"), re.compile(r"file <.*>.*\((\d+)\)\s*$", re.DOTALL))
"""Where safetensors and torch put the system's error number."""

_SYSTEM = ("EACCES", "EDQUOT", "EFBIG", "EIO", "EMFILE", "ENFILE", "ENOENT", "ENOMEM", "ENOSPC", "EPERM", "EROFS")
"""Errors of the system rather than of a file's content; Windows lacks some of them."""

_NO_MEMORY = re.compile(r"can't allocate memory|cannot allocate memory|bad_alloc|out of memory", re.IGNORECASE)


def told_by_system(error: BaseException, path: str | Path | None = None) -> OSError | MemoryError | None:
    """The error of the system (full disk, missing permission, missing memory) behind an error of a library.

    Args:
        error: any error.
        path: path that was being read or written, for the message.

    Returns:
        The error of the system, or None if the cause is another one.
    """
    if isinstance(error, OSError | MemoryError):
        return error
    if isinstance(error, IsthmusError):
        return None
    text = str(error)
    if type(error).__name__ == "OutOfMemoryError" or _NO_MEMORY.search(text):
        return MemoryError(" ".join(text.split()))
    found = next((match for pattern in _NUMBER if (match := pattern.search(text))), None)
    if found is None:
        return None
    number = int(found.group(1))
    if errno.errorcode.get(number) not in _SYSTEM:
        return None
    return OSError(number, os.strerror(number), None if path is None else str(path))


@contextmanager
def errors_about(path: str | Path, scratch: str) -> Iterator[None]:
    """Make errors of the system in the block name the path that the user knows instead of the scratch path.

    Args:
        path: path as the user gave it.
        scratch: prefix of the scratch paths.

    Raises:
        OSError, MemoryError: errors of the system, also where a library converted them to other errors.
    """
    try:
        yield
    except Exception as error:
        told = told_by_system(error, path)
        if isinstance(told, OSError) and _is_nameless(told):
            told.filename = str(path)
        elif isinstance(told, OSError) and os.fsdecode(told.filename or "").startswith(scratch):
            told.filename, told.filename2 = str(path), None
        if told is None or told is error:
            raise
        raise told from error


def _is_nameless(error: OSError) -> bool:
    """Whether the error lacks a path; a pipe whose reader has closed needs none. Files that were opened by descriptor
    have that number as their name."""
    return isinstance(error.filename, int | None) and error.errno not in (None, errno.EPIPE)

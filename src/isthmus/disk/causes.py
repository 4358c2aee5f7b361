"""What the system said, out of the errors that libraries in C++ and Rust make of it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus.errors import IsthmusError

_NUMBER = (re.compile(r"\(os error (\d+)\)"), re.compile(r"file <.*>.*\((\d+)\)\s*$", re.DOTALL))
"""Where safetensors and torch put the number of an error of the system."""

_SYSTEM = ("EACCES", "EDQUOT", "EFBIG", "EIO", "EMFILE", "ENFILE", "ENOENT", "ENOMEM", "ENOSPC", "EPERM", "EROFS")
"""Errors that lie in the system, not in what a file holds; Windows lacks some of them."""

_NO_MEMORY = re.compile(r"can't allocate memory|cannot allocate memory|bad_alloc|out of memory", re.IGNORECASE)


def told_by_system(error: BaseException, path: str | Path | None = None) -> OSError | MemoryError | None:
    """The full disk, the missing right or the missing memory that an error of a library speaks of.

    Args:
        error: any.
        path: what was being read or written, for the message.

    Returns:
        None where the error is of another kind.
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
    """Errors of the system in the block speak of the path that the user knows, not of the scratch beside it.

    Args:
        path: as the user gave it.
        scratch: how the paths of the scratch begin.

    Raises:
        OSError, MemoryError: also in place of what a library made of them.
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
    """Whether a path is missing; a pipe whose reader went away needs none. Files that were opened by number have that
    as their name."""
    return isinstance(error.filename, int | None) and error.errno not in (None, errno.EPIPE)

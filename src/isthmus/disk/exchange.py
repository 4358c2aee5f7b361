"""Exchanges two paths atomically, if the system supports it."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

_UNABLE = frozenset(
    # EPERM: returned by some sandboxes for unknown calls. EXDEV: a folder of a lower layer of overlayfs.
    number
    for name in ("ENOSYS", "EINVAL", "ENOTSUP", "EOPNOTSUPP", "EPERM", "EXDEV")
    if (number := getattr(errno, name, None)) is not None
)

_HERE = -100
"""AT_FDCWD of Linux: relative paths start at the working directory."""

_SWAP = 2
"""RENAME_EXCHANGE of Linux and RENAME_SWAP of macOS."""


def exchange(one: Path, other: Path) -> bool:
    """Exchange two existing paths atomically, so that neither of them is ever missing.

    Linux uses ``renameat2`` (ext4, XFS, Btrfs, tmpfs and most others, not NFS), macOS ``renamex_np`` (APFS).

    Returns:
        False if the system or the file system does not support it; nothing is changed then.

    Raises:
        OSError: any other reason, such as a path that does not exist.
    """
    call = _call()
    if call is None:
        return False
    if call(os.fsencode(one), os.fsencode(other)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNABLE:
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))


@cache
def _call() -> Callable[[bytes, bytes], int] | None:
    if sys.platform == "win32":
        return None
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        swap = getattr(library, "renamex_np", None)
        return None if swap is None else lambda one, other: int(swap(one, other, ctypes.c_uint(_SWAP)))
    rename = getattr(library, "renameat2", None)
    if rename is None:
        return None
    return lambda one, other: int(rename(_HERE, one, _HERE, other, ctypes.c_uint(_SWAP)))

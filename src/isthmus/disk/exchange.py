"""Two names change places in one step, where the system can do that."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

_UNABLE = frozenset(
    # EPERM: what some sandboxes answer to calls that they do not know. EXDEV: a folder of a lower layer of overlayfs.
    number
    for name in ("ENOSYS", "EINVAL", "ENOTSUP", "EOPNOTSUPP", "EPERM", "EXDEV")
    if (number := getattr(errno, name, None)) is not None
)

_HERE = -100
"""AT_FDCWD of Linux: paths are taken as they are."""

_SWAP = 2
"""RENAME_EXCHANGE of Linux and RENAME_SWAP of macOS."""


def exchange(one: Path, other: Path) -> bool:
    """Let two paths, both of which exist, change places: nobody ever finds one of them missing.

    Linux does it by ``renameat2`` (ext4, XFS, Btrfs, tmpfs and most others, not NFS), macOS by ``renamex_np`` (APFS).

    Returns:
        False where system or file system cannot; nothing has happened then.

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

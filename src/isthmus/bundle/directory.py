"""Checks whether a bundle may be written to a directory."""

from __future__ import annotations

import os
from pathlib import Path

from isthmus.bundle.manifest import looks_like_bundle
from isthmus.checked.arguments import path_of
from isthmus.disk import check_writable
from isthmus.errors import InputError


def check_target(directory: str | Path) -> None:
    """Check, before long computations, that a bundle can be written to a directory.

    Raises:
        InputError: the path exists and is neither a bundle nor an empty directory, or it is not writable.
        SettingError: not a path.
    """
    place = path_of("path", directory)
    check_writable(place)
    if not os.path.lexists(place) or looks_like_bundle(place):
        return
    if not place.is_dir() or any(place.iterdir()):
        raise InputError(
            f"{str(place)!r} exists and is not an isthmus bundle",
            expected="a new name, an empty directory or an older bundle",
            remedy="choose another place or move it away",
        )

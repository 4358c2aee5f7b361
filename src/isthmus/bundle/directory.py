"""Where a bundle may be written."""

from __future__ import annotations

import os
from pathlib import Path

from isthmus.bundle.manifest import looks_like_bundle
from isthmus.checked.arguments import path_of
from isthmus.disk import check_writable
from isthmus.errors import InputError


def check_target(directory: str | Path) -> None:
    """Ask before long work whether a bundle could be written there.

    Raises:
        InputError: something that is neither a bundle nor an empty directory stands at that place, or nothing may be
            written there.
        SettingError: something that is no path.
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

"""A directory that appears at its place whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isthmus.bundle.manifest import looks_like_bundle
from isthmus.errors import InputError


def check_target(directory: str | Path) -> None:
    """Ask before long work whether a bundle could be written there.

    Raises:
        InputError: something that is neither a bundle nor an empty directory stands at that place, or nothing may be
            written there.
    """
    place = Path(directory)
    check_writable(place)
    if not os.path.lexists(place) or looks_like_bundle(place):
        return
    if not place.is_dir() or any(place.iterdir()):
        raise InputError(
            f"{str(place)!r} exists and is not an isthmus bundle",
            expected="a new name, an empty directory or an older bundle",
            remedy="choose another place or move it away",
        )


def check_writable(path: str | Path) -> None:
    """Ask whether a file or directory could be made at a place, with the directories above it that are missing.

    Raises:
        InputError: no directory, or one in which nothing may be written.
    """
    above = Path(path).resolve().parent
    while not above.exists():
        above = above.parent
    if not above.is_dir():
        raise InputError(f"{str(above)!r} is not a directory", remedy="choose another place")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"nothing may be written in {str(above)!r}", remedy="choose another place")


@contextmanager
def swapped_in(directory: str | Path) -> Iterator[Path]:
    """A scratch directory beside ``directory`` that takes its place when the block ends, and vanishes if it fails.

    Raises:
        InputError: something that is neither a bundle nor an empty directory stands at that place.
    """
    check_target(directory)
    # A link to a bundle keeps pointing at its place: what is replaced is the directory behind it.
    place = Path(directory).resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    scratch = place.parent / f".{place.name}.{secrets.token_hex(6)}.partial"
    try:
        scratch.mkdir()
        yield scratch
        for folder in (*(entry for entry in scratch.iterdir() if entry.is_dir()), scratch):
            _sync_directory(folder)
        _replace(scratch, place)
        _sync_directory(place.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def sync_file(path: Path) -> None:
    """Wait until the file's content is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _replace(scratch: Path, place: Path) -> None:
    if not place.is_dir() or not any(place.iterdir()):
        os.replace(scratch, place)
        return
    old = scratch.with_suffix(".replaced")
    try:
        os.replace(place, old)
        os.replace(scratch, place)
    except BaseException:
        if old.exists() and not place.exists():
            os.replace(old, place)
        raise
    finally:
        if place.exists():
            shutil.rmtree(old, ignore_errors=True)


def _sync_directory(directory: Path) -> None:
    # Windows opens no directories; its renames need no such care.
    if os.name == "posix":
        handle = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

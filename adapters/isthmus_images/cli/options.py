"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.options import check_ending
from isthmus.errors import SettingError
from isthmus_images import contact_sheet
from isthmus_images.contact_sheet import check_place

Source = Annotated[
    str, typer.Argument(metavar="IMAGES", help="A folder of pictures, a picture, or a .npy, .npz or IDX file.")
]
Picture = Annotated[str, typer.Argument(metavar="IMAGE", help="A picture.")]
Skip = Annotated[bool, typer.Option("--skip-broken", help="Skip files that cannot be read, with a remark.")]


def _writable(out: Path) -> Path:
    check_place(out)
    return out


Out = Annotated[
    Path,
    typer.Option(
        help="A new place: NAME.png for one sheet, NAME.npy for an array, else a folder of pictures.",
        callback=_writable,
    ),
]


def parsed_size(text: str | None) -> int | tuple[int, int] | None:
    """Parse ``64``, or ``48x64`` for height and width.

    Raises:
        SettingError: any other text.
    """
    if text is None:
        return None
    sides = text.lower().split("x")
    if not all(side.isascii() and side.isdigit() for side in sides) or len(sides) > 2:
        raise SettingError(f"--size {text!r}", expected="pixels, such as 64, or height and width, such as 48x64")
    return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))


def check_pictures(out: Path) -> None:
    """Check, before any work is done, that pictures can be written to a path.

    Raises:
        InputError: the path exists, is not writable, or has the extension of another kind of file.
    """
    contact_sheet.check_place(out)
    if out.suffix.lower() in OTHERS:
        check_ending(out, (".png", ".npy"), "a folder")


OTHERS = (".bmp", ".csv", ".gif", ".jpeg", ".jpg", ".npz", ".pdf", ".svg", ".tif", ".tiff", ".webp")
"""Extensions that are not supported; a folder with such a name is probably a mistake."""


def on_error(skip_broken: bool) -> str:
    """The argument ``on_error`` of ``Images.read``."""
    return "skip" if skip_broken else "raise"

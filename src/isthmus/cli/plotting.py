"""``isthmus plot``: one picture of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from isthmus.bundle.manifest import Manifest, peek
from isthmus.checked.paths import plain_file
from isthmus.cli.output import Json, emit
from isthmus.disk import check_file
from isthmus.errors import InputError
from isthmus.faces import INDEX
from isthmus.plugins import command_name


def plot(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A saved bundle or index.")],
    out: Annotated[
        Path | None, typer.Option(help="The picture (.png, .svg or .pdf) or its folder; by default DIR.png.")
    ] = None,
    codes: Annotated[Path | None, typer.Option(help="Other codes to map, a .npy file written by encode.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Labels that colour this map, one line per code.")] = None,
    as_json: Json = False,
) -> None:
    """Plot a bundle: scores, training curves, codes."""
    # Imported here because they import torch, which the other built-in commands do not need.
    from isthmus.faces import load
    from isthmus.plots import Missing, Panel, drawn, panels_of, save

    if labels is not None and codes is None:
        raise InputError("labels without codes", remedy="save codes with encode --out and pass them with --codes")
    manifest, place = peek(directory), _place(directory, out)
    own = [] if codes is None else [Panel("codes", _map(codes, labels))]
    panels = [*own, *(one for one in panels_of(load(directory)) if codes is None or one.name != "codes")]
    path = save(drawn(panels, _title(directory, manifest)), place)
    document = {
        "path": str(path),
        "panels": [one.name for one in panels if isinstance(one, Panel)],
        "left_out": {one.name: one.why for one in panels if isinstance(one, Missing)},
    }
    emit(document, as_json, lambda: _page(document))


def _page(document: dict[str, Any]) -> Group:
    missing = [Text(f"not shown: {name} ({why})") for name, why in document["left_out"].items()]
    return Group(Text(f"{document['path']}: {', '.join(document['panels'])}"), *missing)


def _place(directory: Path, out: Path | None) -> Path:
    """The path of the picture.

    Raises:
        InputError: a name with another suffix, or a folder that does not exist.
    """
    from isthmus.plots.drawing import check_ending

    whole = directory.resolve()
    if out is None:
        return directory.parent / f"{whole.name}.png" if directory.name not in ("", "..") else Path(f"{whole.name}.png")
    place = out / f"{whole.name}.png" if out.is_dir() else out
    check_ending(place)
    check_file(place)
    return place


def _title(directory: Path, manifest: Manifest) -> str:
    what = "index" if manifest.plugin == INDEX else f"{command_name(manifest.builder)}, {manifest.plugin}"
    return f"{directory.resolve().name} ({what})"


def _map(codes: Path, labels: Path | None) -> Any:
    from isthmus.plots.maps import check_map, draw_map

    found = _codes(codes)
    named = None if labels is None else _lines(labels)
    check_map(found, named)
    return lambda axes: draw_map(axes, found, named, f"Map of the codes in {codes.name}")


def _lines(path: Path) -> list[str]:
    try:
        return plain_file(path, "one label per line").read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text", expected="UTF-8, one label per line") from None


def _codes(path: Path) -> Any:
    from isthmus.checked.arrays import read_npy

    found = read_npy(path)
    if found.ndim != 2 or found.dtype.kind != "f":
        raise InputError(f"{path} contains no codes", expected="floating-point numbers of shape (n, code)")
    return found

"""The command ``isthmus units``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from isthmus.checked.paths import read_limited
from isthmus.cli.options import Delimiter, Directory, Encoding, Header
from isthmus.cli.output import Json, emit, printable, table
from isthmus.cli.wording import percent
from isthmus.disk import check_file
from isthmus.errors import InputError, SourceError
from isthmus.reprs import counted
from isthmus_vectors.autoencoder import VectorAutoencoder
from isthmus_vectors.cli.options import Columns, Drop, Source
from isthmus_vectors.units.units import Units, sparse_units

SHOWN = 10
"""Units in the terminal."""

MOST_BYTES = 1 << 32
"""Maximum bytes of a file of texts."""


def units(
    directory: Directory,
    file: Source,
    texts: Annotated[Path, typer.Option(help="One text per line (UTF-8), in the order of the rows.")],
    out: Annotated[Path | None, typer.Option(help="The page to write [DIR.units.html].")] = None,
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="How many texts of each unit.")] = 10,
    columns: Columns = None,
    drop: Drop = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    as_json: Json = False,
) -> None:
    """Name the units of a sparse model by the texts that light them most, and show them on a page."""
    place = _place(directory) if out is None else out
    if place.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out {str(place)!r}", expected="a file that ends with .html")
    check_file(place)
    model = VectorAutoencoder.load(directory)
    rows = model.adapter.rows(
        file, columns=columns, drop=drop or (), encoding=encoding, delimiter=delimiter, header=header
    )
    found = sparse_units(model, rows, lines_of(texts), k)
    found.save(place, title=f"Units of {directory.resolve().name}")
    document: dict[str, Any] = {"path": str(place), **found.document()}
    emit(document, as_json, lambda: _said(place, found))


def lines_of(path: Path) -> list[str]:
    """The lines of a file.

    Raises:
        SourceError: no such file, or not UTF-8.
    """
    try:
        return read_limited(path, MOST_BYTES, "a file of texts").decode("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{str(path)!r} ({error})", expected="a file of UTF-8 with one text per line") from None


def _place(directory: Path) -> Path:
    name = f"{directory.resolve().name}.units.html"
    return Path(name) if directory.name in ("", "..") else directory.parent / name


def _said(place: Path, found: Units) -> Group:
    rows = [(one.unit, percent(100 * one.share), one.name, one.texts[0].text) for one in found.units[:SHOWN]]
    told = f"{counted(len(found.units), 'unit')} of {found.width:,} over {counted(found.records, 'record')}: {place}"
    return Group(table(("unit", "% of records", "name", "strongest text"), rows), Text(), Text(printable(told)))

"""Options that several commands share, and reading of texts and codes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Unpack

import numpy as np
import typer

from isthmus import bundle
from isthmus.checked.arrays import read_npy
from isthmus.disk import check_file, written
from isthmus.errors import SourceError
from isthmus.files import FileOptions
from isthmus_text.files.read_alike import read_alike
from isthmus_text.texts import Texts

Source = Annotated[str, typer.Argument(metavar="FILE", help="A file of lines, CSV, Parquet, or - for standard input.")]
Column = Annotated[str | None, typer.Option(help="Column of texts in a table [text].")]
Documents = Annotated[bool, typer.Option("--documents", help="Each file is one text; FILE may be a folder.")]
Strategy = Annotated[str, typer.Option(help="beam, greedy or nucleus.")]
Draws = Annotated[int, typer.Option(help="Further samples, of which the nearest is taken.")]
Corrections = Annotated[int, typer.Option(help="Rounds of a search for a text with this code.")]


def _writable(out: Path | None) -> Path | None:
    if out is not None:
        check_file(out)
    return out


OutFile = Annotated[
    Path | None,
    typer.Option(help="Output file, one text per line [standard output].", callback=_writable),
]


def texts_from(
    source: str,
    column: str | None = None,
    documents: bool = False,
    directory: Path | None = None,
    **file: Unpack[FileOptions],
) -> Texts:
    """The texts of a file, or the lines of standard input.

    Args:
        source: a path, or ``-``.
        column: column of a table.
        documents: whether a file is one text.
        directory: path of the model that the texts are for, which remembers the options of its training file.
        file: encoding, delimiter and header of the file.

    Returns:
        The texts.

    Raises:
        SourceError: no data, or not text.
    """
    if source != "-":
        facts = {} if directory is None else bundle.peek(directory).facts
        return read_alike(Path(source), facts, unit="document" if documents else "line", column=column, **file)
    try:
        read = sys.stdin.read()
    except UnicodeDecodeError:
        raise SourceError("standard input is not text", expected="UTF-8") from None
    lines = [read] if documents else read.splitlines()
    if not lines:
        raise SourceError("standard input is empty", expected="one text per line")
    return Texts.read(lines)


def codes_from(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The numbers of a ``.npy`` file, float32.

    Raises:
        SourceError: no such file, or not numbers.
    """
    found = read_npy(path)
    try:
        return np.asarray(found, dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise SourceError(f"{str(path)!r} ({error})", expected="a .npy file of codes, as written by encode") from None


def write_lines(path: Path, texts: list[str]) -> None:
    """Write one text per line; line breaks inside a text become spaces, so that rows stay aligned. The file is written
    completely or not at all, and replaces an older one.

    Raises:
        InputError: the path is not writable.
        OSError: for example a full disk; an older file is still there.
    """
    with written(path) as file:
        for text in texts:
            file.write(f"{' '.join(text.splitlines())}\n".encode())

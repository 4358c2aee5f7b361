"""How commands print: results on standard output, everything else on standard error.

A command builds one document, a JSON value, and one way to show it to a person:

    emit({"items": items}, as_json, lambda: table(("id", "score"), rows))

With ``--json`` the document is all that standard output gets.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
"""The type of the parameter ``as_json`` that every command has."""

_UNLIMITED = 10_000


def emit(document: Any, as_json: bool, render: Callable[[], RenderableType]) -> None:
    """Print an answer: the document itself for programs, or what ``render`` makes of it for people.

    Args:
        document: JSON values; numpy scalars, paths and tuples are turned into such, NaN and infinities into null.
        as_json: whether the caller is a program.
        render: called for people only.
    """
    if as_json:
        sys.stdout.write(_encodable(plain(document)) + "\n")
    else:
        console().print(render())


def status(text: str) -> None:
    """Print a remark on standard error."""
    console(stderr=True).print(printable(text))


def console(*, stderr: bool = False) -> Console:
    """A console that takes text literally: ids and titles may hold brackets. Piped, it neither wraps nor colours."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _UNLIMITED
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> Table:
    """A table of plain values; columns of numbers are aligned right. Floats are shown with four digits."""
    rows = [list(row) for row in rows]
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    made.show_header = any(columns)
    for place, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[place], int | float) for row in rows)
        made.add_column(column, justify="right" if numeric else "left")
    for row in rows:
        made.add_row(*(Text(printable(_shown(value))) for value in row))
    return made


def printable(text: str) -> str:
    """The text on one line without control characters, which could steer a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))


def plain(value: Any) -> Any:
    """The value in JSON's own types."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, PurePath):
        return str(value)
    if value is None or isinstance(value, str | int):
        return value
    # What is left are scalars and arrays of numpy and torch, which share this method.
    return plain(value.tolist())


@contextmanager
def log_on_stderr() -> Iterator[None]:
    """Show what the library logs (warnings, and what it decided) on standard error while the block runs."""
    handler = logging.StreamHandler(_StandardError())
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.addFilter(lambda record: record.levelno >= logging.WARNING or record.name.startswith("isthmus"))
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


class _StandardError:
    """Standard error as it is at each moment: a progress bar puts itself in front of it while it is shown."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _shown(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _encodable(document: Any) -> str:
    text = json.dumps(document, ensure_ascii=False, indent=2)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(document, indent=2)
    return text

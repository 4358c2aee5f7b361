"""Output of commands: results on standard output, everything else on standard error.

A command builds one document (a JSON value) and a readable form of it:

    emit({"items": items}, as_json, lambda: table(("id", "score"), rows))

With ``--json``, standard output contains only the document.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any, Literal

import typer
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.constrain import Constrain
from rich.table import Table
from rich.text import Text

from isthmus.cli.wording import decimals

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, for programs.")]
"""The type of the parameter ``as_json`` that every command has."""

_UNLIMITED = 10_000
_PAGE = 80

_GAP = 2
"""Number of spaces between the columns of a table."""

_WRAPPED = 16
"""Minimum width of a column of wrapped text."""


def emit(document: Any, as_json: bool, render: Callable[[], RenderableType]) -> None:
    """Print a result: the JSON document, or the readable form that ``render`` returns.

    Args:
        document: JSON values; numpy scalars, paths and tuples are converted, NaN and infinities become null.
        as_json: whether to print the document.
        render: only called for the readable form.
    """
    if as_json:
        sys.stdout.write(_encodable(plain(document)) + "\n")
    else:
        console().print(render())


def status(text: str) -> None:
    """Print a remark on standard error."""
    console(stderr=True).print(printable(text))


def console(*, stderr: bool = False) -> Console:
    """A console that prints text literally, because ids and titles may contain brackets. In a pipe it neither wraps nor
    colours."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _UNLIMITED
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False)


def page_width() -> int:
    """The width of the terminal, or 80 without one. The environment variable ``COLUMNS`` overrides both."""
    return shutil.get_terminal_size((_PAGE, 24)).columns


def page(content: RenderableType) -> Constrain:
    """Prose that is no wider than ``page_width``, even in a pipe."""
    return Constrain(content, page_width())


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> FittedTable:
    """A table of plain values with right-aligned columns of numbers. Floats have as many digits as the largest value of
    the column needs, at most four decimals."""
    values = [list(row) for row in rows]
    made = []
    for place, header in enumerate(columns):
        numeric = bool(values) and all(isinstance(row[place], int | float) for row in values)
        digits = decimals(cell for row in values if isinstance(cell := row[place], float))
        made.append(_Column(header, tuple(printable(_shown(row[place], digits)) for row in values), numeric))
    return FittedTable(tuple(made), title)


@dataclass(frozen=True)
class _Column:
    header: str
    cells: tuple[str, ...]
    numeric: bool

    @property
    def least(self) -> int:
        """The width that the column needs: numbers stay on one line, text may be wrapped."""
        longest = max(map(cell_len, (self.header, *self.cells)))
        return longest if self.numeric else min(longest, _WRAPPED)


@dataclass(frozen=True)
class FittedTable:
    """A table that is never wider than the console.

    Texts are wrapped. Columns that still do not fit are printed below, in further blocks that repeat the first column.
    """

    columns: tuple[_Column, ...]
    title: str | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table | Text]:
        """What rich prints."""
        for number, block in enumerate(self._blocks(options.max_width)):
            if number:
                yield Text()
            yield _drawn(block, None if number else self.title)

    def _blocks(self, width: int) -> list[list[_Column]]:
        first, least = list(self.columns[:1]), [column.least for column in self.columns]
        blocks, used = [list(first)], sum(least[:1])
        for column, needed in zip(self.columns[1:], least[1:], strict=True):
            if len(blocks[-1]) > 1 and used + _GAP + needed > width:
                blocks.append(list(first))
                used = least[0]
            blocks[-1].append(column)
            used += _GAP + needed
        return blocks


def _drawn(columns: Sequence[_Column], title: str | None) -> Table:
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    made.padding = (0, _GAP, 0, 0)
    made.show_header = any(column.header for column in columns)
    for column in columns:
        # Folding keeps all of a long path or id; an ellipsis would not.
        justify: Literal["left", "right"] = "right" if column.numeric else "left"
        made.add_column(column.header, justify=justify, no_wrap=column.numeric, overflow="fold")
    for row in zip(*(column.cells for column in columns), strict=True):
        made.add_row(*map(Text, row))
    return made


def printable(text: str) -> str:
    """The text on one line without control characters, which could affect the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))


def one_line(value: Any) -> str:
    """A value as typed after ``--setting NAME=``: text as it is, everything else as JSON, floats with six digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def plain(value: Any) -> Any:
    """The value as JSON types."""
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
    # The remaining values are scalars and arrays of numpy and torch, which share this method.
    return plain(value.tolist())


@contextmanager
def log_on_stderr() -> Iterator[None]:
    """Show the log of the library (warnings and information) on standard error inside this context."""
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
    """The current standard error: a progress bar replaces it while it is shown."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _shown(value: object, digits: int) -> str:
    if not isinstance(value, float):
        return str(value)
    # A number that four decimals would show as 0.0000 is shown with significant digits.
    return f"{value:.{digits}f}" if value == 0 or abs(value) >= 0.0005 or not math.isfinite(value) else f"{value:.2g}"


def _encodable(document: Any) -> str:
    text = json.dumps(document, ensure_ascii=False, indent=2)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(document, indent=2)
    return text

"""``isthmus batch``: a model's answers for the rows of many Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from isthmus.cli.options import Directory, parsed_settings
from isthmus.cli.output import Json, emit, status
from isthmus.reprs import counted

if TYPE_CHECKING:
    from isthmus.jobs import Done

EngineName = Annotated[
    str, typer.Option("--engine", help="local (processes of this machine), torchrun (inside of it) or ray.")
]
Workers = Annotated[int | None, typer.Option(min=1, help="How many parts at a time [one a core].")]


def batch(
    task: Annotated[str, typer.Argument(metavar="TASK", help="recommend, score, encode or anomalies.")],
    directory: Directory,
    files: Annotated[list[str], typer.Argument(metavar="FILES", help="Parquet files, folders of them or patterns.")],
    out: Annotated[Path, typer.Option(help="Folder for the answers; continued if it is there.")],
    engine: EngineName = "local",
    workers: Workers = None,
    rows: Annotated[int | None, typer.Option(min=1, help="Rows of a part at most [100,000].")] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE: k=20, items=[1,2], column=text, copy=id; may be repeated."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Answer the rows of Parquet files part by part; parts that are whole are not done again."""
    # Imported here because they bring pyarrow, which a help page does not need.
    from isthmus.jobs import run
    from isthmus.jobs.parts import ROWS

    options, most = parsed_settings(setting or []), rows or ROWS
    done = run(directory, files, out, task, engine=engine, workers=workers, rows=most, told=status, **options)
    emit(document_of(done), as_json, lambda: page_of(done))


def document_of(done: Done) -> dict[str, Any]:
    """A job that is whole, as JSON."""
    return {"path": str(done.path), "parts": done.parts, "rows": done.rows, "done_now": done.done}


def page_of(done: Done) -> Text:
    """A job that is whole, in a line."""
    return Text(f"{counted(done.rows, 'row')} in {counted(done.parts, 'part')} in {done.path}")

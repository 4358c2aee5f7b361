"""``isthmus atlas``: a large map of codes in the browser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from isthmus.cli.options import Directory, check_ending
from isthmus.cli.output import Json, emit, status
from isthmus.disk import check_file
from isthmus.reprs import counted

PROGRAM = "embedding-atlas"


def atlas(
    directory: Directory,
    out: Annotated[Path | None, typer.Option(help="Parquet file [DIR.atlas.parquet].")] = None,
    most: Annotated[int, typer.Option(min=2, help="Most records to draw.")] = 100_000,
    no_start: Annotated[bool, typer.Option("--no-start", help="Only write the file.")] = False,
    as_json: Json = False,
) -> None:
    """Write codes, a projection and titles for Embedding Atlas, and start it if it is installed."""
    place = Path(f"{directory.resolve()}.atlas.parquet") if out is None else out
    check_ending(place, (".parquet", ".pq"))
    check_file(place)
    # Imported here because it brings torch, which a help page does not need.
    from isthmus.faces import load
    from isthmus.plots.atlas import atlas_table, mapped, write_atlas

    records = mapped(load(directory), most)
    table = atlas_table(records)
    write_atlas(table, place)
    command = command_for(place, table.column_names, records.text)
    document: dict[str, Any] = {"path": str(place), "records": len(table), "columns": table.column_names}
    emit(document | {"command": command}, as_json, lambda: Text(f"{counted(len(table), 'record')} in {place}"))
    program = shutil.which(PROGRAM)
    if program is None:
        status(f"to see it: pip install {PROGRAM}, then {' '.join(command)}")
    elif not (no_start or as_json):
        subprocess.run([program, *command[1:]], check=False)


def command_for(place: Path, columns: list[str], text: str | None) -> list[str]:
    """The command that shows a file.

    Args:
        place: of the Parquet file.
        columns: names of its columns.
        text: the column with titles; None if there is none.

    Returns:
        The program and its arguments.
    """
    words = [] if text is None else ["--text", text]
    near = ["--neighbors", "neighbors"] if "neighbors" in columns else []
    return [PROGRAM, str(place), *words, "--x", "x", "--y", "y", *near]

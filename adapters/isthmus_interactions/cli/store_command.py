"""``isthmus store``: events of any number to a store on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from isthmus.cli.options import Delimiter, Encoding, Header
from isthmus.cli.output import Json, emit, status
from isthmus.errors import InputError
from isthmus.reprs import counted
from isthmus_interactions.cli import documents
from isthmus_interactions.cli.options import ItemColumn, Keep, Ordered, TimeColumn, UserColumn, ValueColumn, Weights
from isthmus_interactions.files.reading import Reading
from isthmus_interactions.store.store import InteractionStore


def store(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILES]", help="Files, folders, patterns, or addresses that DuckDB reads."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the store; must not exist.")] = None,
    query: Annotated[
        str | None,
        typer.Option(help="Instead of FILES: SQL for DuckDB, whose last statement returns the events; or @FILE."),
    ] = None,
    user: UserColumn = None,
    item: ItemColumn = None,
    value: ValueColumn = None,
    time: TimeColumn = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    ordered: Ordered = False,
    keep: Keep = None,
    weights: Weights = "binary",
    as_json: Json = False,
) -> None:
    """Sort events into a store on disk, from which models are trained without loading it."""
    if out is None:
        raise InputError("store needs --out", expected="isthmus store FILES --out STORE")
    told: Reading = {"user": user, "item": item, "value": value, "time": time, "keep": keep, "ordered": ordered}
    told |= {"encoding": encoding, "delimiter": delimiter, "header": header}
    told |= {"weights": documents.weighting(weights)}
    try:
        made = InteractionStore.create(files or None, out, query=_sql(query), told=status, **told)
    except KeyboardInterrupt:
        status("the same command goes on after the last file whose rows were written down")
        raise
    emit(_document(made), as_json, lambda: _page(made))


def _sql(query: str | None) -> str | None:
    if query is None or not query.startswith("@"):
        return query
    path = Path(query[1:])
    if not path.is_file():
        raise InputError(f"no file {query[1:]!r}", expected="SQL, or @FILE")
    return path.read_text(encoding="utf-8")


def _document(made: InteractionStore) -> dict[str, Any]:
    held = made.manifest
    return {
        "path": str(made.path),
        "users": held.users,
        "items": held.items,
        "interactions": held.pairs,
        "events": held.events,
        "bytes": sum(file["bytes"] for file in held.files.values()),
        "keep": made.report.keep,
        "rows_read": made.report.rows_read,
    }


def _page(made: InteractionStore) -> Group:
    said = _document(made)
    order = "" if made.histories is None else f", {counted(made.histories.events, 'event')} in order"
    sizes = f"{counted(said['users'], 'user')}, {counted(said['items'], 'item')}"
    return Group(
        Text(f"{sizes}{order}; {said['bytes'] / 1e6:,.1f} MB in {said['path']}"),
        Text(f"\ntry: isthmus fit interactions {said['path']} --out my.bundle"),
    )

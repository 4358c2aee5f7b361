"""The command ``isthmus update``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from isthmus import bundle
from isthmus.cli.options import (
    Delimiter,
    Deterministic,
    DeviceName,
    Directory,
    Encoding,
    Header,
    PrecisionName,
    Seed,
    TimeLimit,
    parsed_duration,
)
from isthmus.cli.output import Json, emit, printable, status, table
from isthmus.cli.training import saved_at_signals
from isthmus.cli.wording import duration
from isthmus.files import FileOptions, told_in
from isthmus.training.run import Run
from isthmus_interactions.cli import documents, item_tables
from isthmus_interactions.cli.options import (
    Data,
    ItemColumn,
    Keep,
    TimeColumn,
    TitleColumn,
    TitleId,
    Titles,
    UserColumn,
    ValueColumn,
)
from isthmus_interactions.files.read_like import read_like
from isthmus_interactions.recommender import Recommender


def update(
    directory: Directory,
    file: Data,
    out: Annotated[Path | None, typer.Option(help="Where to save the new bundle [DIR itself].")] = None,
    user: UserColumn = None,
    item: ItemColumn = None,
    value: ValueColumn = None,
    time: TimeColumn = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    keep: Keep = None,
    epochs: Annotated[
        int | None, typer.Option(min=0, help="Passes over all data [a tenth of the original number].")
    ] = None,
    validation: Annotated[float, typer.Option(help="Share of users with new interactions to hold out.")] = 0.1,
    metric: Annotated[str | None, typer.Option(help="Metric that chooses the best epoch [as in fit].")] = None,
    seed: Seed = 0,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
    deterministic: Deterministic = False,
    time_limit: TimeLimit = None,
    items: Titles = None,
    title_id: TitleId = None,
    title_column: TitleColumn = None,
    as_json: Json = False,
) -> None:
    """Update a bundle with new interactions, users and items."""
    target = directory if out is None else out
    bundle.check_target(target)
    old = Recommender.load(directory)
    written: FileOptions = {"encoding": encoding, "delimiter": delimiter, "header": header}
    new = read_like(old.fitted, file, user=user, item=item, value=value, time=time, keep=keep, **written)
    table_of_titles = item_tables.Titles(items, title_id, title_column, told_in(written))
    named = table_of_titles.of_update(old.adapter.items, new.items)
    limit = None if time_limit is None else parsed_duration(time_limit)
    run = replace(Run.gather(None, seed, device, precision, time_limit=limit), deterministic=deterministic)
    with saved_at_signals():
        updated = old.update(new, epochs=epochs, validation=validation, metric=metric, run=run, titles=named)
        history = updated.history
        if history.interrupted and not history.records:
            raise KeyboardInterrupt
        updated.save(target)
        if history.interrupted:
            status(f"interrupted after {history.done}: the best model so far is saved")
        document = _document(target, updated)
        emit(document, as_json, lambda: _said(document))


def _document(target: Path, updated: Recommender) -> dict[str, Any]:
    return {
        **documents.change(target, updated.builder, updated.facts, "new"),
        "seconds": round(updated.history.seconds, 2),
        "interrupted": updated.history.interrupted,
    }


def _said(document: dict[str, Any]) -> RenderableType:
    new, before = document["new"], document.get("score_before")
    said = [
        f"{document['model']} on {documents.sizes(document)}",
        f"new: {documents.sizes(new)}",
        f"{document['how']} in {duration(document['seconds'])}",
        documents.held_out(document) + ("" if before is None else f"; {before:.4f} before"),
        f"saved to {document['path']}",
    ]
    parts = [(part["model"], part["how"]) for part in document.get("parts", [])]
    return Group(*(Text(printable(line)) for line in said if line), *([table(("part", ""), parts)] if parts else []))

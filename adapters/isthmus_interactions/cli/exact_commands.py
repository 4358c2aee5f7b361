"""The commands ``isthmus learn`` and ``isthmus forget``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from isthmus import bundle
from isthmus.cli.ids import IdReader
from isthmus.cli.options import (
    Delimiter,
    DeviceName,
    Directory,
    Encoding,
    Header,
    PrecisionName,
    Seed,
    TimeLimit,
    parsed_duration,
)
from isthmus.cli.output import Json, emit, printable
from isthmus.cli.training import saved_at_signals
from isthmus.cli.wording import duration
from isthmus.files import FileOptions, told_in
from isthmus.ids import Id
from isthmus_interactions.cli import asked, documents, item_tables
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

Out = Annotated[Path | None, typer.Option(help="Where to save the new bundle [DIR itself].")]
Check = Annotated[int, typer.Option(min=0, help="Number of items whose weights are checked against the data.")]
KeepInverse = Annotated[
    bool,
    typer.Option(
        "--inverse/--no-inverse", help="Keep what the next learn or forget starts from; twice the size of the bundle."
    ),
]


def learn(
    directory: Directory,
    file: Data,
    out: Out = None,
    user: UserColumn = None,
    item: ItemColumn = None,
    value: ValueColumn = None,
    time: TimeColumn = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    keep: Keep = None,
    check: Check = 3,
    inverse: KeepInverse = True,
    items: Titles = None,
    title_id: TitleId = None,
    title_column: TitleColumn = None,
    as_json: Json = False,
) -> None:
    """Learn new interactions exactly: a closed form as if it had been fitted on all of them."""
    target = directory if out is None else out
    bundle.check_target(target)
    old = Recommender.load(directory)
    written: FileOptions = {"encoding": encoding, "delimiter": delimiter, "header": header}
    new = read_like(old.fitted, file, user=user, item=item, value=value, time=time, keep=keep, **written)
    table_of_titles = item_tables.Titles(items, title_id, title_column, told_in(written))
    named = table_of_titles.of_update(old.adapter.items, new.items)
    learned = old.learn(new, check=check, titles=named)
    learned.save(target, inverse=inverse)
    _emit(target, learned, "new", as_json)


def forget(
    directory: Directory,
    users: Annotated[
        list[str] | None,
        typer.Option(help="Users of the training data to forget: ids, a JSON array or @FILE; may be repeated."),
    ] = None,
    items: Annotated[
        list[str] | None,
        typer.Option(help="Items of the catalogue to forget: ids, a JSON array or @FILE; may be repeated."),
    ] = None,
    out: Out = None,
    check: Check = 3,
    inverse: KeepInverse = True,
    validation: Annotated[
        float, typer.Option(help="For a model that is fitted anew: share of users to hold out.")
    ] = 0.1,
    metric: Annotated[
        str | None,
        typer.Option(help="For a model that is fitted anew: metric of the best epoch [as in fit]."),
    ] = None,
    seed: Seed = 0,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
    time_limit: TimeLimit = None,
    as_json: Json = False,
) -> None:
    """Forget users and items: the bundle becomes what it would be if they had never been in its data."""
    target = directory if out is None else out
    bundle.check_target(target)
    old = Recommender.load(directory)
    people = None if users is None else IdReader(old.adapter.users, "--users").flat(users)
    things: list[Id] | None = asked.items(old, "--items", items)
    how: dict[str, Any] = {"validation": validation, "metric": metric, "seed": seed, "device": device}
    how |= {"precision": precision, "time_limit": None if time_limit is None else parsed_duration(time_limit)}
    with saved_at_signals():
        rest = old.forget(users=people, items=things, check=check, **how)
        if rest.history.interrupted and not rest.history.records:
            raise KeyboardInterrupt
        rest.save(target, inverse=inverse)
        _emit(target, rest, "change", as_json)


def _emit(target: Path, made: Recommender, what: str, as_json: bool) -> None:
    document = documents.change(target, made.builder, made.facts, what)
    emit(document, as_json, lambda: _said(document, what))


def _said(document: dict[str, Any], what: str) -> RenderableType:
    changes = ", ".join(f"{count:+,} {name}" for name, count in document[what].items() if count)
    said = [
        f"{document['model']} on {documents.sizes(document)}",
        f"{what}: {changes or 'nothing'}",
        f"{document['how']} in {duration(document['seconds'])}",
    ]
    if document["columns_checked"]:
        difference, checked = document["largest_difference"], document["columns_checked"]
        said.append(f"weights of {checked} items differ from exact ones by {difference:.1e} at most")
    return Group(*(Text(printable(line)) for line in [*said, f"saved to {document['path']}"]))

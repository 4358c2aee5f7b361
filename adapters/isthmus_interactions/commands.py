"""The verbs of the command line: each builds one document and shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from isthmus import bundle
from isthmus.cli.output import Json, emit, status, table
from isthmus.cli.progress import RichProgress
from isthmus.errors import InputError
from isthmus.training.run import Run
from isthmus_interactions import asking, bulk, titles
from isthmus_interactions.answers import Answer
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.options import (
    Data,
    Directory,
    HistoryText,
    ItemColumn,
    Keep,
    Many,
    Metrics,
    TimeColumn,
    UserColumn,
    ValueColumn,
    Weights,
    parsed_history,
    parsed_settings,
    words,
)
from isthmus_interactions.recommender import Recommender


def fit(
    file: Data,
    out: Annotated[Path, typer.Option(help="Where to save the bundle.")],
    model: Annotated[str, typer.Option(help="A name from isthmus models.")] = "mult-vae",
    user: UserColumn = None,
    item: ItemColumn = None,
    value: ValueColumn = None,
    time: TimeColumn = None,
    keep: Keep = None,
    weights: Weights = "binary",
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data.")] = None,
    setting: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of the model; may be repeated.")] = None,
    validation: Annotated[float, typer.Option(help="Share of the people who choose the best epoch.")] = 0.1,
    metric: Annotated[str, typer.Option(help="What the best epoch is best at.")] = "ndcg@100",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same weights.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    checkpoints: Annotated[Path | None, typer.Option(help="A directory to resume from later.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Epochs between checkpoints.")] = 10,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
    items: Annotated[Path | None, typer.Option("--titles", help="A table of items and their titles.")] = None,
    as_json: Json = False,
) -> None:
    """Train a recommender on interactions and save it."""
    bundle.check_target(out)
    progress = RichProgress()
    run = Run(device, seed, precision, progress, checkpoints, every, resume)
    settings = parsed_settings(setting or []) | ({} if epochs is None else {"epochs": epochs})
    data = Interactions.read(
        file, user=user, item=item, value=value, time=time, keep=keep, weights=asking.weighting(weights)
    )
    named = {} if items is None else titles.read(items, data.items)
    recommender = Recommender.fit(data, model, validation=validation, metric=metric, run=run, titles=named, **settings)
    history = recommender.history
    if history.interrupted and not history.records:
        raise KeyboardInterrupt
    recommender.save(out)
    if history.interrupted:
        status(f"interrupted after {len(history.records)} epochs: the best model so far is saved")
    emit(asking.fitted(out, recommender), as_json, lambda: _fitted(out, recommender))


def recommend(
    directory: Directory,
    history: HistoryText = None,
    users: Annotated[
        str | None, typer.Option(help='People of the training data: a file, ids with commas, or "all".')
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A Parquet file for the answers.")] = None,
    k: Many = 10,
    include_seen: Annotated[bool, typer.Option("--include-seen", help="Also answer what was touched.")] = False,
    allow: Annotated[str | None, typer.Option(help="Only these: ids with commas between, or a file.")] = None,
    as_json: Json = False,
) -> None:
    """Recommend for a history, or for people of the training data."""
    if (history is None) == (users is None):
        raise InputError("recommend needs --history or --users, and not both", remedy='try --history "id,id"')
    if out is not None and users is None:
        raise InputError("--out without --users", remedy="one history is answered on standard output")
    if out is not None:
        bulk.check_place(out)
    recommender = Recommender.load(directory)
    known = recommender.adapter.items
    filters: asking.Filters = {
        "exclude_seen": not include_seen,
        "allow": None if allow is None else parsed_history(allow, known),
    }
    if users is not None:
        _recommend_users(recommender, users, out, k, filters, as_json)
        return
    (answer,) = recommender.recommend([parsed_history(history or "", known)], k, **filters)
    _answer(recommender, answer, as_json)


def similar(
    directory: Directory,
    item: Annotated[str, typer.Option(help="An id of the catalogue.")],
    k: Many = 10,
    as_json: Json = False,
) -> None:
    """Tell which items are nearest to an item."""
    recommender = Recommender.load(directory)
    (answer,) = recommender.similar_items([recommender.adapter.items.parse(item)], k)
    _answer(recommender, answer, as_json)


def explain(
    directory: Directory,
    item: Annotated[str, typer.Option(help="The item to explain.")],
    history: HistoryText = None,
    k: Many = 10,
    as_json: Json = False,
) -> None:
    """Tell which items of a history speak for an item."""
    if history is None:
        raise InputError("explain needs --history", remedy='try --history "id,id"')
    recommender = Recommender.load(directory)
    known = recommender.adapter.items
    answer = recommender.explain(parsed_history(history, known), known.parse(item), k)
    _answer(recommender, answer, as_json)


def evaluate(
    directory: Directory,
    file: Data,
    user: UserColumn = None,
    item: ItemColumn = None,
    value: ValueColumn = None,
    keep: Keep = None,
    known: Annotated[
        bool, typer.Option("--known", help="FILE holds what people of the training data touched later.")
    ] = False,
    hide: Annotated[float, typer.Option(help="The share of each new person's items to hide and ask for.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Of the hidden items.")] = 0,
    metric: Metrics = None,
    as_json: Json = False,
) -> None:
    """Ask a bundle for items that were held out."""
    recommender = Recommender.load(directory)
    data = asking.held(recommender, file, keep, user, item, value)
    fold = asking.later(recommender, data) if known else asking.hidden(recommender, data, hide, seed)
    measured = recommender.evaluate(fold, metric or ["recall@20", "recall_capped@20", "ndcg@100"])
    document = asking.measured(measured, len(fold))
    rows = [(name, m["mean"], m.get("standard_error", "")) for name, m in document["metrics"].items()]
    emit(document, as_json, lambda: table(("metric", "mean", "standard error"), rows, f"{len(fold):,} people"))


def _recommend_users(
    recommender: Recommender, users: str, out: Path | None, k: int, filters: asking.Filters, as_json: bool
) -> None:
    people = recommender.adapter.users
    ids = people.take(range(len(people))) if users == "all" else [people.parse(word) for word in words(users)]
    people.rows(ids)
    if not ids:
        raise InputError(f"--users {users!r} names nobody", expected="ids of people of the training data")
    if out is None:
        if len(ids) > 1:
            raise InputError(f"{len(ids):,} people without a file for the answers", remedy="add --out recs.parquet")
        (answer,) = recommender.recommend_users(ids, k, **filters)
        _answer(recommender, answer, as_json)
        return
    rows = bulk.write(out, ids, recommender.adapter, lambda some: recommender.recommend_users(some, k, **filters))
    document = {"path": str(out), "people": len(ids), "rows": rows}
    emit(document, as_json, lambda: Text(f"{rows:,} rows for {len(ids):,} people in {out}"))


def _answer(recommender: Recommender, answer: Answer, as_json: bool) -> None:
    document = asking.described(recommender, answer)
    for remark in asking.remarks(answer):
        status(remark)
    emit(document, as_json, lambda: _items(document))


def _items(document: dict[str, Any]) -> RenderableType:
    titled = any("title" in entry for entry in document["items"])
    columns = ("id", "title", "score") if titled else ("id", "score")
    rows = [[entry.get(column, "") for column in columns] for entry in document["items"]]
    return table(columns, rows)


def _fitted(out: Path, recommender: Recommender) -> RenderableType:
    document = asking.fitted(out, recommender)
    shown = [(name, value) for name, value in document.items() if value is not None and not isinstance(value, dict)]
    example = ",".join(str(id_) for id_ in asking.example(recommender))
    return Group(table(("", ""), shown), Text(f'\ntry: isthmus recommend {out} --history "{example}"'))

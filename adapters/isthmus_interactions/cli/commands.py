"""The verbs of the command line: each builds one document and shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from isthmus.cli.options import Directory
from isthmus.cli.output import Json, emit, status, table
from isthmus.errors import InputError
from isthmus_interactions.cli import documents
from isthmus_interactions.cli.options import (
    Data,
    HistoryText,
    ItemColumn,
    Keep,
    Many,
    Metrics,
    UserColumn,
    ValueColumn,
    parsed_history,
    words,
)
from isthmus_interactions.recommend import export
from isthmus_interactions.recommend.answers import Answer
from isthmus_interactions.recommender import Recommender


def recommend(
    directory: Directory,
    history: HistoryText = None,
    users: Annotated[
        str | None, typer.Option(help='Users of the training data: a file, ids with commas, or "all".')
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A Parquet file for the answers.")] = None,
    k: Many = 10,
    include_seen: Annotated[bool, typer.Option("--include-seen", help="Also answer items of the history.")] = False,
    allow: Annotated[str | None, typer.Option(help="Only these: ids with commas between, or a file.")] = None,
    diversity: Annotated[float, typer.Option(help="From 0 (best first) to 1 (as unlike as possible).")] = 0.0,
    as_json: Json = False,
) -> None:
    """Recommend for a history, or for users of the training data."""
    if (history is None) == (users is None):
        raise InputError("recommend needs --history or --users, and not both", remedy='try --history "id,id"')
    if out is not None and users is None:
        raise InputError("--out without --users", remedy="one history is answered on standard output")
    if out is not None:
        export.check_place(out)
    recommender = Recommender.load(directory)
    known = recommender.adapter.items
    allowed = None if allow is None else parsed_history(allow, known)
    if unknown := [id_ for id_ in allowed or [] if id_ not in known]:
        status(documents.unknown_ids(unknown, " of --allow"))
    filters: documents.Filters = {"exclude_seen": not include_seen, "allow": allowed, "diversity": diversity}
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
    """Show the items nearest to an item."""
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
    """Show how much each item of a history contributes to an item."""
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
        bool, typer.Option("--known", help="FILE holds later interactions of users of the training data.")
    ] = False,
    hide: Annotated[float, typer.Option(help="The share of each new user's items to hide and ask for.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0, help="Of the hidden items.")] = 0,
    metric: Metrics = None,
    as_json: Json = False,
) -> None:
    """Ask a bundle for items that were held out."""
    recommender = Recommender.load(directory)
    data = documents.read_test_data(recommender, file, keep, user, item, value)
    fold = (
        documents.known_users_fold(recommender, data)
        if known
        else documents.new_users_fold(recommender, data, hide, seed)
    )
    measured = recommender.evaluate(fold, metric or ["recall@20", "recall_capped@20", "ndcg@100"])
    document = documents.evaluation_report(measured, len(fold))
    rows = [(name, m["mean"], m.get("standard_error", "")) for name, m in document["metrics"].items()]
    emit(document, as_json, lambda: table(("metric", "mean", "standard error"), rows, f"{len(fold):,} users"))


def _recommend_users(
    recommender: Recommender, users: str, out: Path | None, k: int, filters: documents.Filters, as_json: bool
) -> None:
    known = recommender.adapter.users
    ids = known.take(range(len(known))) if users == "all" else [known.parse(word) for word in words(users)]
    known.rows(ids)
    if not ids:
        raise InputError(f"--users {users!r} holds no id", expected="ids of users of the training data")
    if out is None:
        if len(ids) > 1:
            raise InputError(f"{len(ids):,} users without a file for the answers", remedy="add --out recs.parquet")
        (answer,) = recommender.recommend_users(ids, k, **filters)
        _answer(recommender, answer, as_json)
        return
    rows = export.write(out, ids, recommender.adapter, lambda some: recommender.recommend_users(some, k, **filters))
    document = {"path": str(out), "users": len(ids), "rows": rows}
    emit(document, as_json, lambda: Text(f"{rows:,} rows for {len(ids):,} users in {out}"))


def _answer(recommender: Recommender, answer: Answer, as_json: bool) -> None:
    document = documents.answer_document(recommender, answer)
    for remark in documents.remarks(answer):
        status(remark)
    emit(document, as_json, lambda: _items(document))


def _items(document: dict[str, Any]) -> RenderableType:
    titled = any("title" in entry for entry in document["items"])
    columns = ("id", "title", "score") if titled else ("id", "score")
    rows = [[entry.get(column, "") for column in columns] for entry in document["items"]]
    return table(columns, rows)

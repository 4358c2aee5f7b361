"""Commands that use a recommender; each one builds and prints one document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.text import Text

from isthmus.answers import Answers
from isthmus.cli.jobs.batch import Workers
from isthmus.cli.options import (
    Allow,
    Delimiter,
    Directory,
    Encoding,
    Exclude,
    Header,
    ResultCount,
    ResultCountOrAll,
    Seed,
    check_ending,
)
from isthmus.cli.output import Json, emit, status, table
from isthmus.disk import check_file
from isthmus.errors import InputError
from isthmus.ids import Id
from isthmus.reprs import counted
from isthmus_interactions.cli import asked, documents
from isthmus_interactions.cli.options import (
    Data,
    HiddenShare,
    Histories,
    ItemColumn,
    Keep,
    Metrics,
    Ordered,
    SeenItems,
    SplitAt,
    SplitName,
    SplitTarget,
    TimeColumn,
    UserColumn,
    ValueColumn,
)
from isthmus_interactions.cli.recommend_job import Work, recommend_job
from isthmus_interactions.exchange import trec
from isthmus_interactions.files.reading import Reading, with_order
from isthmus_interactions.jobs.inputs import is_input
from isthmus_interactions.recommend import export
from isthmus_interactions.recommend.answers import Answer
from isthmus_interactions.recommend.find_items import find_items
from isthmus_interactions.recommend.histories import GivenId
from isthmus_interactions.recommender import Recommender

RUNS = (".run", ".trec")
"""Suffixes of TREC runs."""


def recommend(
    directory: Directory,
    history: Histories = None,
    users: Annotated[
        list[str] | None,
        typer.Option(
            help='Users of the training data: ids, a JSON array, @FILE, or "all"; or Parquet files of users with '
            "histories or of events, or a store; may be repeated."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Parquet file for the recommendations, a TREC run: .run or .trec, or the folder of a job."),
    ] = None,
    k: ResultCount = 10,
    include_seen: Annotated[bool, typer.Option("--include-seen", help="Recommend items of the history, too.")] = False,
    exclude: Exclude = None,
    allow: Allow = None,
    diversity: Annotated[float, typer.Option(help="From 0 (best first) to 1 (as different as possible).")] = 0.0,
    calibrated: Annotated[
        bool, typer.Option("--calibrated", help="Show the chance that each item is a hit, and the expected hits.")
    ] = False,
    engine: Annotated[
        str | None, typer.Option(help="Write a folder of parts, by local processes, torchrun or ray [local for files].")
    ] = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Recommend items for histories, or for users of the training data or of files."""
    if (history is None) == (users is None):
        raise InputError("recommend needs either --history or --users", remedy='try --history "id,id"')
    if out is not None and users is None:
        raise InputError("--out without --users", remedy="recommendations for histories go to standard output")
    job = users is not None and (engine is not None or is_input(users))
    if out is not None and not job:
        check_file(out)
        check_ending(out, (".parquet", ".pq", *RUNS))
    recommender = Recommender.load(directory)
    named = {name: asked.items(recommender, name, ids) for name, ids in (("--exclude", exclude), ("--allow", allow))}
    for name, ids in named.items():
        if unknown := [id_ for id_ in ids or [] if id_ not in recommender.adapter.items]:
            status(asked.unknown_items(recommender, unknown, f" of {name}"))
    filters: documents.Filters = {
        "exclude_seen": not include_seen,
        "exclude": named["--exclude"],
        "allow": named["--allow"],
        "diversity": diversity,
        "calibrated": calibrated,
    }
    if job:
        recommend_job(recommender, directory, users or [], out, Work(engine or "local", workers, k, filters), as_json)
        return
    if users is not None:
        _recommend_users(recommender, users, out, k, filters, as_json)
        return
    texts = history or []
    answers = list(recommender.recommend(asked.histories(recommender, texts), k, **filters))
    _answer(recommender, "history", _numbers(texts, answers), answers, as_json)


def similar(
    directory: Directory,
    item: Annotated[str, typer.Option(help="An id of the catalogue.")],
    k: ResultCount = 10,
    as_json: Json = False,
) -> None:
    """Show the items that are most similar to an item."""
    recommender = Recommender.load(directory)
    near = recommender.similar_items([asked.item(recommender, item)], k)
    _answer(recommender, "item", None, list(near), as_json)


def explain(
    directory: Directory,
    item: Annotated[str, typer.Option(help="The item to explain.")],
    history: Histories = None,
    k: ResultCountOrAll = None,
    as_json: Json = False,
) -> None:
    """Show how much each item of a history contributes to the score of an item."""
    if history is None:
        raise InputError("explain needs --history", remedy='try --history "id,id"')
    recommender = Recommender.load(directory)
    found = asked.histories(recommender, history)
    answers = [recommender.explain(one, asked.item(recommender, item), k) for one in found]
    _answer(recommender, "history", _numbers(history, answers), answers, as_json)


def items(
    directory: Directory,
    text: Annotated[
        str, typer.Argument(metavar="[TEXT]", help="Part of a title, or an id [the most popular items].")
    ] = "",
    k: ResultCount = 10,
    as_json: Json = False,
) -> None:
    """Find items by their titles or ids, best matches first."""
    recommender = Recommender.load(directory)
    found = find_items(recommender, text, k)
    document = {"query": text, "items": [one._asdict() for one in found]}
    if not found:
        status(f"no item matches {text!r}")
    titled = any(one.title is not None for one in found)
    columns = ("id", "title", "users") if titled else ("id", "users")
    rows = [(one.id, one.title or "", one.users) if titled else (one.id, one.users) for one in found]
    emit(document, as_json, lambda: table(columns, rows))


def evaluate(
    directory: Directory,
    file: Data,
    user: UserColumn = None,
    item: ItemColumn = None,
    value: ValueColumn = None,
    time: TimeColumn = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    header: Header = None,
    keep: Keep = None,
    ordered: Ordered = False,
    split: SplitName = None,
    at: SplitAt = None,
    target: SplitTarget = None,
    seen: SeenItems = None,
    hide: HiddenShare = 0.2,
    seed: Seed = 0,
    metric: Metrics = None,
    as_json: Json = False,
) -> None:
    """Evaluate a bundle on held-out interactions."""
    recommender = Recommender.load(directory)
    metrics = metric or ["recall@20", "recall_capped@20", "ndcg@100"]
    told: Reading = {"user": user, "item": item, "value": value, "time": time, "keep": keep}
    told |= {"encoding": encoding, "delimiter": delimiter, "header": header}
    reading = with_order(told, ordered)
    asked_for: dict[str, Any] = {"split": split, "at": at, "target": target, "seen": seen, "hide": hide, "seed": seed}
    measured = recommender.evaluate(file, metrics, **asked_for, **reading)
    document = documents.evaluation_report(measured)
    others = measured.baselines
    rows = [
        (name, measured.shown(name), *(f"{others[other].get(name, 0.0):.4f}" for other in others))
        for name in measured.means
    ]
    for remark in (measured.protocol, *measured.remarks):
        status(remark)
    title = f"{len(measured.rows):,} {documents.asked_rows(measured)}, seen items {measured.seen}"
    emit(document, as_json, lambda: table(("metric", "mean ± standard error", *others), rows, title))


def _recommend_users(
    recommender: Recommender,
    users: list[str],
    out: Path | None,
    k: int,
    filters: documents.Filters,
    as_json: bool,
) -> None:
    ids = asked.users(recommender, users)
    if out is None:
        answers = list(recommender.recommend_users(ids, k, **filters))
        _answer(recommender, "user", None if len(ids) == 1 else ids, answers, as_json)
        return

    def ask(some: Sequence[GivenId]) -> Answers[Answer]:
        return recommender.recommend_users(some, k, **filters)

    if out.suffix.lower() in RUNS:
        rows = trec.write_run(out, ids, ask)
    else:
        rows = export.write(out, ids, recommender.adapter, ask, calibrated=filters["calibrated"])
    document = {"path": str(out), "users": len(ids), "rows": rows}
    emit(document, as_json, lambda: Text(f"{counted(rows, 'row')} for {counted(len(ids), 'user')} in {out}"))


def _numbers(texts: list[str], answers: Sequence[Answer]) -> list[Id] | None:
    """A number for each history; None if only one was given."""
    alone = len(texts) == 1 and not texts[0].startswith("@")
    return None if alone else list(range(1, len(answers) + 1))


def _answer(
    recommender: Recommender, what: str, names: Sequence[Id] | None, answers: Sequence[Answer], as_json: bool
) -> None:
    """Print one answer, or several with their names.

    Args:
        recommender: the recommender.
        what: what the names are, such as a history.
        names: names of the answers; None for a single one.
        answers: one for each name.
        as_json: whether to print a JSON document.
    """
    entries = [documents.answer_document(recommender, answer) for answer in answers]
    for name, answer in zip(names or [""], answers, strict=True):
        for remark in asked.remarks(recommender, answer, "" if names is None else f"{what} {name}"):
            status(remark)
    if names is None:
        emit(entries[0], as_json, lambda: _items(None, [("", entries[0])]))
        return
    named = list(zip(names, entries, strict=True))
    document = {"answers": [{what: name, **entry} for name, entry in named]}
    emit(document, as_json, lambda: _items(what, named))


def _shown(entry: dict[str, Any], column: str) -> Any:
    value = entry.get(column, "")
    if column != "chance" or value == "":
        return value
    return "" if value is None else f"{value:.1%}"


def _items(what: str | None, named: Sequence[tuple[Id, dict[str, Any]]]) -> RenderableType:
    titled = any("title" in one for _, entry in named for one in entry["items"])
    calibrated = any("chance" in one for _, entry in named for one in entry["items"])
    columns = ("id", *(["title"] if titled else []), "score", *(["chance"] if calibrated else []))
    rows = [
        [*([] if what is None else [name]), *(_shown(one, column) for column in columns)]
        for name, entry in named
        for one in entry["items"]
    ]
    return table(columns if what is None else (what, *columns), rows)

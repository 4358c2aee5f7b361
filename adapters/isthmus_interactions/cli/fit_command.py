"""``isthmus fit interactions``: from a file to a bundle."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text as Line

from isthmus import plugins
from isthmus.cli.options import Delimiter, Encoding, Header
from isthmus.cli.output import emit, printable, table
from isthmus.cli.training import Training, fit_command
from isthmus.cli.wording import duration
from isthmus.distributed import leads
from isthmus.files import FileOptions, Told, told_in
from isthmus.tasks.evaluation import MetricAt
from isthmus_interactions.auto.auto import check_settings
from isthmus_interactions.cli import documents, item_tables
from isthmus_interactions.cli.options import (
    Data,
    FeatureFile,
    FeatureId,
    FeatureTitle,
    ItemColumn,
    Keep,
    Ordered,
    Tags,
    Text,
    TimeColumn,
    TitleColumn,
    TitleId,
    Titles,
    UserColumn,
    ValueColumn,
    Vectors,
    Weights,
)
from isthmus_interactions.files.reading import Reading
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.recommender import Recommender


@partial(fit_command, shards=True)
def fit(
    file: Data,
    training: Training,
    model: Annotated[str, typer.Option(help="auto, or a name from isthmus models.")] = "auto",
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
    before: Annotated[
        str | None,
        typer.Option(
            help="Train on what happened before this moment only: a date, a number as in FILE, or a share of the "
            "events; evaluate --split temporal then asks for what came after it."
        ),
    ] = None,
    decay: Annotated[
        str | None,
        typer.Option(
            help="Recency: the half-life of an item in a history, as a number of later events (20) or a time (30d), or "
            "auto to choose one."
        ),
    ] = None,
    metric: Annotated[str, typer.Option(help="Metric that chooses the best epoch.")] = "ndcg@100",
    refit: Annotated[
        bool,
        typer.Option(
            "--refit/--no-refit",
            help="Fit the chosen model on everybody in the end, those who were held out among them; a network is "
            "trained twice for it.",
        ),
    ] = True,
    items: Titles = None,
    title_id: TitleId = None,
    title_column: TitleColumn = None,
    features: FeatureFile = None,
    feature_id: FeatureId = None,
    tags: Tags = None,
    text: Text = None,
    vectors: Vectors = None,
    title: FeatureTitle = None,
) -> None:
    """Train a recommender on interactions and save it. Without --model, several models are tried."""
    MetricAt.parse(metric)
    if model == "auto":
        check_settings(training.settings)
    else:
        training.check_model("interactions", model)
    about = item_tables.features(features, feature_id, tags, text, vectors, title, Told.of(encoding, delimiter, header))
    columns: Reading = {"user": user, "item": item, "value": value, "time": time}
    written: FileOptions = {"encoding": encoding, "delimiter": delimiter, "header": header}
    named = item_tables.Titles(items, title_id, title_column, told_in(written))
    rule = documents.weighting(weights)
    data = Interactions.read(file, **columns | written, keep=keep, weights=rule, ordered=ordered)
    recommender = Recommender.fit(
        data,
        model,
        validation=training.validation,
        metric=metric,
        refit=refit,
        run=training.run,
        titles=named.read(data.items),
        features=about,
        **{"before": before, "decay": decay, **training.settings},
    )
    training.save(recommender, by_epoch="tried" not in recommender.facts)
    if not leads(training.run):
        return
    document = documents.fit_report(training.out, recommender)
    emit(document, training.as_json, lambda: _page(document, documents.example(recommender, training.out)))


def _page(document: dict[str, Any], example: str) -> RenderableType:
    said = [
        f"{document['model']} on {documents.sizes(document)}",
        f"counted: {document['kept']}" if document["kept"] else "",
        documents.held_out(document),
        documents.everybody(document),
        documents.expected(document),
        *document.get("worth", {}).get("told", ()),
        f"took {duration(document['seconds'])}; saved to {document['path']}",
    ]
    return Group(*_tried(document), *(Line(printable(line)) for line in said if line), Line(f"\ntry: {example}"))


def _tried(document: dict[str, Any]) -> list[RenderableType]:
    """The models that ``auto`` tried, the best first."""
    lines = document.get("tried", [])
    if not lines:
        return []
    metric = document["metric"]
    ordered = sorted(lines, key=lambda line: -(line[metric] or 0.0))
    rows = [
        (
            plugins.command_name(line["model"]),
            "" if line[metric] is None else f"{line[metric]:.4f}",
            duration(line["seconds"]),
            line["note"] or _settings(line),
        )
        for line in ordered
    ]
    title = f"scores on held-out data ({document.get('validation', 'users')}), seen items masked"
    return [table(("model", metric, "time", ""), rows, title), Line("")]


def _settings(line: dict[str, Any]) -> str:
    """Settings that distinguish candidates of the same name; for a blend, the weights of its parts."""
    shares = {key.removeprefix("share of "): value for key, value in line.items() if key.startswith("share of ")}
    if shares:
        return ", ".join(f"{plugins.command_name(name)} {share:.0%}" for name, share in shares.items())
    if "half_life" in line["settings"]:
        given = line["settings"]
        return f"{plugins.command_name(given['of'])}, half-life {given['half_life']}"
    names = ("regularisation", "dropout", "xi", "batch_size", "tau", "vectors", "item_power", "degree_power", "linear")
    shown = [*names, *(name for name in ("length_power", "feature_weight") if line["settings"].get(name))]
    given = {name: line["settings"][name] for name in shown if line["settings"].get(name) is not None}
    return ", ".join(f"{name} {value:g}" for name, value in given.items())

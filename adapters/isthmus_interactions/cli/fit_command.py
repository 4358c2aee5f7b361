"""``isthmus fit interactions``: from a file to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text as Line

from isthmus import bundle, plugins
from isthmus.cli.options import parsed_duration, parsed_settings
from isthmus.cli.output import Json, emit, status, table
from isthmus.cli.progress import RichProgress
from isthmus.errors import InputError
from isthmus.training.run import Run
from isthmus_interactions.auto import auto
from isthmus_interactions.cli import documents
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
    UserColumn,
    ValueColumn,
    Vectors,
    Weights,
)
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.recommend import titles
from isthmus_interactions.recommender import Recommender


def fit(
    file: Data,
    out: Annotated[Path, typer.Option(help="Where to save the bundle.")],
    model: Annotated[str, typer.Option(help="auto, or a name from isthmus models.")] = "auto",
    user: UserColumn = None,
    item: ItemColumn = None,
    value: ValueColumn = None,
    time: TimeColumn = None,
    ordered: Ordered = False,
    keep: Keep = None,
    weights: Weights = "binary",
    budget: Annotated[str | None, typer.Option(help="What auto may take, such as 90s, 10m or 2h [10m].")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data.")] = None,
    setting: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of the model; may be repeated.")] = None,
    validation: Annotated[float, typer.Option(help="Share of the users who choose the best epoch.")] = 0.1,
    metric: Annotated[str, typer.Option(help="What the best epoch is best at.")] = "ndcg@100",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same weights.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16.")] = "auto",
    checkpoints: Annotated[Path | None, typer.Option(help="A directory to resume from later.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Epochs between checkpoints.")] = 10,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
    items: Annotated[Path | None, typer.Option("--titles", help="A table of items and their titles.")] = None,
    features: FeatureFile = None,
    feature_id: FeatureId = None,
    tags: Tags = None,
    text: Text = None,
    vectors: Vectors = None,
    title: FeatureTitle = None,
    as_json: Json = False,
) -> None:
    """Train a recommender on interactions and save it; without --model, the best of several."""
    bundle.check_target(out)
    seconds = auto.BUDGET if budget is None else parsed_duration(budget)
    if budget is not None and model != "auto":
        raise InputError(f"--budget {budget} with --model {model}", remedy="leave out one of them: auto has a budget")
    progress = RichProgress()
    run = Run(device, seed, precision, progress, checkpoints, every, resume)
    settings = parsed_settings(setting or []) | ({} if epochs is None else {"epochs": epochs})
    about = documents.features(features, feature_id, tags, text, vectors, title)
    data = Interactions.read(
        file,
        user=user,
        item=item,
        value=value,
        time=time,
        keep=keep,
        weights=documents.weighting(weights),
        ordered=ordered,
    )
    named = {} if items is None else titles.read(items, data.items)
    recommender = Recommender.fit(
        data,
        model,
        validation=validation,
        metric=metric,
        budget=seconds,
        run=run,
        titles=named,
        features=about,
        **settings,
    )
    history = recommender.history
    if history.interrupted and not history.records:
        raise KeyboardInterrupt
    recommender.save(out)
    if history.interrupted:
        after = "" if "tried" in recommender.facts else f" after epoch {len(history.records)}"
        status(f"interrupted{after}: the best model so far is saved")
    emit(documents.fit_report(out, recommender), as_json, lambda: _fitted(out, recommender))


def _fitted(out: Path, recommender: Recommender) -> RenderableType:
    document = documents.fit_report(out, recommender)
    shown = [(name, value) for name, value in document.items() if value is not None and type(value) not in (dict, list)]
    return Group(*_tried(document), table(("", ""), shown), Line(f"\ntry: {documents.example(recommender, out)}"))


def _tried(document: dict[str, Any]) -> list[RenderableType]:
    """What ``auto`` tried, the best first."""
    lines = document.get("tried", [])
    if not lines:
        return []
    metric = document["metric"]
    ordered = sorted(lines, key=lambda line: -(line[metric] or 0.0))
    rows = [
        (
            plugins.command_name(line["model"]),
            "" if line[metric] is None else f"{line[metric]:.4f}",
            f"{line['seconds']:.1f}",
            line["note"] or _settings(line),
        )
        for line in ordered
    ]
    title = f"tried on {document['validation_users']:,} users who were held out"
    return [table(("model", metric, "seconds", ""), rows, title), Line("")]


def _settings(line: dict[str, Any]) -> str:
    """What tells candidates of one name apart; of a blend, who has which share."""
    shares = {key.removeprefix("share of "): value for key, value in line.items() if key.startswith("share of ")}
    if shares:
        return ", ".join(f"{plugins.command_name(name)} {share:.0%}" for name, share in shares.items())
    names = ("regularisation", "dropout", "xi", "batch_size")
    return ", ".join(f"{name} {line['settings'][name]:g}" for name in names if name in line["settings"])

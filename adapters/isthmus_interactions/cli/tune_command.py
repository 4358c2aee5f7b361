"""The command ``isthmus tune``."""

from __future__ import annotations

import inspect
import json
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from isthmus import bundle, plugins
from isthmus.cli.options import (
    Delimiter,
    Deterministic,
    DeviceName,
    Encoding,
    Header,
    PrecisionName,
    Seed,
    parsed_duration,
    parsed_settings,
)
from isthmus.cli.output import Json, emit, status, table
from isthmus.cli.training import check_settings, saved_at_signals
from isthmus.cli.wording import duration
from isthmus.files import FileOptions, told_in
from isthmus.models.recipes.settings import checked
from isthmus.tasks.evaluation import MetricAt
from isthmus.training.run import Run
from isthmus_interactions.cli import documents, item_tables
from isthmus_interactions.cli.options import (
    Data,
    ItemColumn,
    Keep,
    Ordered,
    TimeColumn,
    TitleColumn,
    TitleId,
    Titles,
    UserColumn,
    ValueColumn,
    Weights,
)
from isthmus_interactions.files.reading import Reading
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.recommender import Recommender
from isthmus_interactions.tuning.tune import TuningResult
from isthmus_interactions.tuning.tune import tune as search


def tune(
    file: Data,
    model: Annotated[str, typer.Option(help="A name from isthmus models.")],
    trials: Annotated[int, typer.Option(min=1, help="Total number of trials, including those of an earlier run.")] = 20,
    time_limit: Annotated[
        str | None, typer.Option(help="Time limit of the search, such as 90s, 10m or 2h [no limit].")
    ] = None,
    study: Annotated[Path | None, typer.Option(help="Directory for the trials, to continue later.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to save a bundle with the best settings.")] = None,
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
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data in each trial.")] = None,
    setting: Annotated[list[str] | None, typer.Option(help="Fixed setting NAME=VALUE; may be repeated.")] = None,
    validation: Annotated[float, typer.Option(help="Share of the users that are held out.")] = 0.1,
    metric: Annotated[str, typer.Option(help="The metric to maximise.")] = "ndcg@100",
    seed: Seed = 0,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
    deterministic: Deterministic = False,
    items: Titles = None,
    title_id: TitleId = None,
    title_column: TitleColumn = None,
    as_json: Json = False,
) -> None:
    """Search for the best settings of one model on held-out users."""
    limit = None if time_limit is None else parsed_duration(time_limit)
    fixed = parsed_settings(setting or []) | ({} if epochs is None else {"epochs": epochs})
    _check(model, metric, out, fixed)
    # Ten lines of epochs per trial would hide the line with its score.
    run = Run.gather(None, seed, device, precision, progress=sys.stderr.isatty())
    searching = replace(run, time_limit=limit, deterministic=deterministic)
    written: FileOptions = {"encoding": encoding, "delimiter": delimiter, "header": header}
    columns: Reading = {"user": user, "item": item, "value": value, "time": time}
    told: Reading = {"keep": keep, "weights": documents.weighting(weights), "ordered": ordered}
    data = Interactions.read(file, **columns | told | written)
    named = item_tables.Titles(items, title_id, title_column, told_in(written)).read(data.items)
    asked: dict[str, Any] = {"metric": metric, "validation": validation}
    with saved_at_signals():
        reporter = _TrialReporter(trials, limit)
        tuned = search(data, model, trials=trials, study=study, on_trial=reporter, run=searching, **asked, **fixed)
        if out is not None and not tuned.interrupted:
            status("fitting with the best settings")
            _fit(data, model, out, {"titles": named, "run": run, **asked, **tuned.settings})
        saved = None if tuned.interrupted else out
        emit(_document(tuned, study, saved), as_json, lambda: _page(tuned, file, study, saved))
        if tuned.interrupted and out is not None:
            # The requested bundle was not saved, which the exit status reports.
            raise KeyboardInterrupt


def _check(model: str, metric: str, out: Path | None, settings: Mapping[str, Any]) -> None:
    """Refuse mistyped names before any data are read."""
    if out is not None:
        bundle.check_target(out)
    MetricAt.parse(metric)
    check_settings(settings, inspect.signature(tune).parameters)
    _, builder = plugins.find_builder(model, "interactions")
    checked(model, builder, settings)


def _fit(data: Interactions, model: str, out: Path, keywords: Mapping[str, Any]) -> None:
    """Fit with the best settings and save."""
    best = Recommender.fit(data, model, **keywords)
    if best.history.interrupted and not best.history.records:
        raise KeyboardInterrupt
    best.save(out)


class _TrialReporter:
    """Prints a line for each trial: its number, its score, the best score so far, the time left."""

    def __init__(self, trials: int, seconds: float | None) -> None:
        self.trials, self.seconds, self.started, self.done = trials, seconds, time.monotonic(), 0

    def __call__(self, tuned: TuningResult) -> None:
        last, best = tuned.trials[-1], tuned.best
        self.done += 1
        spent = time.monotonic() - self.started
        left = spent / self.done * (self.trials - len(tuned.trials))
        if self.seconds is not None:
            left = max(0.0, min(left, self.seconds - spent))
        score = "failed" if last.score is None else f"{tuned.metric} {last.score:.4f}"
        ended = f", {last.state}" if last.state in ("pruned", "cut") else ""
        status(
            f"trial {last.number}/{self.trials}: {score}{ended} in {duration(last.seconds)}; "
            f"best {best.score:.4f} in trial {best.number}; about {duration(left)} left"
        )


def _document(tuned: TuningResult, study: Path | None, saved: Path | None) -> dict[str, Any]:
    best = tuned.best
    return {
        "model": plugins.command_name(tuned.model),
        "metric": tuned.metric,
        "best": {"number": best.number, "score": best.score, "settings": tuned.settings},
        "trials": [trial.to_json() for trial in tuned.trials],
        "fixed": tuned.fixed,
        "interrupted": tuned.interrupted,
        "study": study,
        "path": saved,
    }


def _page(tuned: TuningResult, file: Path, study: Path | None, saved: Path | None) -> RenderableType:
    best, names = tuned.best, list(tuned.best.settings)
    rows = [
        [
            trial.number,
            "" if trial.score is None else f"{trial.score:.4f}",
            duration(trial.seconds),
            "best" if trial is best else trial.state,
            *(_short(trial.settings[name]) for name in names),
        ]
        for trial in tuned.trials
    ]
    name = plugins.command_name(tuned.model)
    given = " ".join(f"--setting {key}={_typed(value)}" for key, value in tuned.settings.items())
    lines = [f"\nbest of {len(rows)}: {tuned.metric} {best.score:.4f} in trial {best.number}"]
    if saved is not None:
        lines.append(f"saved to {saved}")
    else:
        lines.append(f"isthmus fit interactions {shlex.quote(str(file))} --out my.bundle --model {name} {given}")
    if tuned.interrupted:
        lines.append(
            "interrupted: "
            + ("the same command continues the search" if study else "use --study DIR to continue later")
        )
    return Group(table(("trial", tuned.metric, "time", "", *names), rows), *map(Text, lines))


def _typed(value: Any) -> str:
    """A setting as ``parsed_settings`` reads it."""
    return shlex.quote(value if isinstance(value, str) else json.dumps(value))


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

"""What comes next: how well do models that read order and recency find the next item, beside those that do not?

Toys, Sports and ML-1M are judged as papers do it, on the last item of each user, with the item before it as validation;
ml-latest-small and ml-100k by one cut in time, as users live; sessions by every click but the first. All items are
ranked. Settings are chosen on the validation items, of at most 8,000 users, and the weights of blends on at most 4,000.
Brackets are 95 % intervals of a bootstrap over users.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.harness import Line, Results, Smoke, chosen, mark, markdown, newest
from benchmarks.processes import Python, available
from benchmarks.recommendation import sequence_rival
from benchmarks.recommendation.quality.splits import paired_bootstrap
from benchmarks.recommendation.sequence_data import CASES, Case, drawn, some
from benchmarks.recommendation.sequence_models import GRIDS, PUBLISHED, Settings
from benchmarks.recommendation.sequence_networks import NETWORKS, WATCHED, Trained, active, blended
from isthmus.training.run import Run
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.recommender import Recommender
from isthmus_interactions.splits import FoldIn

NAME = "sequences"
TITLE = "What comes next"
DRAWN = "drawn"

ASKED = 8_000
"""Most users on whom settings are chosen."""

RUN = Run(device="cpu", precision="fp32")


@dataclass(frozen=True)
class Bench:
    """A data set by name, where its lines go, and its networks."""

    name: str
    case: Case
    results: Results
    networks: Trained


def run(
    smoke: Smoke = False,
    data: Annotated[list[str] | None, typer.Option(help="Only this one; may be given several times.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only this one; may be given several times.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Folder of trained networks, for the next run, too.")] = None,
    rectools_python: Python = None,
    minutes: Annotated[float, typer.Option(help="Of the training of RecTools' SASRec.")] = 30,
) -> list[Line]:
    """Choose settings and measure; what has a line is not done again. RecTools is asked where its environment is named
    (``torch==2.13.0 rectools[torch]==0.19.0``)."""
    results, networks = Results(NAME, smoke=smoke), Trained(keep)
    for name in [DRAWN] if smoke else chosen(data, CASES):
        bench = Bench(name, drawn() if smoke else CASES[name](), results, networks)
        for label in chosen(model, GRIDS[name]):
            compare(bench, label, GRIDS[name][label])
        if rectools_python is not None and not bench.case.refitted:
            available(rectools_python, "RecTools", smoke=False)
            compare_rectools(bench, rectools_python, minutes)
    return results.made


def compare_rectools(bench: Bench, python: Path, minutes: float) -> None:
    """SASRec of RecTools with its own defaults, for so many minutes."""
    setting = {"minutes": minutes}
    if bench.results.find(stage="test", data=bench.name, model=sequence_rival.LABEL, setting=setting):
        return
    values, told = sequence_rival.asked(bench.case, python, minutes)
    bench.results.add(
        stage="test",
        data=bench.name,
        model=sequence_rival.LABEL,
        setting=setting,
        settings_tried=0,
        users=len(bench.case.test),
        seen=bench.case.seen,
        metrics={metric: interval(value) for metric, value in values.items()},
        **told,
    )


def compare(bench: Bench, label: str, grid: Sequence[Settings]) -> None:
    """Choose one of the settings on the validation items, and judge it by the test."""
    case, model = bench.case, label.split(" (")[0]
    fold = some(case.validation, ASKED)
    grid = [_with_parts(bench, settings) for settings in grid]
    tried = [_tried(bench, label, settings, fold) for settings in grid] if len(grid) > 1 else []
    settings = max(tried, key=lambda line: line["score"])["setting"] if tried else grid[0]
    if bench.results.find(stage="test", data=bench.name, model=label, setting=settings):
        return
    found, spent = _first(bench, label, settings)
    measured = {} if case.refitted else {"metrics": _measured(found, case, case.test)}
    answering, units = found, active(found, case)
    if not _has_network(model, settings):
        started = time.process_time()
        # Blends keep the weights that the validation chose.
        answering = (
            found.update(case.between, validation=0.0, run=RUN)
            if model == "blend"
            else _fitted(case, model, case.known, settings)
        )
        measured |= {"refitted": _measured(answering, case, case.test)}
        measured |= {"refit_cpu_seconds": time.process_time() - started}
    bench.results.add(
        stage="test",
        data=bench.name,
        model=label,
        setting=settings,
        settings_tried=len(tried),
        users=len(case.test),
        seen=case.seen,
        **measured,
        fit_cpu_seconds=spent,
        answer_cpu_seconds=_answered(answering, case),
        **({} if units is None else {"active_units": units}),
    )


def _has_network(model: str, settings: Settings) -> bool:
    """Whether it is a network, or a blend with one."""
    return model in NETWORKS or any(part["model"] in NETWORKS for part in settings.get("parts", ()))


def _first(bench: Bench, label: str, settings: Settings) -> tuple[Recommender, float | None]:
    """Fitted on the training data, with the seconds of the processor; None where networks were found."""
    case, model = bench.case, label.split(" (")[0]
    if model in NETWORKS:
        return bench.networks.get(bench.name, case, model, settings)
    started = time.process_time()
    if not _has_network(model, settings):
        return _fitted(case, model, case.train, settings), time.process_time() - started
    parts = {part["model"]: _first(bench, part["model"], part["settings"])[0] for part in settings["parts"]}
    return blended(case, parts), None


def _tried(bench: Bench, label: str, settings: Settings, fold: FoldIn) -> Line:
    case, metric = bench.case, bench.case.metrics[-1]
    key = {"stage": "validation", "data": bench.name, "model": label, "setting": dict(settings)}
    before = bench.results.find(**key)
    if before:
        return before
    found, spent = _first(bench, label, settings)
    score = found.evaluate(fold, [metric], seen=case.seen).means[metric]
    return bench.results.add(**key, metric=metric, score=score, users=len(fold), fit_cpu_seconds=spent)


def _fitted(case: Case, model: str, data: Interactions, settings: Settings) -> Recommender:
    validation: Any = some(case.validation, WATCHED) if model == "blend" else 0.0
    return Recommender.fit(data, model, validation=validation, metric=case.metrics[-1], run=RUN, **settings)


def _with_parts(bench: Bench, settings: Settings) -> Settings:
    """Parts of a blend that are labels of other models get the settings that were chosen for these."""
    if "parts" not in settings:
        return settings
    parts = []
    for label in settings["parts"]:
        lines = [line for line in bench.results.lines() if line["data"] == bench.name and line["model"] == label]
        best = next(line for line in reversed(lines) if line["stage"] == "test")
        parts.append({"model": label.split(" (")[0], "settings": best["setting"]})
    return {"parts": parts}


def _measured(found: Recommender, case: Case, fold: FoldIn) -> dict[str, list[float]]:
    """The mean of each metric and its interval."""
    values = found.evaluate(fold, list(case.metrics), seen=case.seen).values
    return {metric: interval(values[metric].numpy()) for metric in case.metrics}


def interval(values: Any) -> list[float]:
    """The mean over users, and both ends of its interval of 95 %."""
    drawn_means = paired_bootstrap(values, np.zeros(len(values)), draws=2_000)
    return [drawn_means.mean, drawn_means.low, drawn_means.high]


def _answered(found: Recommender, case: Case) -> float:
    """Seconds of the processor for the ten best items of every user of the test, from their histories."""
    order = case.test.ordered
    assert order is not None
    ids = found.adapter.items.ids
    histories = [ids[order.items_of(row)].tolist() for row in range(len(order))]
    started = time.process_time()
    found.recommend(histories, 10, exclude_seen=case.seen == "masked")
    return time.process_time() - started


def table(lines: Sequence[Line]) -> list[str]:
    """A table for each data set."""
    rows: list[str] = []
    for name in (*CASES, DRAWN):
        mine = [line for line in lines if line["data"] == name and line["stage"] == "test"]
        found = newest(mine, lambda line: line["model"])
        if found:
            rows += ["", f"#### {_title(name)}", "", *_table(name, found)]
    if not rows:
        return []
    told = (
        "Seen items are masked in the ranking, except for sessions, in which items are repeated. `before` are models "
        "that were fitted without the validation item, as in the published figures, `refitted` the same settings "
        "fitted on everything before the test item; networks, and blends with them, are not refitted. `fit` and "
        "`answers` are seconds of one core of a busy machine, the latter for the ten best items of every user of the "
        "test. Published figures are marked and were not run here."
    )
    return [told, *rows]


TITLES: Mapping[str, str] = {
    "toys": "Amazon Toys (files of S³-Rec), leave-one-out",
    "sports": "Amazon Sports (files of S³-Rec), leave-one-out",
    "ml-1m": "ML-1M (all ratings, items with five or more), leave-one-out",
    "ml-latest-small": "ml-latest-small (all ratings), one cut in time at the quantile .9",
    "ml-100k": "ml-100k (all ratings), one cut in time at the quantile .9",
    "rsc15": "YooChoose clicks (100k extract), next click",
    DRAWN: "drawn",
}


def _title(name: str) -> str:
    return TITLES[name]


def _table(name: str, found: Sequence[Line]) -> list[str]:
    metrics = list(found[0].get("refitted") or found[0]["metrics"])
    before = any("metrics" in line for line in found)
    head = [
        "model",
        *(f"{metric}, before" for metric in metrics if before),
        *(f"{metric}, refitted" for metric in metrics),
    ]
    ordered = sorted(found, key=lambda line: -(line["metrics" if before else "refitted"][metrics[-1]][0]))
    rows = [list(_row(line, metrics, before)) for line in ordered]
    for label, values in PUBLISHED.get(name, ()):
        rows.append([f"{label} (published)", *(f"{value:.4f}" for value in values), *("" for _ in metrics), "", ""])
    return markdown([*head, "fit", "answers"], rows)


def _row(line: Line, metrics: Sequence[str], before: bool) -> Iterator[str]:
    yield line["model"] + mark(line)
    for kind in ("metrics", "refitted") if before else ("refitted",):
        for metric in metrics:
            values = line.get(kind, {}).get(metric)
            yield f"{values[0]:.4f} [{values[1]:.4f}, {values[2]:.4f}]" if values else ""
    for spent in (line.get("refit_cpu_seconds", line["fit_cpu_seconds"]), line.get("answer_cpu_seconds")):
        yield "" if spent is None else f"{spent:.1f} s"

"""How well do RecBole 1.2.1, Cornac 3.0.1 and implicit 0.7.3 rank, on published splits?

Every fit is a process of its own in the rival's environment, on one core. It is handed the matrices and hands back the
best 100 items of each person; the metrics are ours, the same for everybody. Settings are chosen on the validation part
(``rival_settings.py``), where training also stops early; then the chosen ones are trained once more on everything known
before the test, for as many epochs as were best. A fit above 20 GiB of memory or 30 minutes of the processor is ended
and recorded as such. What has a line in ``results/recommendation_rivals.jsonl`` is not done again, unless ``--values``
names a folder that lacks each person's values of a final.

The environments:

    torch==2.13.0 "numpy<2" "scipy<1.14" "pandas<2.3" "setuptools<80" recbole==1.2.1
    torch==2.13.0 cornac==3.0.1 implicit==0.7.3
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.harness import Line, Results, Smoke, chosen
from benchmarks.processes import Python, available
from benchmarks.recommendation.quality.rival_process import (
    Environments,
    Limits,
    Outcome,
    StopAskedError,
    hand_over,
    supervised,
)
from benchmarks.recommendation.quality.rival_settings import GROUPS, RIVALS, Rival, Setting
from benchmarks.recommendation.quality.settings import METRICS
from benchmarks.recommendation.quality.significance import values_of
from benchmarks.recommendation.quality.splits import CHOSEN_BY, DEMO, SPLITS, STRONG, final, per_user, tuning
from benchmarks.recommendation.quality.tables import of_rivals
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.splits import FoldIn

logger = logging.getLogger("recommendation_rivals")

NAME = "recommendation_rivals"
TITLE = "The rivals on these splits"
ANSWERS = 100


table = of_rivals


@dataclass(frozen=True)
class Bench:
    """Where the rivals are, what a fit may cost, and where lines and each person's values of the finals go."""

    results: Results
    environments: Environments
    limits: Limits
    values: Path | None


def run(
    smoke: Smoke = False,
    split: Annotated[list[str] | None, typer.Option(help="Only this one; may be given several times.")] = None,
    rival: Annotated[list[str] | None, typer.Option(help="Only this one; may be given several times.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Of the finals; settings are chosen with 0.")] = None,
    cornac_python: Annotated[Path | None, typer.Option(help="Python with Cornac and implicit.")] = None,
    recbole_python: Python = None,
    minutes: Annotated[float, typer.Option(help="Of the processor, a fit; beyond, it is ended.")] = 30,
    training_minutes: Annotated[float, typer.Option(help="No new epoch begins after these.")] = 7,
    memory: Annotated[float, typer.Option(help="GiB, a fit.")] = 20,
    values: Annotated[Path | None, typer.Option(help="Folder for each person's values of the finals.")] = None,
    stop_file: Annotated[Path | None, typer.Option(help="Ends everything as soon as this file exists.")] = None,
    pause_file: Annotated[Path | None, typer.Option(help="Fits are halted while this file exists.")] = None,
) -> list[Line]:
    """All rivals on all splits, what matters most first; a smoke run tries those whose library is at hand."""
    results = Results(NAME, smoke=smoke)
    limits = Limits(minutes, training_minutes, memory, stop_file, pause_file)
    if smoke:
        pythons = {library: python for library, python in _found(cornac_python, recbole_python) if python is not None}
        bench = Bench(results, Environments(pythons), limits, None)
        for one in (RIVALS["implicit ALS"], RIVALS["cornac EASE"], RIVALS["recbole EASE"]):
            if one.library in pythons:
                compare(DEMO, replace(one, settings=one.settings[-1:]), 0, bench)
        return results.made
    libraries = {RIVALS[name].library for name in chosen(rival, RIVALS)}
    if libraries & {"cornac", "implicit"}:
        available(cornac_python, "Cornac and implicit", smoke=False)
    if "recbole" in libraries:
        available(recbole_python, "RecBole", smoke=False)
    pythons = {"cornac": cornac_python, "implicit": cornac_python, "recbole": recbole_python}
    bench = Bench(results, Environments(pythons), limits, values)
    try:
        for one, other in wanted(chosen(split, SPLITS), chosen(rival, RIVALS)):
            for number in seed or [0]:
                compare(one, other, number, bench)
    except StopAskedError:
        logger.info("stopped: %s exists", stop_file)
    return results.made


def _found(cornac: Path | None, recbole: Path | None) -> Iterator[tuple[str, Path | None]]:
    """Libraries and the interpreters that a smoke run has for them; implicit may be installed here."""
    yield "implicit", cornac or (Path(sys.executable) if find_spec("implicit") else None)
    yield "cornac", cornac if available(cornac, "Cornac", smoke=True) else None
    yield "recbole", recbole if available(recbole, "RecBole", smoke=True) else None


def wanted(splits: Sequence[str], rivals: Sequence[str]) -> Iterator[tuple[str, Rival]]:
    """Pairs in the order of the queue."""
    for group, members in GROUPS:
        for split in group:
            for rival in members:
                if split in splits and rival.name in rivals:
                    yield split, rival


def compare(split: str, rival: Rival, seed: int, bench: Bench) -> None:
    """Choose a setting on the validation part, train it on everything, judge it by the test."""
    if split in STRONG and not rival.folds_in:
        once(bench, "final", split, rival, {}, seed, lambda: {"outcome": "no fold-in"})
        return
    tried = []
    for setting in rival.choices(split):
        fit = partial(measured, split, rival, setting, 0, None, bench)
        tried.append(once(bench, "tuning", split, rival, setting, 0, fit))
    done = [line for line in tried if line["outcome"] == "done"]
    if not done:
        once(bench, "final", split, rival, {}, seed, lambda: {"outcome": tried[-1]["outcome"]})
        return
    best = max(done, key=lambda line: line["metrics"][CHOSEN_BY[split]])
    epochs = best["best_epoch"] or None
    fit = partial(measured, split, rival, best["setting"], seed, epochs, bench)
    once(
        bench,
        "final",
        split,
        rival,
        best["setting"],
        seed,
        lambda: {**fit(final_stage=True), "settings_tried": len(tried)},
    )


def once(bench: Bench, stage: str, split: str, rival: Rival, setting: Setting, seed: int, work: Any) -> Line:
    """The line of this piece of work: the one already there, or a new one."""
    key = {"stage": stage, "split": split, "rival": rival.name, "setting": dict(setting), "seed": seed}
    found = bench.results.find(**key)
    if found is not None and not _lacks_values(found, bench):
        return found
    logger.info("%s %s, %s %s", stage, split, rival.name, json.dumps(dict(setting)))
    return bench.results.add(**key, **work())


def _lacks_values(line: Line, bench: Bench) -> bool:
    """Whether a line is of a final whose values are wanted and not there."""
    if line["stage"] != "final" or line["outcome"] != "done" or bench.values is None:
        return False
    return not values_of(bench.values, line).exists()


def measured(
    split: str,
    rival: Rival,
    setting: Setting,
    seed: int,
    epochs: int | None,
    bench: Bench,
    *,
    final_stage: bool = False,
) -> Line:
    """One fit: its metrics on the validation part or the test, and what it took."""
    source, fold = final(split) if final_stage else tuning(split)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hand_over(folder, source.matrix, fold, people(source, fold, split), early_stopping=not final_stage)
        job = {
            "model": rival.model,
            "settings": dict(setting),
            "seed": seed,
            "k": ANSWERS,
            "epochs": epochs or rival.epochs or 0,
            "every": rival.every,
            "patience": rival.patience,
            "minutes": bench.limits.training_minutes,
            "metric": CHOSEN_BY[split],
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        outcome = supervised(folder, rival.library, bench.environments, bench.limits)
        return judged(outcome, split, fold, folder, bench.values if final_stage else None, f"{rival.name}.{seed}")


def judged(outcome: Outcome, split: str, fold: FoldIn, folder: Path, values: Path | None, name: str) -> Line:
    """What a fit gives to its line."""
    fields: Line = {"outcome": outcome.outcome, **outcome.fields}
    if outcome.outcome != "done":
        return fields
    metrics = dict.fromkeys((*METRICS[split], CHOSEN_BY[split]))
    found = per_user(np.load(folder / "ranking.npy"), fold, list(metrics))
    if values is not None:
        values.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(values / f"{split}.{name.replace(' ', '-')}.npz", allow_pickle=False, **found)
    return {**fields, "people": len(fold), "metrics": {metric: float(one.mean()) for metric, one in found.items()}}


def people(source: Interactions, fold: FoldIn, split: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Rows in the training matrix of those asked about; -1 for strangers."""
    if split in STRONG:
        return np.full(len(fold), -1, dtype=np.int64)
    return np.asarray(source.users.rows(list(fold.users)), dtype=np.int64)

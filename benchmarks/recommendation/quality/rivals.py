"""How well do RecBole 1.2.1, Cornac 3.0.1 and implicit 0.7.3 rank, on the splits of ``quality_splits.py``?

    python -m benchmarks.recommendation.quality.rivals --queue --cornac-python PATH --recbole-python PATH
    python -m benchmarks.recommendation.quality.rivals --split ml-100k --rival "implicit ALS" ...

Every fit is a process of its own in the rival's environment, on one core. It is handed the matrices and hands back the
best 100 items of each person; the metrics are ours, the same for everybody. Settings are chosen on the validation part
(``rival_settings.py``), where training also stops early; then the chosen ones are trained once more on everything known
before the test, for as many epochs as were best. A fit above 20 GiB of memory or 30 minutes of the processor is ended
and recorded as such. What has a line in ``results/recommendation_rivals.jsonl`` is not done again.

The environments:

    torch==2.13.0 "numpy<2" "scipy<1.14" "pandas<2.3" "setuptools<80" recbole==1.2.1
    torch==2.13.0 cornac==3.0.1 implicit==0.7.3
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import record
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
from benchmarks.recommendation.quality.splits import CHOSEN_BY, SPLITS, STRONG, final, per_user, tuning
from benchmarks.result_lines import Line, lines
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.splits import FoldIn

logger = logging.getLogger("recommendation_rivals")

NAME = "recommendation_rivals"
ANSWERS = 100


@dataclass(frozen=True)
class Bench:
    """Where the rivals are, what a fit may cost, and where each person's values of the finals go, if anywhere."""

    environments: Environments
    limits: Limits
    values: Path | None


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queue", action="store_true", help="all rivals on all splits, what matters most first")
    parser.add_argument("--split", choices=SPLITS, action="append", help="only these")
    parser.add_argument("--rival", choices=RIVALS, action="append", help="only these")
    parser.add_argument(
        "--seed", type=int, action="append", help="of the finals, default 0; settings are chosen with 0"
    )
    parser.add_argument("--cornac-python", type=Path, required=True, help="Python with Cornac and implicit")
    parser.add_argument("--recbole-python", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30, help="of the processor, a fit; beyond, it is ended")
    parser.add_argument("--training-minutes", type=float, default=7, help="no new epoch begins after these")
    parser.add_argument("--memory", type=float, default=20, help="GiB, a fit")
    parser.add_argument("--values", type=Path, help="folder for each person's values of the finals (.npz)")
    parser.add_argument("--stop-file", type=Path, help="ends everything as soon as this file exists")
    parser.add_argument("--pause-file", type=Path, help="fits are halted while this file exists")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if not (given.queue or given.split or given.rival):
        parser.error("--queue, --split or --rival")
    paths = {"cornac": given.cornac_python, "implicit": given.cornac_python, "recbole": given.recbole_python}
    limits = Limits(given.minutes, given.training_minutes, given.memory, given.stop_file, given.pause_file)
    bench = Bench(Environments(paths), limits, given.values)
    try:
        for split, rival in wanted(given.split, given.rival):
            for seed in given.seed or [0]:
                compare(split, rival, seed, bench)
    except StopAskedError:
        logger.info("stopped: %s exists", given.stop_file)


def wanted(splits: list[str] | None, rivals: list[str] | None) -> Iterator[tuple[str, Rival]]:
    """Pairs in the order of the queue."""
    for group, members in GROUPS:
        for split in group:
            for rival in members:
                if (not splits or split in splits) and (not rivals or rival.name in rivals):
                    yield split, rival


def compare(split: str, rival: Rival, seed: int, bench: Bench) -> None:
    """Choose a setting on the validation part, train it on everything, judge it by the test."""
    if split in STRONG and not rival.folds_in:
        once("final", split, rival, {}, seed, lambda: {"outcome": "no fold-in"})
        return
    tried = []
    for setting in rival.choices(split):
        fit = partial(measured, split, rival, setting, 0, None, bench)
        tried.append(once("tuning", split, rival, setting, 0, fit))
    done = [line for line in tried if line["outcome"] == "done"]
    if not done:
        once("final", split, rival, {}, seed, lambda: {"outcome": tried[-1]["outcome"]})
        return
    best = max(done, key=lambda line: line["metrics"][CHOSEN_BY[split]])
    epochs = best["best_epoch"] or None
    fit = partial(measured, split, rival, best["setting"], seed, epochs, bench)
    once("final", split, rival, best["setting"], seed, lambda: {**fit(final_stage=True), "settings_tried": len(tried)})


def once(stage: str, split: str, rival: Rival, setting: Setting, seed: int, work: Any) -> Line:
    """The line of this piece of work: the one already there, or a new one."""
    key = {"stage": stage, "split": split, "rival": rival.name, "setting": dict(setting), "seed": seed}
    for line in lines(NAME):
        if all(line[name] == value for name, value in key.items()):
            return line
    logger.info("%s %s, %s %s", stage, split, rival.name, json.dumps(dict(setting)))
    line = record(NAME, **key, **work())
    logger.info("%s %s", line["outcome"], line.get("metrics", ""))
    return line


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


if __name__ == "__main__":
    main()

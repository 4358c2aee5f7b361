"""How well do our models rank, on the splits of ``quality_splits.py``?

    python benchmarks/recommendation_quality.py --values FOLDER           # everything that has no line yet
    python benchmarks/recommendation_quality.py --values FOLDER --split ml-100k --model rdlae --model blend

Settings (``quality_settings.py``, at most eight) are chosen on the validation part, where networks also stop early.
Then the chosen ones are fitted once more on everything known before the test, a network for as many epochs as were
best. ``blend`` joins the best closed form with ELSA, RecVAE and Mult-VAE, its weights chosen on the validation part.
``auto`` is what a user gets who says nothing: it sees everything known before the test and holds people out of that by
itself. What has a line in ``results/recommendation_quality.jsonl`` is not done again; an interrupt loses no other fit
than the one at hand.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from common import record
from quality_models import Kept
from quality_settings import METRICS, MODELS, SOLVED, TRAINED, choices
from quality_splits import CHOSEN_BY, SPLITS, final, tuning
from result_lines import Line, lines
from torch import nn

from isthmus import plugins
from isthmus.batch import Bag
from isthmus.core.rankers import Blend, ranker_of
from isthmus.models.blend import weigh
from isthmus.models.recipes.settings import built, checked
from isthmus.sources import BagSource
from isthmus.tasks.evaluation import evaluate
from isthmus.training.run import Run
from isthmus_interactions.auto import auto
from isthmus_interactions.fit import measured
from isthmus_interactions.splits import FoldIn

logger = logging.getLogger("recommendation_quality")

NAME = "recommendation_quality"


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=SPLITS, action="append", help="only these")
    parser.add_argument("--model", choices=[*MODELS, "blend", "auto"], action="append", help="only these")
    parser.add_argument("--seed", type=int, default=0, help="of the finals; settings are chosen with 0")
    parser.add_argument("--budget", type=float, default=600, help="seconds for auto")
    parser.add_argument("--values", type=Path, required=True, help="folder for models and each person's values")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    kept = Kept(given.values)
    for model in given.model or [*MODELS, "blend", "auto"]:
        for split in given.split or SPLITS:
            if model == "blend":
                blended(split, given.seed, kept)
            elif model == "auto":
                automatic(split, given.seed, given.budget, kept)
            elif choices(split, model):
                compared(split, model, given.seed, kept)


def compared(split: str, model: str, seed: int, kept: Kept) -> None:
    """Choose a setting on the validation part, fit it on everything, judge it by the test."""
    tried = [
        once("tuning", split, model, setting, 0, lambda setting=setting: tuned(split, model, setting, kept))
        for setting in choices(split, model)
    ]
    best = max(tried, key=lambda line: line["metrics"][CHOSEN_BY[split]])

    def last() -> Line:
        return {**judged(split, model, best["setting"], seed, best["best_epoch"], kept), "settings_tried": len(tried)}

    once("final", split, model, best["setting"], seed, last)


def tuned(split: str, model: str, setting: Mapping[str, Any], kept: Kept) -> Line:
    """A fit on the training part, scored by the validation part."""
    train, fold = tuning(split)
    run, metric = Run(seed=0), CHOSEN_BY[split]
    started = time.perf_counter()
    recipe = recipe_of(model, len(train.items), setting, run)
    history = recipe.fit(BagSource.from_csr(train.matrix), run, measured(fold, metric, run))
    spent = time.perf_counter() - started
    kept.keep(("tuning", split, model, setting, 0), recipe.model)
    assert history.best_score is not None
    return {
        "metrics": {metric: history.best_score},
        "fit_seconds": round(spent, 2),
        "best_epoch": history.best_epoch if recipe.chooses_epoch else None,
        "epochs": len(history.records),
        "threads": torch.get_num_threads(),
    }


def judged(split: str, model: str, setting: Mapping[str, Any], seed: int, epoch: int | None, kept: Kept) -> Line:
    """A fit on everything known before the test, judged by the test."""
    train, fold = final(split)
    run = Run(seed=seed, until=epoch)
    started = time.perf_counter()
    recipe = recipe_of(model, len(train.items), setting, run)
    recipe.fit(BagSource.from_csr(train.matrix), run)
    spent = time.perf_counter() - started
    kept.keep(("final", split, model, setting, seed), recipe.model)
    return {**told(split, model, seed, recipe.model, fold, kept), "fit_seconds": round(spent, 2), "best_epoch": epoch}


def blended(split: str, seed: int, kept: Kept) -> None:
    """The best linear model and the networks together, from the fits that there are."""
    finals = {line["model"]: line for line in lines(NAME) if line["split"] == split and line["stage"] == "final"}
    tried = {
        (line["model"], json.dumps(line["setting"])): line["metrics"][CHOSEN_BY[split]]
        for line in lines(NAME)
        if line["split"] == split and line["stage"] == "tuning"
    }
    solved = [name for name in SOLVED if name in finals]
    if not solved or not any(name in finals for name in TRAINED):
        logger.info("no blend on %s: its parts are not there yet", split)
        return
    linear = max(solved, key=lambda name: tried[name, json.dumps(finals[name]["setting"])])
    names = [linear, *(name for name in TRAINED if name in finals)]
    settings = {name: finals[name]["setting"] for name in names}
    setting = {"parts": [{"model": name, "settings": settings[name]} for name in names]}

    def work() -> Line:
        started = time.perf_counter()
        (train, fold), (_, test) = tuning(split), final(split)
        parts = [kept.load(("tuning", split, name, settings[name], 0), len(train.items)) for name in names]
        chosen = Blend(parts)
        source = BagSource.from_csr(train.matrix)
        weights = weigh(chosen, names, source, measured(fold, CHOSEN_BY[split], Run()), 1)
        whole = Blend([kept.load(("final", split, name, settings[name], seed), len(train.items)) for name in names])
        whole.weigh(chosen.weights.tolist(), chosen.exponents.tolist())
        spent = time.perf_counter() - started + sum(finals[name]["fit_seconds"] for name in names)
        shares = {key: value for key, value in weights.items() if str(key).startswith("share of ")}
        outcome = told(split, "blend", seed, whole, test, kept)
        validation = {CHOSEN_BY[split]: weights[CHOSEN_BY[split]]}
        return {**outcome, **shares, "validation": validation, "fit_seconds": round(spent, 2)}

    once("final", split, "blend", setting, seed, work)


def automatic(split: str, seed: int, budget: float, kept: Kept) -> None:
    """What a user gets who names no model."""

    def work() -> Line:
        train, fold = final(split)
        started = time.perf_counter()
        made = auto.fit(train, 0.1, CHOSEN_BY[split], Run(seed=seed), budget, {})
        spent = time.perf_counter() - started
        names = ("tried", "fitted_on_everybody", "validation_users")
        facts = {"chosen": made.builder, **{name: made.facts[name] for name in names}}
        return {**told(split, "auto", seed, made.model, fold, kept), "fit_seconds": round(spent, 2), **facts}

    once("final", split, "auto", {"budget": budget}, seed, work)


def told(split: str, model: str, seed: int, fitted: nn.Module, fold: FoldIn, kept: Kept) -> Line:
    """The metrics of the test, with standard errors; each person's values go to a folder."""
    names = tuple(dict.fromkeys((*METRICS[split], CHOSEN_BY[split])))
    found = evaluate(ranker_of(fitted), fold.history, fold.held_out, names)
    kept.values(f"{split}.{model}.{seed}", {name: found.values[name].numpy() for name in names})
    return {
        "metrics": dict(found.means),
        "standard_errors": dict(found.standard_errors),
        "people": len(found.rows),
        "threads": torch.get_num_threads(),
    }


def recipe_of(model: str, items: int, setting: Mapping[str, Any], run: Run) -> Any:
    """The recipe of one of our models."""
    _, builder = plugins.find_builder(model, "interactions")
    return built(model, builder, Bag(items), run, checked(model, builder, setting))


def once(stage: str, split: str, model: str, setting: Mapping[str, Any], seed: int, work: Callable[[], Line]) -> Line:
    """The line of this piece of work: the one already there, or a new one."""
    key = {"stage": stage, "split": split, "model": model, "setting": dict(setting), "seed": seed}
    for line in lines(NAME):
        if all(line[name] == value for name, value in key.items()):
            return line
    logger.info("%s %s, %s %s", stage, split, model, json.dumps(dict(setting)))
    line = record(NAME, **key, **work())
    logger.info("%s in %.1f s", line["metrics"], line["fit_seconds"])
    return line


if __name__ == "__main__":
    main()

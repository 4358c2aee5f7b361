"""How well do our models rank, on published splits?

Settings (``settings.py``, at most eight) are chosen on the validation part, where networks also stop early.
Then the chosen ones are fitted once more on everything known before the test, a network for as many epochs as were
best. ``blend`` joins the best linear model with a low-pass filter, ELSA, RecVAE, Mult-VAE and, in the wide catalogue,
ALS; its weights are chosen on the validation part, and so is the weight of rows in the linear model, where several were
tried. ``blend-of-closed-forms`` leaves the networks and ALS out.
``auto`` is what a user gets who says nothing: it sees everything known before the test and holds people out of that by
itself. What has a line in ``results/recommendation_quality.jsonl`` is not done again; an interrupt loses no other fit
than the one at hand.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import nn

from benchmarks.harness import Line, Results, Smoke, chosen, kept
from benchmarks.recommendation.quality.cache import Fits
from benchmarks.recommendation.quality.settings import BLENDS, METRICS, MODELS, SOLVED, WIDE, Setting, carve, choices
from benchmarks.recommendation.quality.splits import CHOSEN_BY, DEMO, SPLITS, final, tuning
from benchmarks.recommendation.quality.tables import of_splits
from isthmus import plugins
from isthmus.batch import Bag
from isthmus.core.rankers import Blend, ranker_of
from isthmus.models.blend import weigh
from isthmus.models.recipes.settings import built, checked
from isthmus.sources import BagSource
from isthmus.training.plan import Plan
from isthmus.training.run import Run, Validation
from isthmus_interactions.auto import auto
from isthmus_interactions.auto.score_tables import ScoreTables
from isthmus_interactions.fit import validation_score
from isthmus_interactions.order.folds import evaluate_fold
from isthmus_interactions.order.inputs import reads_of
from isthmus_interactions.splits import FoldIn

logger = logging.getLogger("recommendation_quality")

NAME = "recommendation_quality"
TITLE = "Quality on published splits"
EVERY = (*MODELS, *BLENDS, "auto")
STORED, COMPUTED = 1 << 27, 1 << 31
"""Scores of each part of a blend by which its weights are chosen, enough for everybody."""


@dataclass(frozen=True)
class Bench:
    """Where lines go, and where fitted models and people's values lie between one piece of work and the next."""

    results: Results
    fits: Fits


def run(
    smoke: Smoke = False,
    split: Annotated[list[str] | None, typer.Option(help="Only this one; may be given several times.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only this one; may be given several times.")] = None,
    seed: Annotated[int, typer.Option(help="Of the finals; settings are chosen with 0.")] = 0,
    budget: Annotated[float, typer.Option(help="Seconds for auto.")] = 600,
    values: Annotated[Path, typer.Option(help="Folder for models and each person's values.")] = Path("quality"),
) -> list[Line]:
    """Do everything that has no line yet."""
    if smoke:
        with tempfile.TemporaryDirectory() as folder:
            return _all(Results(NAME, smoke=True), [DEMO], list(EVERY), 0, 3.0, Path(folder))
    return _all(Results(NAME), chosen(split, SPLITS), chosen(model, EVERY), seed, budget, values)


def _all(results: Results, splits: list[str], models: list[str], seed: int, budget: float, folder: Path) -> list[Line]:
    bench = Bench(results, Fits(folder))
    for model in models:
        for split in splits:
            if model in BLENDS:
                blended(split, model, seed, bench)
            elif model == "auto":
                automatic(split, seed, budget, bench)
            elif choices(split, model):
                compared(split, model, seed, bench)
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """A table for each split, ours and the rivals' and what was published."""
    return of_splits(lines, kept("recommendation_rivals")) if lines else []


def compared(split: str, model: str, seed: int, bench: Bench) -> None:
    """Choose a setting on the validation part, fit it on everything, judge it by the test."""
    tried = [
        once(bench, "tuning", split, model, setting, 0, lambda setting=setting: tuned(split, model, setting, bench))
        for setting in choices(split, model)
    ]
    best = max(tried, key=lambda line: line["metrics"][CHOSEN_BY[split]])

    def last() -> Line:
        return {**judged(split, model, best["setting"], seed, best["best_epoch"], bench), "settings_tried": len(tried)}

    once(bench, "final", split, model, best["setting"], seed, last)


def tuned(split: str, model: str, setting: Mapping[str, Any], bench: Bench) -> Line:
    """A fit on the training part, scored by the validation part."""
    train, fold = tuning(split)
    run, metric = Run(seed=0), CHOSEN_BY[split]
    started = time.perf_counter()
    recipe = recipe_of(model, len(train.items), setting, run)
    history = recipe.fit(BagSource.from_csr(train.matrix), run, score_during(recipe, split, fold))
    spent = time.perf_counter() - started
    bench.fits.keep(("tuning", split, model, setting, 0), recipe.model)
    assert history.best_score is not None
    return {
        "metrics": {metric: history.best_score},
        "fit_seconds": round(spent, 2),
        "best_epoch": history.best_epoch if recipe.chooses_epoch else None,
        "epochs": len(history.records),
        "threads": torch.get_num_threads(),
    }


def score_during(recipe: Any, split: str, fold: FoldIn) -> Validation:
    """The validation score after each epoch; on the largest split only after the last one of a learning rate that falls
    to 0, since scoring would take longer than training."""
    plan, score = getattr(recipe, "plan", None), validation_score(fold, CHOSEN_BY[split])
    once_alone = split in WIDE and isinstance(plan, Plan) and plan.decay == "cosine" and plan.patience is None
    return replace(score, every=plan.epochs) if once_alone else score


def judged(split: str, model: str, setting: Mapping[str, Any], seed: int, epoch: int | None, bench: Bench) -> Line:
    """A fit on everything known before the test, judged by the test."""
    train, fold = final(split)
    run = Run(seed=seed, until=epoch)
    started = time.perf_counter()
    recipe = recipe_of(model, len(train.items), setting, run)
    recipe.fit(BagSource.from_csr(train.matrix), run)
    spent = time.perf_counter() - started
    bench.fits.keep(("final", split, model, setting, seed), recipe.model)
    return {**told(split, model, seed, recipe.model, fold, bench), "fit_seconds": round(spent, 2), "best_epoch": epoch}


def blended(split: str, model: str, seed: int, bench: Bench) -> None:
    """The best linear model and others together, from the fits that there are; closed forms are fitted again."""
    finals, validated = chosen_finals(split, bench)
    solved = [name for name in SOLVED if name in finals]
    others = [name for name in BLENDS[model] if name in finals]
    if not solved or not others:
        logger.info("no %s on %s: its parts are not there yet", model, split)
        return
    linear = max(solved, key=validated.__getitem__)
    joined = [{"model": name, "settings": finals[name]["setting"]} for name in others]
    own = finals[linear]["setting"]
    linears = [own, *other_row_weights(split, linear, own, bench)]
    blends = [{"parts": [{"model": linear, "settings": one}, *joined]} for one in linears]
    if len(blends) > 1:
        tried = [
            once(bench, "tuning", split, model, one, 0, lambda one=one: weighed(split, one["parts"], bench)[1])
            for one in blends
        ]
        blends = [max(tried, key=lambda line: line["metrics"][CHOSEN_BY[split]])["setting"]]
    [best] = blends

    def work() -> Line:
        started = time.perf_counter()
        weights, chosen = weighed(split, best["parts"], bench)
        whole = blend_of(bench, "final", split, best["parts"], seed)
        whole.weigh(weights.weights.tolist(), weights.exponents.tolist())
        spent = time.perf_counter() - started + sum(finals[name]["fit_seconds"] for name in (linear, *others))
        outcome = told(split, model, seed, whole, final(split)[1], bench)
        return {**chosen, **outcome, "validation": chosen["metrics"], "fit_seconds": round(spent, 2)}

    once(bench, "final", split, model, best, seed, work)


def weighed(split: str, parts: Sequence[Mapping[str, Any]], bench: Bench) -> tuple[Blend, Line]:
    """A blend of the parts fitted on the training part, its weights chosen on the validation part; and how it did."""
    train, fold = tuning(split)
    joined = blend_of(bench, "tuning", split, parts, 0)
    tables = ScoreTables(joined, fold, CHOSEN_BY[split], STORED, COMPUTED)
    score = tables.validation(np.ones(len(tables.rows), dtype=np.bool_))
    record = weigh(joined, [one["model"] for one in parts], BagSource.from_csr(train.matrix), score, 1)
    shares = {key: value for key, value in record.items() if str(key).startswith("share of ")}
    return joined, {"metrics": {CHOSEN_BY[split]: record[CHOSEN_BY[split]]}, **shares}


def blend_of(bench: Bench, stage: str, split: str, parts: Sequence[Mapping[str, Any]], seed: int) -> Blend:
    """The fitted parts together, without weights."""
    return Blend([part(bench, stage, split, one["model"], one["settings"], seed) for one in parts])


def other_row_weights(split: str, model: str, best: Setting, bench: Bench) -> list[Setting]:
    """The best settings of a linear model with other weights of the rows than its best one has, where some were tried:
    what is worse alone can be better in a blend."""
    tried = [line for line in tuning_lines(split, bench) if line["model"] == model]
    tried.sort(key=lambda line: line["metrics"][CHOSEN_BY[split]])
    by_power = {line["setting"].get("length_power", 0.0): line["setting"] for line in tried}
    by_power.pop(best.get("length_power", 0.0), None)
    return list(by_power.values())


def tuning_lines(split: str, bench: Bench) -> list[Line]:
    """The scores on the validation part."""
    lines = (line for line in bench.results.lines() if line["split"] == split and line["stage"] == "tuning")
    return [line for line in lines if carve(split).items() <= line.items()]


def chosen_finals(split: str, bench: Bench) -> tuple[dict[str, Line], dict[str, float]]:
    """Of each model that has one, the final line of the setting that was best on the validation part, and its score."""
    tried: dict[str, dict[str, float]] = {}
    for line in tuning_lines(split, bench):
        tried.setdefault(line["model"], {})[json.dumps(line["setting"])] = line["metrics"][CHOSEN_BY[split]]
    best = {name: max(scores, key=scores.__getitem__) for name, scores in tried.items()}
    last = [line for line in bench.results.lines() if line["split"] == split and line["stage"] == "final"]
    finals = {line["model"]: line for line in last if json.dumps(line["setting"]) == best.get(line["model"])}
    return finals, {name: tried[name][best[name]] for name in finals}


def part(bench: Bench, stage: str, split: str, model: str, setting: Mapping[str, Any], seed: int) -> nn.Module:
    """A part of a blend: one that was kept, or a closed form that is fitted again."""
    train, _ = tuning(split) if stage == "tuning" else final(split)
    key = (stage, split, model, setting, seed)
    if model in (*SOLVED, "low_pass") and not bench.fits.has(key):
        run = Run(seed=seed)
        recipe = recipe_of(model, len(train.items), setting, run)
        recipe.fit(BagSource.from_csr(train.matrix), run)
        bench.fits.keep(key, recipe.model)
    return bench.fits.load(key, len(train.items))


def automatic(split: str, seed: int, budget: float, bench: Bench) -> None:
    """What a user gets who names no model."""

    def work() -> Line:
        train, fold = final(split)
        # The tests hide items of any age; with the order of events, auto would choose what predicts the latest ones.
        train = replace(train, histories=None)
        started = time.perf_counter()
        made = auto.fit(train, 0.1, CHOSEN_BY[split], Run(seed=seed, time_limit=budget), {})
        spent = time.perf_counter() - started
        names = ("tried", "fitted_on_everybody", "validation_users")
        facts = {"chosen": made.builder, **{name: made.facts[name] for name in names}}
        return {**told(split, "auto", seed, made.model, fold, bench), "fit_seconds": round(spent, 2), **facts}

    once(bench, "final", split, "auto", {"budget": budget}, seed, work)


def told(split: str, model: str, seed: int, fitted: nn.Module, fold: FoldIn, bench: Bench) -> Line:
    """The metrics of the test, with standard errors; each person's values go to a folder."""
    names = tuple(dict.fromkeys((*METRICS[split], CHOSEN_BY[split])))
    found = evaluate_fold(ranker_of(fitted), reads_of(fitted), fold, names, torch.device("cpu"))
    bench.fits.values(f"{split}.{model}.{seed}", {name: found.values[name].numpy() for name in names})
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


def once(
    bench: Bench, stage: str, split: str, model: str, setting: Mapping[str, Any], seed: int, work: Callable[[], Line]
) -> Line:
    """The line of this piece of work: the one already there, or a new one."""
    key = {"stage": stage, "split": split, "model": model, "setting": dict(setting), "seed": seed}
    if stage == "tuning" or model in BLENDS:
        key.update(carve(split))
    found = bench.results.find(**key)
    if found is not None:
        return found
    logger.info("%s %s, %s %s", stage, split, model, json.dumps(dict(setting)))
    return bench.results.add(**key, **work())

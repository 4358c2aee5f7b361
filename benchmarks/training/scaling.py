"""What does an epoch cost as the catalogue grows, with the exact softmax and with the sampled one?

Mult-DAE of code 128, batch 500, on synthetic people (``recommendation/synthetic.py``: power-law popularity, planted
tastes), 50 choices each. ``sampled`` estimates the softmax from 16,384 negatives and changes touched rows only;
``exact`` is the chunked softmax with dense Adam. Each measurement is a process of its own and trains two epochs by
``Recipe.fit``; the second is timed. Where an epoch of the exact softmax would take too long, both epochs are of fewer
people, the time is multiplied and the line says ``extrapolated``. Peak memory is that of the whole process, data
included. Aim: 10⁶ items × 10⁵ people under 12 GB.

Part ``quality``: the same planted data at 10⁵ items, both softmaxes for the same number of epochs, the best epoch
chosen by validation people, nDCG@100 of other people. Aim: sampled within 2 % of exact, popularity under half of it.

What was measured at the same clean commit is not measured again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import typer
from torch import nn

from benchmarks.harness import Line, Results, Smoke, chosen, mark, markdown, newest, peak_rss
from benchmarks.processes import alone
from benchmarks.recommendation.synthetic import interactions, split
from isthmus.batch import Bag
from isthmus.core.rankers import ranker_of
from isthmus.models import mult_dae
from isthmus.models.parts.item_softmax import NEGATIVES
from isthmus.sources import BagSource
from isthmus.tasks.evaluation import Evaluation, evaluate
from isthmus.training.run import Run, Validation
from isthmus_interactions.baselines import Popularity

NAME = "scaling"
TITLE = "Growing catalogues (Mult-DAE, code 128, batch 500, synthetic)"
PARTS = ("cost", "quality")
BATCH, CODE = 500, 128
SOFTMAXES = {"exact": 0, "sampled": NEGATIVES}
EXACT_WORK = 4_000_000
"""Items × steps of an epoch of the exact softmax, at most; beyond it the epoch is extrapolated."""
METRIC = "ndcg@100"


def steps_of(softmax: str, items: int, people: int) -> int:
    whole = -(-people // BATCH)
    return whole if softmax == "sampled" else min(whole, max(6, EXACT_WORK // items))


def cost(softmax: str, items: int, people: int) -> dict[str, Any]:
    """Seconds of an epoch and peak memory of this process."""
    whole, steps = -(-people // BATCH), steps_of(softmax, items, people)
    rows = min(people, steps * BATCH)
    # The catalogue is the same for every number of people.
    source = BagSource.from_csr(interactions(rows, items))
    recipe = mult_dae(
        Bag(items), generator=Run().generator(), code=CODE, batch_size=BATCH, epochs=2, negatives=SOFTMAXES[softmax]
    )
    history = recipe.fit(source, Run())
    seconds = float(history.records[-1]["seconds"])
    return {
        "entries_a_person": len(source.indices) / rows,
        "parameters": sum(parameter.numel() for parameter in recipe.model.parameters()),
        "steps_measured": steps,
        "steps_an_epoch": whole,
        "extrapolated": steps < whole,
        "seconds_a_step": seconds / steps,
        "seconds_an_epoch": seconds / steps * whole,
        "peak_gb": peak_rss() / 1e9,
    }


def quality(
    softmax: str, items: int, people: int, epochs: int, learning_rate: float, seed: int, asked: int
) -> dict[str, Any]:
    """nDCG of people who were not trained on, by the weights of the epoch that is best for other people again."""
    data = split(people, 2 * asked, items, seed=seed)
    source = BagSource.from_csr(data.train)

    def measured(ranker: Any, part: slice) -> Evaluation:
        return evaluate(ranker, data.shown[part], data.hidden[part], [METRIC], batch_size=1024)

    validation, test = slice(0, asked), slice(asked, 2 * asked)
    if softmax == "popularity":
        return described(measured(Popularity.of(data.train), test))

    def score(model: nn.Module) -> float:
        return measured(ranker_of(model), validation).means[METRIC]

    recipe = mult_dae(
        Bag(items),
        generator=Run().generator(),
        code=CODE,
        batch_size=BATCH,
        epochs=epochs,
        learning_rate=learning_rate,
        negatives=SOFTMAXES[softmax],
    )
    started = time.perf_counter()
    history = recipe.fit(source, Run(), Validation(METRIC, score))
    return {
        **described(measured(ranker_of(recipe.model), test)),
        "best_epoch": history.best_epoch,
        "validation": [float(line[METRIC]) for line in history.records],
        "seconds": time.perf_counter() - started,
    }


def described(found: Evaluation) -> dict[str, Any]:
    return {"ndcg": found.means[METRIC], "values": found.values[METRIC].tolist()}


def measure_costs(results: Results, items: int, people: int) -> None:
    """Both softmaxes at one size."""
    for softmax, negatives in SOFTMAXES.items():
        about = {"question": "cost", "softmax": softmax, "items": items, "people": people, "negatives": negatives}
        configuration = {**about, "code": CODE, "batch": BATCH}
        if not results.find(commit=results.commit, configuration=configuration):
            results.add(configuration=configuration, **alone(cost, softmax, items, people, apart=not results.smoke))


def measure_quality(results: Results, settings: dict[str, Any], asked: int) -> None:
    """Both softmaxes and popularity on the same people."""
    configuration = {"question": "quality", **settings, "negatives": NEGATIVES, "code": CODE, "batch": BATCH}
    if results.find(commit=results.commit, configuration=configuration):
        return
    apart = not results.smoke
    found = {name: alone(quality, name, *settings.values(), asked, apart=apart) for name in ("popularity", *SOFTMAXES)}
    values = {name: np.array(one.pop("values")) for name, one in found.items()}
    difference = values["sampled"] - values["exact"]
    exact, sampled = found["exact"]["ndcg"], found["sampled"]["ndcg"]
    results.add(
        configuration=configuration,
        metric=METRIC,
        people_asked=len(difference),
        **found,
        relative=sampled / exact,
        relative_error=float(difference.std() / len(difference) ** 0.5 / exact),
        popularity_share=found["popularity"]["ndcg"] / exact,
    )


def run(
    smoke: Smoke = False,
    part: Annotated[list[str] | None, typer.Option(help="cost or quality; both by default.")] = None,
    items: Annotated[list[int] | None, typer.Option(help="10⁴, 10⁵ and 10⁶ by default.")] = None,
    people: Annotated[int, typer.Option(help="Of an epoch whose cost is measured.")] = 100_000,
    quality_items: int = 100_000,
    quality_people: int = 40_000,
    quality_epochs: int = 8,
    quality_rate: Annotated[float, typer.Option(help="Adam's learning rate.")] = 3e-3,
    quality_seed: Annotated[int, typer.Option(help="Of the data; the sampler was made with 0.")] = 1,
) -> list[Line]:
    """What was measured at the same clean commit is not measured again."""
    results = Results(NAME, smoke=smoke)
    asked = 2_000
    if smoke:
        items, people, quality_items, quality_people, quality_epochs, asked = [2_000], 1_000, 2_000, 500, 1, 50
    wanted = chosen(part, PARTS)
    for size in (items or [10_000, 100_000, 1_000_000]) if "cost" in wanted else ():
        measure_costs(results, size, people)
    if "quality" in wanted:
        settings = {"items": quality_items, "people": quality_people, "epochs": quality_epochs}
        measure_quality(results, {**settings, "learning_rate": quality_rate, "seed": quality_seed}, asked)
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """Seconds and memory by size, and what the estimate costs."""
    known = newest(lines, lambda line: line["configuration"])
    costs = [line for line in known if line["configuration"]["question"] == "cost"]
    rows, told = [], []
    for line in costs:
        config = line["configuration"]
        kind = config["softmax"] + (f", {config['negatives']:,} negatives" if config["negatives"] else "")
        spent = f"{line['seconds_an_epoch']:.0f} s" + (" (extrapolated)" if line["extrapolated"] else "")
        shape = f"{config['items']:,} × {config['people']:,}" + mark(line)
        rows.append((shape, kind, spent, f"{line['peak_gb']:.1f} GB"))
    for line in (line for line in known if line["configuration"]["question"] == "quality"):
        config = line["configuration"]
        told += [
            "",
            f"At {config['items']:,} items and {config['people']:,} people, {config['epochs']} epochs each: nDCG@100 "
            f"{line['exact']['ndcg']:.4f} exact, {line['sampled']['ndcg']:.4f} sampled "
            f"({line['relative'] - 1:+.1%} ± {line['relative_error']:.1%}), "
            f"{line['popularity']['ndcg']:.4f} popularity{mark(line)}.",
        ]
    return (markdown(["items × people", "softmax", "an epoch", "peak memory"], rows) if rows else []) + told

"""What does an epoch cost as the catalogue grows, with the exact softmax and with the sampled one?

Mult-DAE of code 128, batch 500, on synthetic people (``planted.py``: power-law popularity, planted tastes), 50 choices
each. ``sampled`` estimates the softmax from 16,384 negatives and changes touched rows only; ``exact`` is the chunked
softmax with dense Adam. Each measurement is a process of its own and trains two epochs by ``Recipe.fit``; the second is
timed. Where an epoch of the exact softmax would take too long, both epochs are of fewer people, the time is multiplied
and the line says ``extrapolated``. Peak memory is that of the whole process, data included.
Aim: 10⁶ items × 10⁵ people under 12 GB.

With ``--quality``: the same planted data at 10⁵ items, both softmaxes for the same number of epochs, the best epoch chosen by
validation people, nDCG@100 of other people. Aim: sampled within 2 % of exact, popularity under half of it.

    python -m benchmarks.training.scaling --items 10000 100000 1000000 --quality

What was measured at the same clean commit is not measured again.
"""  # noqa: E501

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from torch import nn

from benchmarks.harness import commit, peak_rss, record
from benchmarks.recommendation.synthetic import interactions, split
from benchmarks.result_lines import lines
from isthmus.batch import Bag
from isthmus.core.rankers import ranker_of
from isthmus.models import mult_dae
from isthmus.models.parts.item_softmax import NEGATIVES
from isthmus.sources import BagSource
from isthmus.tasks.evaluation import Evaluation, evaluate
from isthmus.training.run import Run, Validation
from isthmus_interactions.baselines import Popularity

BATCH, CODE = 500, 128
SOFTMAXES = {"exact": 0, "sampled": NEGATIVES}
EXACT_WORK = 4_000_000
"""Items × steps of an epoch of the exact softmax, at most; beyond it the epoch is extrapolated."""
ASKED = 2000
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


def quality(softmax: str, items: int, people: int, epochs: int, learning_rate: float, seed: int) -> dict[str, Any]:
    """nDCG of people who were not trained on, by the weights of the epoch that is best for other people again."""
    data = split(people, 2 * ASKED, items, seed=seed)
    source = BagSource.from_csr(data.train)

    def measured(ranker: Any, part: slice) -> Evaluation:
        return evaluate(ranker, data.shown[part], data.hidden[part], [METRIC], batch_size=1024)

    validation, test = slice(0, ASKED), slice(ASKED, 2 * ASKED)
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


def child(work: Callable[..., dict[str, Any]], arguments: tuple[Any, ...], pipe: Connection) -> None:
    pipe.send(work(*arguments))


def alone(work: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """The answer of a process that does this work and nothing else."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=child, args=(work, arguments, there))
    process.start()
    there.close()
    try:
        answer: dict[str, Any] = here.recv()
    finally:
        process.join()
    return answer


def measured_before(configuration: dict[str, Any]) -> bool:
    """Whether a line of this configuration and of this very code is there."""
    now = commit()
    if now == "none" or now.endswith("+dirty"):
        return False
    return any(line["commit"] == now and line["configuration"] == configuration for line in lines("scaling"))


def measure_costs(items: int, people: int) -> None:
    for softmax in SOFTMAXES:
        configuration = {
            "question": "cost",
            "softmax": softmax,
            "items": items,
            "people": people,
            "negatives": SOFTMAXES[softmax],
            "code": CODE,
            "batch": BATCH,
        }
        if measured_before(configuration):
            continue
        line = record("scaling", configuration=configuration, **alone(cost, softmax, items, people))
        print(f"{items:>9,} items, {softmax:>7}: {line['seconds_an_epoch']:8.1f} s an epoch", end="")
        print(f" ({line['steps_measured']} of {line['steps_an_epoch']} steps), {line['peak_gb']:.2f} GB", flush=True)


def measure_quality(items: int, people: int, epochs: int, learning_rate: float, seed: int) -> None:
    settings = {"items": items, "people": people, "epochs": epochs, "learning_rate": learning_rate, "seed": seed}
    configuration = {"question": "quality", **settings, "negatives": NEGATIVES, "code": CODE, "batch": BATCH}
    if measured_before(configuration):
        return
    found = {name: alone(quality, name, *settings.values()) for name in ("popularity", *SOFTMAXES)}
    values = {name: np.array(one.pop("values")) for name, one in found.items()}
    difference = values["sampled"] - values["exact"]
    exact, sampled = found["exact"]["ndcg"], found["sampled"]["ndcg"]
    line = record(
        "scaling",
        configuration=configuration,
        metric=METRIC,
        people_asked=len(difference),
        **found,
        relative=sampled / exact,
        relative_error=float(difference.std() / len(difference) ** 0.5 / exact),
        popularity_share=found["popularity"]["ndcg"] / exact,
    )
    times = {name: f"{found[name]['seconds']:.0f} s" for name in SOFTMAXES}
    print(f"{items:,} items, {METRIC}: exact {exact:.4f} ({times['exact']}),", end=" ")
    print(f"sampled {sampled:.4f} ({times['sampled']}),", end=" ")
    print(f"ratio {line['relative']:.3f} ± {line['relative_error']:.3f},", end=" ")
    print(f"popularity {line['popularity_share']:.2f} of exact")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--people", type=int, default=100_000, help="of an epoch whose cost is measured")
    parser.add_argument("--quality", action="store_true")
    parser.add_argument("--quality-items", type=int, default=100_000)
    parser.add_argument("--quality-people", type=int, default=40_000)
    parser.add_argument("--quality-epochs", type=int, default=8)
    parser.add_argument("--quality-rate", type=float, default=3e-3, help="Adam's learning rate")
    parser.add_argument("--quality-seed", type=int, default=1, help="of the data; the sampler was made with 0")
    options = parser.parse_args()
    for items in options.items:
        measure_costs(items, options.people)
    if options.quality:
        measure_quality(
            options.quality_items,
            options.quality_people,
            options.quality_epochs,
            options.quality_rate,
            options.quality_seed,
        )


if __name__ == "__main__":
    main()

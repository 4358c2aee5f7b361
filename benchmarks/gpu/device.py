"""How fast is a CUDA device at the work of this library: a training step against its roofline, a training to a fixed
quality, encoding and exact search?

Part ``step``: Mult-VAE 600-200-600 over 20,000 items, batch 500, as in ``training_step``; the roofline is the time that
its products take at the measured peak of bf16 products and its memory traffic at the measured bandwidth, whichever is
longer. Part ``training``: the size of MovieLens-20M, 138,000 people × 20,000 items, synthetic
(``recommendation/synthetic.py``), until the nDCG@100 of 2,000 other people is five times that of popularity.
Part ``answers``: codes of 100,000 people a second, and exact search of the 100 nearest among a million vectors of 128
numbers. ``benchmarks/gpu/run.sh`` runs the tests that need a GPU and then this, in at most eight minutes.
"""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import torch
import typer
from torch import nn

from benchmarks.harness import Line, Results, Smoke, chosen, mark, markdown, newest
from benchmarks.recommendation.synthetic import interactions, split
from benchmarks.training.step import BATCH, CODE, HIDDEN, people
from isthmus.batch import Bag, Bags, Batch
from isthmus.core.rankers import ranker_of
from isthmus.errors import SettingError
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.machine.devices import named_device
from isthmus.models import mult_vae
from isthmus.sources import BagSource
from isthmus.tasks.coding import codes_of
from isthmus.tasks.evaluation import evaluate
from isthmus.training.run import Run, Validation
from isthmus.training.steps.step import adam
from isthmus_interactions.baselines import Popularity

NAME = "gpu"
TITLE = "On a CUDA device"
PARTS = ("step", "training", "answers")
METRIC, OVER_POPULARITY = "ndcg@100", 5.0
SECONDS = 240.0
"""What the training may take at most."""


def finished(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type != "cpu":
        torch.get_device_module(device.type).synchronize(device)


def fastest(work: Callable[[], Any], device: torch.device, repeats: int) -> float:
    """Median seconds of some work, after three times that do not count."""
    taken = []
    for _ in range(3 + repeats):
        finished(device)
        started = time.perf_counter()
        work()
        finished(device)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[3:])


def roofline(items: int, each: int, device: torch.device, repeats: int) -> dict[str, float]:
    """Seconds that a step takes at the device's own peaks, and these peaks."""
    w, a = torch.randn(items, HIDDEN, device=device).bfloat16(), torch.randn(BATCH, HIDDEN, device=device).bfloat16()
    flops = 2 * items * HIDDEN * BATCH / fastest(lambda: torch.mm(w, a.T), device, repeats)
    x = torch.zeros(items * HIDDEN * 4, device=device)
    bandwidth = 2 * x.nbytes / fastest(lambda: x.add_(1), device, repeats)
    numbers = 2 * items * HIDDEN
    # Adam reads weights, gradients and both moments and writes three of them; gradients are written, weights read.
    traffic = 4 * (9 * numbers + 2 * items * BATCH + 2 * BATCH * each * HIDDEN)
    needed = max(3 * 2 * BATCH * HIDDEN * items / flops, traffic / bandwidth)
    return {"roofline_seconds": needed, "peak_bf16_tflops": flops / 1e12, "bandwidth_gb": bandwidth / 1e9}


def step(results: Results, device: torch.device, items: int, each: int, repeats: int) -> None:
    """One step as the trainer takes it, on a batch that is on the device."""
    recipe = mult_vae(Bag(items), generator=Run().generator(), hidden=HIDDEN, code=CODE, published=True)
    model, run = recipe.model.to(device).train(), Run(device=str(device))
    optimizer, noise = adam(model, recipe.plan), run.generator(device, 2)
    drawn = people(items, each, 1)[0].inputs

    def once() -> None:
        bags = Bags(drawn.indices.to(device), drawn.offsets.to(device), drawn.weights.to(device))
        with run.products():
            batch = Batch(torch.arange(BATCH, device=device), bags, bags)
            loss = model.loss(model.step(batch, generator=noise), progress=1.0).total
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    seconds = fastest(once, device, repeats)
    limits = roofline(items, each, device, repeats)
    results.add(
        part="step",
        configuration={"items": items, "each": each, "batch": BATCH, "network": "600-200-600"},
        seconds=seconds,
        share_of_roofline=limits["roofline_seconds"] / seconds,
        **limits,
    )


def training(results: Results, device: torch.device, rows: int, asked: int, items: int, epochs: int) -> None:
    """Seconds until the quality is reached, validation included; the training ends there, or at its limits."""
    data = split(rows, asked, items, each=75)
    popular = evaluate(Popularity.of(data.train), data.shown, data.hidden, (METRIC,)).means[METRIC]
    target = OVER_POPULARITY * popular
    started, reached = time.perf_counter(), list[float]()
    source = BagSource.from_csr(data.train)

    def score(model: nn.Module) -> float:
        found = evaluate(ranker_of(model), data.shown, data.hidden, (METRIC,), device=device).means[METRIC]
        if found >= target and not reached:
            reached.append(time.perf_counter() - started)
            # As Ctrl-C would end it: after this epoch, with its weights.
            signal.raise_signal(signal.SIGINT)
        return found

    recipe = mult_vae(Bag(items), generator=Run().generator(), epochs=epochs, batch_size=BATCH)
    history = recipe.fit(source, Run(device=str(device), time_limit=SECONDS), Validation(METRIC, score))
    results.add(
        part="training",
        configuration={"people": rows, "items": items, "entries": int(data.train.nnz), "batch": BATCH},
        popularity=popular,
        target=target,
        reached=history.best_score,
        epochs=len(history.records),
        seconds_to_target=reached[0] if reached else None,
        seconds=time.perf_counter() - started,
    )


def answers(results: Results, device: torch.device, rows: int, items: int, vectors: int, queries: int) -> None:
    """Rows encoded a second, queries searched a second, and the share of answers that the CPU gives too."""
    model = mult_vae(Bag(items), generator=Run().generator()).model.to(device).eval()
    source = BagSource.from_csr(interactions(rows, items, each=75)).to(device)
    encoded = fastest(lambda: codes_of(model, source), device, 1)
    g = torch.Generator().manual_seed(0)
    table, some = torch.randn(vectors, 128, generator=g), torch.randn(queries, 128, generator=g)
    searcher, there = ExactSearcher.build(table.to(device), "ip"), some.to(device)
    searched = fastest(lambda: searcher.search(there, 100), device, 1)
    found = searcher.search(there[:64], 100).rows.cpu()
    same = (found == ExactSearcher.build(table, "ip").search(some[:64], 100).rows).float().mean()
    results.add(
        part="answers",
        configuration={"people": rows, "items": items, "vectors": vectors, "width": 128, "queries": queries},
        encoded_per_second=rows / encoded,
        queries_per_second=queries / searched,
        share_equal_to_cpu=float(same),
    )


def run(
    smoke: Smoke = False,
    part: Annotated[list[str] | None, typer.Option(help="step, training or answers; all by default.")] = None,
) -> list[Line]:
    """All parts, or some, on the CUDA device of this machine; a smoke run takes the CPU where there is none."""
    device = named_device("auto")
    if device.type != "cuda" and not smoke:
        raise SettingError("no CUDA device", expected="a machine that has one", remedy="see benchmarks/gpu/run.sh")
    results = Results(NAME, smoke=smoke)
    parts: dict[str, Callable[[], None]] = {
        "step": lambda: step(results, device, *((300, 5, 1) if smoke else (20_000, 100, 50))),
        "training": lambda: training(results, device, *((600, 60, 300, 2) if smoke else (138_000, 2_000, 20_000, 60))),
        "answers": lambda: answers(
            results, device, *((200, 300, 2_000, 64) if smoke else (100_000, 20_000, 1_000_000, 10_000))
        ),
    }
    for one in chosen(part, PARTS):
        parts[one]()
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """One row for each part and device."""
    known = newest(lines, lambda line: (line["part"], line["device"].get("accelerator")))
    rows = [(line["device"].get("accelerator", "cpu"), line["part"], _told(line) + mark(line)) for line in known]
    return markdown(["device", "part", "measured"], rows) if rows else []


def _told(line: Line) -> str:
    if line["part"] == "step":
        return f"{1000 * line['seconds']:.2f} ms a step, {line['share_of_roofline']:.0%} of the roofline"
    if line["part"] == "training":
        after = line["seconds_to_target"]
        when = "not reached" if after is None else f"reached after {after:.0f} s"
        return f"{METRIC} of {line['target']:.3f} {when}; {line['epochs']} epochs in {line['seconds']:.0f} s"
    return (
        f"{line['encoded_per_second']:,.0f} people encoded and {line['queries_per_second']:,.0f} queries a second; "
        f"{line['share_equal_to_cpu']:.1%} of the answers are those of the CPU"
    )

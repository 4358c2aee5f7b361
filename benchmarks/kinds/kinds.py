"""Five kinds of autoencoder in four domains: each kind's own number beside that of the vanilla one, same data, same
budget.

A cell that has a line is not trained again. One seed; every setting is the builder's default but for sizes, epochs and
batches, see ``data.py``; nothing was chosen by the rows that are measured. What the numbers are stands in
``measures.py``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated

import torch
import typer

from benchmarks.harness import Line, Results, Smoke, chosen
from benchmarks.kinds.data import DOMAINS, Domain
from benchmarks.kinds.measures import measured
from benchmarks.kinds.tables import KINDS, five_kinds
from isthmus.models import kinds
from isthmus.models.parts.corruptions import corruption_of
from isthmus.training.run import Run

NAME = "kinds"
TITLE = "The five kinds in four domains"
SEED = 0


def run(
    smoke: Smoke = False,
    cell: Annotated[list[str] | None, typer.Option(help="KIND:DOMAIN; may be given several times.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Another number than the usual.")] = None,
) -> list[Line]:
    """Train and measure every cell that has no line yet; all twenty take some 15 minutes of one core."""
    results = Results(NAME, smoke=smoke)
    wanted = chosen(cell, [f"{kind}:{domain}" for domain in DOMAINS for kind in KINDS])
    epochs = 1 if smoke else epochs
    for name, load in DOMAINS.items():
        kinds = [kind for kind in KINDS if f"{kind}:{name}" in wanted and not _known(results, kind, name, epochs)]
        domain = load(smoke) if kinds else None
        for kind in kinds:
            results.add(kind=kind, domain=name, seed=SEED, **_cell(kind, domain, epochs))
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """A row a kind."""
    return five_kinds(lines)


def _known(results: Results, kind: str, domain: str, epochs: int | None) -> bool:
    found = results.find(kind=kind, domain=domain, seed=SEED)
    return found is not None and epochs in (None, found["settings"]["epochs"])


def _cell(kind: str, domain: Domain, epochs: int | None) -> dict[str, object]:
    """Train one model and measure it."""
    settings = {**domain.settings, **domain.own.get(kind, {}), **({"epochs": epochs} if epochs else {})}
    run = Run(device="cpu", seed=SEED)
    recipe = getattr(kinds, kind)(domain.signal, generator=run.generator(), **settings)
    started = time.perf_counter()
    recipe.fit(domain.train, run)
    training = time.perf_counter() - started
    numbers = measured(recipe.model, domain.train, domain.test, corruption_of(domain.signal))
    return {
        "data": domain.data,
        "train_rows": len(domain.train),
        "test_rows": len(domain.test),
        "settings": settings,
        **{name: round(value, 5) for name, value in numbers.items()},
        "training_seconds": round(training, 1),
        "seconds": round(time.perf_counter() - started, 1),
        "threads": torch.get_num_threads(),
    }

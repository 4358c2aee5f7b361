"""Five kinds of autoencoder in four domains: each kind's own number beside that of the vanilla one, same data, same
budget.

    python benchmarks/kinds.py                        # all twenty cells, some 15 minutes of one core
    python benchmarks/kinds.py --cell sparse:images   # one of them
    python benchmarks/kinds.py --cell sparse:images --show   # print what has been recorded of it and of vanilla

A cell that has a line is not trained again. One seed; every setting is the builder's default but for sizes, epochs and
batches, see ``kinds_data``; nothing was chosen by the rows that are measured. What the numbers are stands in
``kinds_measures``.
"""

from __future__ import annotations

import argparse
import logging
import time

import torch
from common import record
from kinds_data import DOMAINS, Domain
from kinds_measures import measured
from kinds_tables import CELL, KINDS
from result_lines import lines

from isthmus.models import kinds
from isthmus.models.parts.corruptions import corruption_of
from isthmus.training.run import Run

NAME = "kinds"
SEED = 0

logger = logging.getLogger(NAME)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [f"{kind}:{domain}" for domain in DOMAINS for kind in KINDS]
    parser.add_argument("--cell", action="append", choices=every, help="only these")
    parser.add_argument("--epochs", type=int, help="another number, to try the script")
    parser.add_argument("--show", action="store_true", help="train nothing; print the cells that have a line")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    wanted = given.cell or every
    for name in DOMAINS:
        missing = [] if given.show else [kind for kind in KINDS if f"{kind}:{name}" in wanted]
        missing = [kind for kind in missing if not _known(kind, name, given.epochs)]
        domain = DOMAINS[name]() if missing else None
        for kind in missing:
            record(NAME, kind=kind, domain=name, seed=SEED, **_cell(kind, domain, given.epochs))
    found = {(line["kind"], line["domain"]): line for line in lines(NAME)}
    for cell in wanted:
        kind, name = cell.split(":")
        if (kind, name) in found:
            logger.info("%s: %s", cell, CELL[kind](found[kind, name], found.get(("vanilla", name))))


def _known(kind: str, domain: str, epochs: int | None) -> bool:
    key = {"kind": kind, "domain": domain, "seed": SEED}
    return any(
        all(line[name] == value for name, value in key.items()) and epochs in (None, line["settings"]["epochs"])
        for line in lines(NAME)
    )


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


if __name__ == "__main__":
    main()

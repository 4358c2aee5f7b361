"""How much memory does training take beyond the model itself, with a catalogue of a million items?

Mult-VAE of width 128 (code 64), batch 512, 100 interactions a person. The base is the resident memory after the model
and its optimiser are built and one warm-up step has made gradients and Adam's moments; the peak is read after training
with a validation score each epoch, best weights included (they go to disk). Aim: less than 1.5 GB above the base.

    python -m benchmarks.training.memory [--items 1000000]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array

from benchmarks.harness import peak_rss, record, rss
from isthmus.batch import Bag
from isthmus.models import mult_vae
from isthmus.sources import BagSource
from isthmus.training.run import Run, Validation
from isthmus.training.trainer import adam

BATCH, EACH, HIDDEN, CODE = 512, 100, 128, 64


def people(rows: int, items: int) -> BagSource:
    g = np.random.default_rng(0)
    columns = np.sort((items * g.random((rows, EACH)) ** 2).astype(np.int32), 1)
    matrix = csr_array(
        (np.ones(rows * EACH, np.float32), columns.ravel(), np.arange(0, rows * EACH + 1, EACH)), shape=(rows, items)
    )
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return BagSource.from_csr(matrix)


def reset_peak() -> None:
    """The kernel's high-water mark starts anew from here."""
    Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    source = people(4 * BATCH, options.items)
    recipe = mult_vae(
        Bag(options.items),
        generator=Run().generator(),
        hidden=HIDDEN,
        code=CODE,
        batch_size=BATCH,
        epochs=options.epochs,
    )
    model, run = recipe.model, Run()
    optimizer = adam(model, recipe.plan)
    noise = run.generator(stream=2)
    with run.products():
        model.loss(model.step(source.batch(torch.arange(BATCH)), generator=noise)).total.backward()
    optimizer.step()
    base = rss()
    del optimizer
    for parameter in model.parameters():
        parameter.grad = None
    reset_peak()
    started = time.perf_counter()
    scores = iter(range(options.epochs))
    recipe.fit(source, run, Validation("rising", lambda model: float(next(scores))))
    seconds = time.perf_counter() - started
    parameters = sum(p.numel() for p in model.parameters())
    line = record(
        "training_memory",
        configuration={"items": options.items, "batch": BATCH, "each": EACH, "hidden": HIDDEN, "code": CODE},
        parameters=parameters,
        base_gb=base / 1e9,
        peak_gb=peak_rss() / 1e9,
        above_gb=(peak_rss() - base) / 1e9,
        seconds_a_step=seconds / (4 * options.epochs),
    )
    print(f"{options.items:,} items, {parameters / 1e6:,.0f} M parameters: base {line['base_gb']:.2f} GB,", end=" ")
    print(f"peak {line['peak_gb']:.2f} GB, {line['above_gb']:+.2f} GB; {line['seconds_a_step']:.2f} s a step")


if __name__ == "__main__":
    main()

"""How much memory does training take beyond the model itself, with a catalogue of a million items?

Mult-VAE of width 128 (code 64), batch 512, 100 interactions a person. The base is the resident memory after the model
and its optimiser are built and one warm-up step has made gradients and Adam's moments; the peak is read after training
with a validation score each epoch, best weights included (they go to disk). Aim: less than 1.5 GB above the base.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array

from benchmarks.harness import Line, Results, Smoke, mark, newest, peak_rss, rss
from isthmus.batch import Bag
from isthmus.models import mult_vae
from isthmus.sources import BagSource
from isthmus.training.run import Run, Validation
from isthmus.training.steps.step import adam

NAME = "training_memory"
TITLE = "A catalogue of a million items"
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


def run(smoke: Smoke = False, items: int = 1_000_000, epochs: int = 2) -> list[Line]:
    """Train and read the high-water mark of this process."""
    results = Results(NAME, smoke=smoke)
    if smoke:
        items, epochs = 1_000, 1
    source = people(4 * BATCH, items)
    recipe = mult_vae(
        Bag(items),
        generator=Run().generator(),
        hidden=HIDDEN,
        code=CODE,
        batch_size=BATCH,
        epochs=epochs,
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
    scores = iter(range(epochs))
    recipe.fit(source, run, Validation("rising", lambda model: float(next(scores))))
    seconds = time.perf_counter() - started
    parameters = sum(p.numel() for p in model.parameters())
    results.add(
        configuration={"items": items, "batch": BATCH, "each": EACH, "hidden": HIDDEN, "code": CODE},
        parameters=parameters,
        base_gb=base / 1e9,
        peak_gb=peak_rss() / 1e9,
        above_gb=(peak_rss() - base) / 1e9,
        seconds_a_step=seconds / (4 * epochs),
    )
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """One sentence."""
    told = []
    for line in newest(lines, lambda line: 0):
        config = line["configuration"]
        told.append(
            f"{config['items']:,} items, batch {config['batch']}, width {config['hidden']}, "
            f"{line['parameters'] / 1e6:,.0f} M parameters: {line['base_gb']:.2f} GB with model, optimiser and "
            f"gradients; training peaks at {line['peak_gb']:.2f} GB (**{line['above_gb']:+.2f} GB**), "
            f"{line['seconds_a_step']:.1f} s per step{mark(line)}."
        )
    return told

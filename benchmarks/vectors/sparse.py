"""How much do sparse codes leave unexplained, and how many units are dead, beside a reference TopK autoencoder?

Pixels of Fashion-MNIST (784 numbers), or MiniLM's vectors of the multi30k captions (384 numbers, ``--data captions``).
Everybody gets the same rows, centred by the mean of the training rows and divided by their one standard deviation, the
same number of units, the same number of them active in a row, the same epochs and batches. Measured on the test rows:
the fraction of variance unexplained, the active units of a row (which are equal by construction for "topk" and the
reference, and nearly so for "batch-topk"), and the share of units that no row uses, of the test rows and of the
training rows. The learning rate of each was chosen on 5,000 held-out training rows (``--validate``, which records
nothing), with 20,000 rows, 1,024 units and 2 epochs.

The reference is ``rivals/topk_autoencoder.py``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import Tensor

from benchmarks.drawn import drawn_images
from benchmarks.harness import Line, Results, Smoke, chosen
from benchmarks.processes import answered
from benchmarks.vectors.tables import sparse_codes
from isthmus.batch import Values, Vector
from isthmus.core.autoencoder import Autoencoder
from isthmus.metrics.sparsity import fraction_unexplained, sparsity_of
from isthmus.models.kinds import sparse
from isthmus.sources import VectorSource
from isthmus.training.run import Run
from isthmus_images.datasets import fashion_mnist

TITLE = "Sparse codes"
NAME, HELD_OUT, BLOCK = "sparse", 5000, 4096
RATES = {"topk": 3e-3, "batch-topk": 3e-3, "reference": 3e-3}
"""The best for each of 3e-4, 1e-3 and 3e-3, as the docstring says."""


@dataclass(frozen=True)
class Setting:
    """One line of results is known by this."""

    method: str
    data: str
    units: int
    active: int
    epochs: int
    batch: int
    rate: float
    dead_after: int
    rows: int
    seed: int


@dataclass(frozen=True)
class Fitted:
    """What is measured of anybody: reconstructions of the test rows, codes of both parts, seconds of training."""

    reconstructions: Tensor
    test_codes: Tensor
    train_used: Tensor
    seconds: float


def rows_of(data: str, cache: Path | None, validates: bool, smoke: bool) -> tuple[Tensor, Tensor]:
    """Training rows and rows to measure on, centred and scaled by the former."""
    if data == "captions":
        from benchmarks.text.compression import vectors_of

        train, test = (torch.from_numpy(vectors_of(part, cache)) for part in ("train", "test_2016"))
    else:
        images = (drawn_images(part, 200) if smoke else fashion_mnist(part) for part in ("train", "test"))
        pixels = (torch.from_numpy(some.pixels) for some in images)
        train, test = (values.flatten(1).float() / 255 for values in pixels)
    if validates:
        train, test = train[:-HELD_OUT], train[-HELD_OUT:]
    centre = train.mean(0)
    scale = (train - centre).square().mean().sqrt()
    return (train - centre) / scale, (test - centre) / scale


def ours(setting: Setting, train: Tensor, test: Tensor) -> Fitted:
    """The builder ``sparse``."""
    recipe = sparse(
        Vector(train.shape[1]),
        generator=torch.Generator().manual_seed(setting.seed),
        form=setting.method,
        code=setting.units,
        k=setting.active,
        dead_after=setting.dead_after,
        epochs=setting.epochs,
        batch_size=setting.batch,
        learning_rate=setting.rate,
        decay="constant",
    )
    started = time.perf_counter()
    recipe.fit(VectorSource(train), Run(device="cpu", seed=setting.seed, precision="fp32"))
    seconds = time.perf_counter() - started
    codes = codes_of(recipe.model, test)
    used = torch.stack([codes_of(recipe.model, block).ne(0).any(0) for block in train.split(BLOCK)])
    with torch.no_grad():
        made = recipe.model.likelihood.mean(recipe.model.readout, recipe.model.decode(codes))
    return Fitted(made, codes, used.any(0), seconds)


@torch.no_grad()
def codes_of(model: Autoencoder, rows: Tensor) -> Tensor:
    """Points of all rows, block by block."""
    return torch.cat([model.encode(Values(block)).point for block in rows.split(BLOCK)])


def reference(setting: Setting, train: Tensor, test: Tensor) -> Fitted:
    """A process of its own, which is handed the rows and hands codes back."""
    with tempfile.TemporaryDirectory(prefix="isthmus-sparse-") as name:
        folder = Path(name)
        np.save(folder / "train.npy", train.numpy())
        np.save(folder / "test.npy", test.numpy())
        numbers = (setting.units, setting.active, setting.epochs, setting.batch, setting.rate, setting.seed)
        told = answered(sys.executable, "topk_autoencoder.py", name, *numbers, setting.dead_after)
        read = {path.stem: torch.from_numpy(np.load(path, allow_pickle=False)) for path in folder.glob("*_*.npy")}
    codes = torch.zeros(len(test), setting.units).scatter(1, read["test_units"], read["test_values"])
    used = torch.zeros(setting.units, dtype=torch.bool)
    used[read["train_units"][read["train_values"] > 0]] = True
    return Fitted(read["test_reconstructions"], codes, used, told["seconds"])


def measured(fitted: Fitted, test: Tensor) -> dict[str, Any]:
    """The numbers of a line."""
    sparsity = sparsity_of(fitted.test_codes)
    return {
        "unexplained": round(fraction_unexplained(test, fitted.reconstructions), 5),
        "active_units": round(sparsity.active, 2),
        "dead_test": round(sparsity.dead, 4),
        "dead_train": round(1 - float(fitted.train_used.double().mean()), 4),
        "fit_seconds": round(fitted.seconds, 1),
        "threads": torch.get_num_threads(),
    }


def run(
    smoke: Smoke = False,
    method: Annotated[list[str] | None, typer.Option(help="topk, batch-topk or reference; all by default.")] = None,
    data: Annotated[str, typer.Option(help="fashion or captions.")] = "fashion",
    units: int = 3136,
    active: int = 32,
    epochs: int = 5,
    batch: int = 512,
    rate: Annotated[float | None, typer.Option(help="Of everybody, in the place of their own.")] = None,
    dead_after: Annotated[int, typer.Option(help="Rows.")] = 10_000,
    rows: Annotated[int | None, typer.Option(help="Only so many training rows.")] = None,
    seed: int = 0,
    validate: Annotated[bool, typer.Option("--validate", help="Held-out training rows; nothing is kept.")] = False,
    cache: Annotated[Path | None, typer.Option(help="A folder that keeps the vectors of captions.")] = None,
) -> list[Line]:
    """Measure what has no line yet."""
    results = Results(NAME, smoke=smoke, validation=validate)
    if smoke:
        data, units, active, epochs, validate = "fashion", 64, 4, 1, False
    torch.set_num_threads(1)
    train, test = rows_of(data, cache, validate, smoke)
    train = train[:rows]
    for one in chosen(method, RATES):
        setting = Setting(one, data, units, active, epochs, batch, rate or RATES[one], dead_after, len(train), seed)
        if not results.find(**asdict(setting)):
            fitted = (reference if one == "reference" else ours)(setting, train, test)
            results.add(**asdict(setting), **measured(fitted, test))
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """Everybody's units and errors."""
    return sparse_codes(lines)

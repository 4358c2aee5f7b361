"""How much do sparse codes leave unexplained, how many of their units are dead? Beside a reference TopK autoencoder.

Pixels of Fashion-MNIST (784 numbers), or MiniLM's vectors of the multi30k captions (384 numbers, ``--data captions``).
Everybody gets the same rows, centred by the mean of the training rows and divided by their one standard deviation, the
same number of units, the same number of them active in a row, the same epochs and batches. Measured on the test rows:
the fraction of variance unexplained, the active units of a row (which are equal by construction for "topk" and the
reference, and nearly so for "batch-topk"), and the share of units that no row uses, of the test rows and of the
training rows. The learning rate of each was chosen on 5,000 held-out training rows (``--validate``, which records
nothing), with 20,000 rows, 1,024 units and 2 epochs.

    python benchmarks/sparse.py                                     # three lines; goes on where it was interrupted
    python benchmarks/sparse.py --methods topk --validate --rate 0.001 --rows 20000 --units 1024 --epochs 2

The reference is ``rivals/topk_autoencoder.py``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import record
from result_lines import lines
from torch import Tensor

from isthmus.batch import Values, Vector
from isthmus.core.autoencoder import Autoencoder
from isthmus.metrics.sparsity import fraction_unexplained, sparsity_of
from isthmus.models.kinds import sparse
from isthmus.sources import VectorSource
from isthmus.training.run import Run

RIVAL = Path(__file__).parent / "rivals" / "topk_autoencoder.py"
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


def rows_of(data: str, cache: Path | None, validates: bool) -> tuple[Tensor, Tensor]:
    """Training rows and rows to measure on, centred and scaled by the former."""
    if data == "captions":
        from text_compression import vectors_of

        train, test = (torch.from_numpy(vectors_of(part, cache)) for part in ("train", "test_2016"))
    else:
        from isthmus_images.datasets import fashion_mnist

        pixels = (torch.from_numpy(fashion_mnist(part).pixels) for part in ("train", "test"))
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
        command = [sys.executable, str(RIVAL), name, *map(str, numbers), str(setting.dead_after)]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
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


def main() -> None:
    """Measure what has no line yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=list(RATES), choices=list(RATES))
    parser.add_argument("--data", default="fashion", choices=["fashion", "captions"])
    parser.add_argument("--units", type=int, default=3136)
    parser.add_argument("--active", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=float, help="of everybody, in the place of their own")
    parser.add_argument("--dead-after", type=int, default=10_000, help="rows")
    parser.add_argument("--rows", type=int, help="only so many training rows")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--validate", action="store_true", help="on held-out training rows, nothing is recorded")
    parser.add_argument("--cache", type=Path, help="a folder that keeps the vectors of captions")
    given = parser.parse_args()
    torch.set_num_threads(1)
    train, test = rows_of(given.data, given.cache, given.validate)
    train = train[: given.rows]
    for method in given.methods:
        setting = Setting(
            method, given.data, given.units, given.active, given.epochs, given.batch, given.rate or RATES[method],
            given.dead_after, len(train), given.seed,
        )  # fmt: skip
        known = asdict(setting)
        if not given.validate and any(known.items() <= line.items() for line in lines(NAME)):
            continue
        found = measured((reference if method == "reference" else ours)(setting, train, test), test)
        line = {**known, **found} if given.validate else record(NAME, **known, **found)
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()

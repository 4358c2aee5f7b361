"""Rows per second of training: ``vanilla`` over vectors against the autoencoders of PyOD 3.6.7 and pythae 0.1.2.

Two tables: the 36 columns of satimage-2 (ADBench), and pixels of Fashion-MNIST. They are standardised beforehand for
everybody; the network is W-64-32-64-W for W columns; batch, epochs, learning rate and Adam are the same. Ours has SiLU
for their ReLU, and PyOD one more on its code. Their clocks run while they train and no longer: PyOD's without the
scores it computes in ``fit``, pythae's without the copies and files it makes. Ours is the whole of the trainer's
epochs. Everybody trains in one thread, and its seconds on the processor count, so that other work on the machine does
not. Each run is a process of its own, in turns; the medians count. The loss is the mean squared error of a held-out
number; of Fashion-MNIST those rows come from the training split. Nothing is chosen by them.

The rivals live in an environment of their own, with ``pyod==3.6.7 pythae==0.1.2``.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from benchmarks.drawn import drawn_table
from benchmarks.harness import Line, Results, Smoke, chosen
from benchmarks.processes import Python, alone, answered, available
from benchmarks.vectors.tables import speeds
from isthmus.batch import Vector
from isthmus.core.autoencoder import Autoencoder
from isthmus.datafolder import dataset_path
from isthmus.models.kinds import vanilla
from isthmus.sources import VectorSource
from isthmus.training.progress import NoProgress
from isthmus.training.run import Run
from isthmus_images.datasets import fashion_mnist

NAME = "vector_speed"
TITLE = "Speed of training"
SIZES = (64, 32)
CHANGING = 0.05
"""Share of the largest number; columns that deviate less are left out."""

RIVALS = ("pyod", "pythae")


def run(
    smoke: Smoke = False,
    rival_python: Python = None,
    rows: Annotated[int, typer.Option(help="Of fashion-mnist to train on.")] = 20_000,
    data: Annotated[list[str] | None, typer.Option(help="satimage-2 or fashion-mnist; both by default.")] = None,
    batch: Annotated[list[int] | None, typer.Option(help="32, 256 and 1024 by default.")] = None,
    epochs: int = 5,
    rate: float = 1e-3,
    repeats: int = 3,
) -> list[Line]:
    """Everybody in turns, on each table with each size of batches."""
    results = Results(NAME, smoke=smoke)
    if smoke:
        batch, epochs, repeats = [32], 1, 1
    sides: dict[str, Path | None] = {"isthmus": None}
    if available(rival_python, "PyOD and pythae", smoke=smoke):
        sides |= dict.fromkeys(RIVALS, rival_python)
    for name in ["drawn"] if smoke else chosen(data, TABLES):
        table = drawn_table(200, 12) if smoke else TABLES[name](rows)
        with tempfile.TemporaryDirectory() as folder:
            shape = hand_over(Path(folder), table)
            for size in batch or [32, 256, 1024]:
                job = {"batch": size, "epochs": epochs, "rate": rate, "sizes": SIZES}
                runs = raced(Path(folder), job, sides, repeats)
                results.add(data=name, rows=shape[0], columns=shape[1], **job, **compared(runs, shape[0] * epochs))
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """Rows per second of everybody."""
    return speeds(lines)


def raced(folder: Path, job: Line, sides: dict[str, Path | None], repeats: int) -> dict[str, list[Line]]:
    """One size of batches on one table: the reports of everybody, each run in a process of its own."""
    runs: dict[str, list[Line]] = {who: [] for who in sides}
    for seed in range(repeats):
        for who, python in sides.items():
            whole = {**job, "library": who, "seed": seed}
            runs[who].append(alone(ours, folder, whole) if python is None else theirs(python, folder, whole))
    return runs


def compared(runs: dict[str, list[Line]], rows: int) -> dict[str, Any]:
    """Medians over the runs."""
    seconds = {who: statistics.median(run["seconds"] for run in found) for who, found in runs.items()}
    errors = {who: statistics.median(run["error"] for run in found) for who, found in runs.items()}
    return {
        "rows_a_second": {who: rows / spent for who, spent in seconds.items()},
        "errors": errors,
        "times_faster": {who: seconds[who] / seconds["isthmus"] for who in RIVALS if who in seconds},
        "runs": runs,
    }


def satimage(count: int) -> np.ndarray:
    """All rows of satimage-2, in an order of their own."""
    with np.load(dataset_path("adbench/31_satimage-2.npz"), allow_pickle=False) as file:
        rows: np.ndarray = file["X"]
    return rows[np.random.default_rng(0).permutation(len(rows))]


def fashion(count: int) -> np.ndarray:
    """Pixels from 0 to 1."""
    whole = count + count // 4
    return np.asarray(fashion_mnist("train").pixels[:whole]).reshape(whole, -1) / 255


TABLES = {"satimage-2": satimage, "fashion-mnist": fashion}


def hand_over(folder: Path, rows: np.ndarray) -> tuple[int, int]:
    """Four fifths to train on and the rest held out: mean 0 and deviation 1 in each column. Columns that hardly ever
    change are left out, for a held-out row would be hundreds of their deviations away. The shape of the former."""
    train, held_out = np.split(rows, [len(rows) * 4 // 5])
    mean, deviation = train.mean(0), train.std(0)
    changing = deviation > CHANGING * np.abs(train).max()
    for name, part in (("train", train), ("held_out", held_out)):
        np.save(folder / f"{name}.npy", ((part - mean) / deviation.clip(1e-9))[:, changing].astype(np.float32))
    return len(train), int(changing.sum())


def theirs(python: Path, folder: Path, job: Line) -> Line:
    """What a rival reports of its run."""
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    answered(python, "dense_training.py", folder, cwd=folder)
    report: Line = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


def ours(folder: Path, job: Line) -> Line:
    """One run, with what a user's training does: the trainer's loop, its history and its checks."""
    train, held_out = (torch.from_numpy(np.load(folder / f"{name}.npy")) for name in ("train", "held_out"))
    clock = Clock()
    run = Run(device="cpu", seed=job["seed"], progress=clock)
    hidden, code = job["sizes"]
    recipe = vanilla(
        Vector(train.shape[1]), generator=run.generator(), hidden=hidden, layers=1, code=code, epochs=job["epochs"],
        batch_size=job["batch"], learning_rate=job["rate"], decay="constant",
    )  # fmt: skip
    recipe.fit(VectorSource(train), run)
    error = held_out_error(recipe.model, held_out)
    return {"seconds": clock.seconds, "error": error, "threads": torch.get_num_threads()}


class Clock(NoProgress):
    """The seconds on the processor from the start of a training to the end of its last epoch."""

    def start(self, epochs: int, rows: int, metric: str | None, first_epoch: int = 0) -> None:
        self._started = time.process_time()

    def epoch(self, record: Mapping[str, float | int | str]) -> None:
        self.seconds = time.process_time() - self._started


@torch.no_grad()
def held_out_error(model: Autoencoder, rows: torch.Tensor) -> float:
    """The mean square of what is wrong with a number."""
    batch = VectorSource(rows).batch(torch.arange(len(rows)))
    step = model.eval().step(batch)
    return float((model.likelihood.mean(model.readout, step.decoded) - rows).square().mean())

"""Rows a second of training: ``vanilla`` over vectors against the autoencoders of PyOD 3.6.7 and pythae 0.1.2.

Two tables: the 36 columns of satimage-2 (ADBench), and pixels of Fashion-MNIST. They are standardised beforehand for
everybody; the network is W-64-32-64-W for W columns; batch, epochs, learning rate and Adam are the same. Ours has SiLU
for their ReLU, and PyOD one more on its code. Their clocks run while they train and no longer: PyOD's without the
scores it computes in ``fit``, pythae's without the copies and files it makes. Ours is the whole of the trainer's
epochs. Each run is a process of its own, in turns; the medians count. The loss is the mean squared error of a held-out
number; of Fashion-MNIST those rows come from the training split. Nothing is chosen by them.

    python -m benchmarks.vectors.speed --rival-python ENV/bin/python

The rivals live in an environment of their own, with ``pyod==3.6.7 pythae==0.1.2``.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.harness import record
from isthmus.batch import Vector
from isthmus.core.autoencoder import Autoencoder
from isthmus.datafolder import dataset_path
from isthmus.models.kinds import vanilla
from isthmus.sources import VectorSource
from isthmus.training.run import Run
from isthmus_images.datasets import fashion_mnist

NAME = "vector_speed"
SIZES = (64, 32)
CHANGING = 0.05
"""Share of the largest number; columns that deviate less are left out."""

RIVALS = ("pyod", "pythae")
HERE = Path(__file__).resolve()
SCRIPT = HERE.parents[1] / "rivals" / "dense_training.py"
logger = logging.getLogger(NAME)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rival-python", type=Path, required=True, help="the Python of the rivals' environment")
    parser.add_argument("--rows", type=int, default=20_000, help="of fashion-mnist to train on")
    parser.add_argument("--data", action="append", choices=tuple(TABLES), help="may be given twice; default: both")
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 256, 1024])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", type=Path, help="one run of ours in this folder, as the script starts itself")
    options = parser.parse_args()
    if options.only:
        ours(options.only)
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for data in options.data or TABLES:
        with tempfile.TemporaryDirectory() as folder:
            shape = hand_over(Path(folder), TABLES[data](options.rows))
            for batch in options.batch:
                raced(Path(folder), data, shape, batch, options)


def raced(folder: Path, data: str, shape: tuple[int, int], batch: int, options: argparse.Namespace) -> None:
    """One batch size on one table: everybody in turns, and a line."""
    job = {"batch": batch, "epochs": options.epochs, "rate": options.rate, "sizes": SIZES}
    runs: dict[str, list[dict[str, Any]]] = {who: [] for who in ("isthmus", *RIVALS)}
    for seed in range(options.repeats):
        for who in runs:
            runs[who].append(measured(folder, {**job, "library": who, "seed": seed}, options.rival_python))
            logger.info("%s, batch %d, %s: %s", data, batch, who, runs[who][-1])
    record(NAME, data=data, rows=shape[0], columns=shape[1], **job, **compared(runs, shape[0] * options.epochs))


def compared(runs: dict[str, list[dict[str, Any]]], rows: int) -> dict[str, Any]:
    """Medians over the runs."""
    seconds = {who: statistics.median(run["seconds"] for run in found) for who, found in runs.items()}
    errors = {who: statistics.median(run["error"] for run in found) for who, found in runs.items()}
    return {
        "rows_a_second": {who: rows / spent for who, spent in seconds.items()},
        "errors": errors,
        "times_faster": {who: seconds[who] / seconds["isthmus"] for who in RIVALS},
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


def measured(folder: Path, job: dict[str, Any], rival_python: Path) -> dict[str, Any]:
    """What a process says of its run.

    Raises:
        RuntimeError: it failed.
    """
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    mine = [
        sys.executable,
        "-m",
        "benchmarks.vectors.speed",
        "--rival-python",
        str(rival_python),
        "--only",
        str(folder),
    ]
    command = mine if job["library"] == "isthmus" else [str(rival_python), str(SCRIPT), str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{job['library']} failed: {done.stderr[-1000:]}")
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


def ours(folder: Path) -> None:
    """One run, with what a user's training does: the trainer's loop, its history and its checks."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    train, held_out = (torch.from_numpy(np.load(folder / f"{name}.npy")) for name in ("train", "held_out"))
    run = Run(device="cpu", seed=job["seed"])
    hidden, code = job["sizes"]
    recipe = vanilla(
        Vector(train.shape[1]), generator=run.generator(), hidden=hidden, layers=1, code=code, epochs=job["epochs"],
        batch_size=job["batch"], learning_rate=job["rate"], decay="constant",
    )  # fmt: skip
    seconds = recipe.fit(VectorSource(train), run).seconds
    error = held_out_error(recipe.model, held_out)
    report = {"seconds": seconds, "error": error, "threads": torch.get_num_threads()}
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")


@torch.no_grad()
def held_out_error(model: Autoencoder, rows: torch.Tensor) -> float:
    """The mean square of what is wrong with a number."""
    batch = VectorSource(rows).batch(torch.arange(len(rows)))
    step = model.eval().step(batch)
    return float((model.likelihood.mean(model.readout, step.decoded) - rows).square().mean())


if __name__ == "__main__":
    main()

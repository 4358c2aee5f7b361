"""Directories of checkpoints, spoilt and resumed: the training must end with the same weights, or be refused."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import isthmus
from benchmarks.faults.artefacts import Artefact, digest
from isthmus.training.run import Run

EPOCHS, DONE = 4, 3
"""Of the training, and of it before it stops."""

SETTINGS: dict[str, Any] = {"code": 2, "hidden": 4, "epochs": EPOCHS, "batch_size": 16}


def checkpoints(folder: Path) -> list[Artefact]:
    """Trainings that stopped on their way: of vectors with best weights, and of interactions without.

    Args:
        folder: where their checkpoints are.
    """
    made = []
    for name, train in (("vectors", _vectors), ("interactions", _interactions)):
        train(Run(checkpoints=folder / name, every=1, until=DONE))
        made.append(Artefact(folder / name, partial(_resumed, name, folder)))
    return made


def _resumed(name: str, originals: Path, path: Path) -> str:
    """Resume from the checkpoints at a path; from a copy where they are the originals."""
    train = _vectors if name == "vectors" else _interactions
    if path.parent != originals:
        return train(Run(checkpoints=path, every=1, resume=True))
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder) / path.name
        shutil.copytree(path, copied)
        return train(Run(checkpoints=copied, every=1, resume=True))


def _vectors(run: Run) -> str:
    rows = np.random.default_rng(0).standard_normal((80, 5)).astype(np.float32)
    model = isthmus.VectorAutoencoder.fit(rows, "variational", validation=0.2, gallery=False, run=run, **SETTINGS)
    return digest(np.asarray(model.encode(rows), dtype=np.float64).round(5).tolist())


def _interactions(run: Run) -> str:
    users = np.repeat(np.arange(20), 4)
    items = (users * 7 + np.tile(np.arange(4), 20) * 3) % 12
    model = isthmus.Recommender.fit((users, items), "mult-vae", validation=0.0, run=run, **SETTINGS)
    return digest(np.asarray(model.score([[1, 2], [3]], list(range(12))), dtype=np.float64).round(5).tolist())

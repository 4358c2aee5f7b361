"""Cornac's side of ``recommender_speed``: VAECF for some epochs, then scores of the people asked about.

    python cornac_training.py FOLDER

FOLDER/train.npz holds people × items, ``job.json`` epochs and settings. Its scores go to FOLDER/scores.npy, people ×
items; one line of JSON has the seconds of its fit.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from cornac.data import Dataset
from cornac.models import VAECF
from scipy.sparse import csr_matrix, load_npz


@torch.no_grad()
def scores(model: VAECF, train: csr_matrix, columns: np.ndarray) -> np.ndarray:
    inputs = torch.tensor(train[:, columns].toarray(), dtype=torch.float32)
    found = np.full(train.shape, -np.inf, dtype=np.float32)
    found[:, columns] = model.vae.decode(model.vae.encode(inputs)[0]).numpy()
    return found


def main(folder: Path) -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    train = csr_matrix(load_npz(folder / "train.npz"))
    rows = np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))
    dataset = Dataset.from_uir(list(zip(rows.tolist(), train.indices.tolist(), train.data.tolist(), strict=True)))
    model = VAECF(**job["settings"], n_epochs=job["epochs"], seed=job["seed"], use_gpu=False, verbose=False)
    started = time.perf_counter()
    model.fit(dataset)
    spent = time.perf_counter() - started
    np.save(folder / "scores.npy", scores(model, train, np.array(dataset.item_ids)))
    print(json.dumps({"seconds": spent}), file=answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

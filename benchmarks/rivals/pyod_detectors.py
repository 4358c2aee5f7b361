"""PyOD's side of the benchmark ``anomaly``: its detectors with the defaults, over rows that were standardised before.

Called as ``pyod_detectors.py FOLDER NAME SEED``: reads ``train.npy`` and ``test.npy``, writes ``scores.npy`` (higher is
stranger) and ``report.json``. Its VAE draws its codes while it scores, too, so its answers change from call to call;
the first one counts.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyod
import torch
from pyod.models.auto_encoder import AutoEncoder
from pyod.models.iforest import IForest
from pyod.models.knn import KNN
from pyod.models.pca import PCA
from pyod.models.vae import VAE

DETECTORS: dict[str, Callable[[int], Any]] = {
    "knn": lambda seed: KNN(n_neighbors=5),
    "pca": lambda seed: PCA(random_state=seed),
    "iforest": lambda seed: IForest(random_state=seed),
    "vae": lambda seed: VAE(random_state=seed, verbose=0),
    "autoencoder": lambda seed: AutoEncoder(random_state=seed, verbose=0),
}


def main(folder: Path, name: str, seed: int) -> None:
    """Fit, score, report."""
    torch.set_num_threads(1)
    train, test = np.load(folder / "train.npy"), np.load(folder / "test.npy")
    start = time.process_time()
    detector = DETECTORS[name](seed)
    detector.fit(train)
    fitted = time.process_time()
    np.save(folder / "scores.npy", detector.decision_function(test))
    report = {
        "fit_cpu_seconds": round(fitted - start, 2),
        "score_cpu_seconds": round(time.process_time() - fitted, 2),
        "library": {"pyod": pyod.__version__, "torch": torch.__version__},
    }
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

"""EASE once, in the environment of whoever is asked: seconds of the fit alone, and memory before and at its peak.

    python ease_solving.py isthmus|cornac|recbole FOLDER LAMBDA

FOLDER/train.npz holds people × items. One line of JSON is the answer; NumPy, SciPy and the library itself are used.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix, load_npz

Fit = Callable[[], np.ndarray]
"""To be timed; yields the weights, items × items."""


def isthmus(train: csr_matrix, folder: Path, regularisation: float) -> Fit:
    import torch
    from scipy.sparse import csr_array

    from isthmus.batch import Bag
    from isthmus.models import ease
    from isthmus.sources import BagSource
    from isthmus.training.run import Run

    source, signal = BagSource.from_csr(csr_array(train)), Bag(train.shape[1])

    def fit() -> np.ndarray:
        recipe = ease(signal, generator=torch.Generator(), regularisation=regularisation)
        recipe.fit(source, Run(device="cpu"))
        return recipe.model.weights.numpy()

    return fit


def cornac(train: csr_matrix, folder: Path, regularisation: float) -> Fit:
    from cornac.data import Dataset
    from cornac.models import EASE

    rows = np.repeat(np.arange(train.shape[0]), np.diff(train.indptr))
    dataset = Dataset.from_uir(list(zip(rows.tolist(), train.indices.tolist(), train.data.tolist(), strict=True)))
    # Its own weights come without negative ones unless it is told otherwise; the published model has them.
    model = EASE(lamb=regularisation, posB=False, verbose=False)
    order = np.argsort(np.array(dataset.item_ids))

    def fit() -> np.ndarray:
        return np.asarray(model.fit(dataset).B)[np.ix_(order, order)]

    return fit


def recbole(train: csr_matrix, folder: Path, regularisation: float) -> Fit:
    from handover import Job
    from recbole.utils import get_model
    from recbole_ranking import prepared

    blank = csr_matrix((0, train.shape[1]))
    settings = {"reg_weight": regularisation}
    job = Job(folder, "EASE", settings, 0, 10, 0, 1, 1, 1.0, "ndcg@10", train, blank, np.zeros(0, np.int64), None)
    config, dataset = prepared(job)
    order = np.argsort(dataset.field2id_token[dataset.iid_field][1:].astype(np.int64)) + 1

    def fit() -> np.ndarray:
        return np.asarray(get_model("EASE")(config, dataset).item_similarity)[np.ix_(order, order)]

    return fit


def memory(field: str) -> float:
    """GiB of this process (Linux): ``VmRSS`` now, ``VmHWM`` at its peak."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(field))) / 2**20


def main() -> None:
    name, folder, regularisation = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    answers, sys.stdout = sys.stdout, sys.stderr
    train = csr_matrix(load_npz(folder / "train.npz"))
    fit = {"isthmus": isthmus, "cornac": cornac, "recbole": recbole}[name](train, folder, regularisation)
    # The high-water mark of what came before is not the fit's.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    base, started = memory("VmRSS"), time.perf_counter()
    weights = fit()
    spent = time.perf_counter() - started
    peak = memory("VmHWM")
    sample = np.asarray(weights, dtype=np.float64)[:50, :50].tolist()
    print(json.dumps({"seconds": spent, "base_gib": base, "peak_gib": peak, "sample": sample}), file=answers)


if __name__ == "__main__":
    main()

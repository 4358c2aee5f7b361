"""The same work, faster? Medians of ratios in one run, both sides on the same cores.

    python -m benchmarks.recommendation.speed --part training --recbole-python PATH --cornac-python PATH
    python -m benchmarks.recommendation.speed --part ease --recbole-python PATH --cornac-python PATH

``training``: RecBole's MultiVAE on ML-1M (the infinite-AE split, all ratings), 100 epochs, patience 10, its best
eval_batch_size; T is its best validation nDCG@10, and its time is when it first had it. Cornac's VAECF: 100 epochs,
then asked once. Ours is Mult-VAE from the first step until T is first reached, with an evaluation every epoch. Where
popularity reaches T, the line says that it is void.

``ease``: the closed form on ML-1M and on the goodbooks sample against Cornac's and RecBole's: seconds of the fit alone,
memory above what the process had before it. The weights must agree.

The two other parts are benchmarks of their own: ``recommender_search.py`` (exact search over 100,000 items) and
``scaling.py`` (10,000 to 1,000,000 items, sampled softmax).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array, csr_matrix, save_npz
from torch import nn

from benchmarks.harness import record
from benchmarks.recommendation.quality.splits import tuning
from isthmus.batch import Bag
from isthmus.core.rankers import ranker_of
from isthmus.metrics.ranking import METRICS as FORMULAS
from isthmus.metrics.ranking import judge
from isthmus.models import edlae, elsa, mult_vae
from isthmus.protocols import Recipe
from isthmus.rowlists import from_csr
from isthmus.sources import BagSource
from isthmus.tasks.evaluation import evaluate
from isthmus.training.run import Run, Validation
from isthmus_interactions.baselines import Popularity
from isthmus_interactions.splits import FoldIn

RIVALS = Path(__file__).parents[1] / "rivals"
METRIC = "ndcg@10"
SPLIT = "ml-1m-infinite-ae"
EPOCHS, PATIENCE = 100, 10
RECBOLE = {"train_batch_size": 500, "learning_rate": 1e-3}
CORNAC = {"k": 200, "autoencoder_structure": [600], "batch_size": 500}
OURS: dict[str, Any] = {"epochs": 40, "batch_size": 100, "learning_rate": 2e-3, "code": 64}
"""Of Mult-VAE; everything else as published. As many dimensions as RecBole's; chosen among four by the time to the goal
with seed 5, which is not among those recorded. With the published code of 200 the goal is not reached."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=["training", "ease"], required=True)
    parser.add_argument("--recbole-python", type=Path, required=True)
    parser.add_argument("--cornac-python", type=Path, required=True)
    parser.add_argument("--rival", choices=["recbole", "cornac"], action="append", help="of training, only these")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    pythons = {"recbole": given.recbole_python, "cornac": given.cornac_python, "isthmus": Path(sys.executable)}
    if given.part == "training":
        trainings(pythons, given.rival or ["recbole", "cornac"], given.repeats)
    else:
        for split in ("ml-1m-ultragcn", "goodbooks"):
            solutions(split, pythons, given.repeats)


def trainings(pythons: dict[str, Path], rivals: Sequence[str], repeats: int) -> None:
    """Time to the rival's quality, ``repeats`` times with another seed each."""
    train, fold = tuning(SPLIT)
    popular = evaluate(Popularity.of(train.matrix), fold.history, fold.held_out, (METRIC,)).means[METRIC]
    for rival in rivals:
        settings = {"recbole": RECBOLE, "cornac": CORNAC}[rival]
        runs = []
        for seed in range(repeats):
            theirs = _recbole(pythons, seed, train.matrix, fold) if rival == "recbole" else _cornac(pythons, seed, fold)
            ours = reached(mult_vae, OURS, seed, train.matrix, fold, theirs["score"])
            others = {
                name: reached(builder, {}, seed, train.matrix, fold, theirs["score"])
                for name, builder in (("elsa", elsa), ("edlae", edlae))
            }
            runs.append({"seed": seed, "rival": theirs, "isthmus": ours, **others})
            print(json.dumps(runs[-1]), flush=True)
        ratios = [run["rival"]["seconds"] / run["isthmus"]["seconds"] for run in runs]
        record(
            "recommender_speed",
            question="training",
            rival={"recbole": "RecBole 1.2.1 MultiVAE", "cornac": "Cornac 3.0.1 VAECF"}[rival],
            configuration={
                "split": SPLIT, "metric": METRIC, "epochs": EPOCHS, "patience": PATIENCE, "theirs": settings,
                "ours": OURS, "threads": torch.get_num_threads(),
            },
            popularity=popular,
            void=any(run["rival"]["score"] <= popular for run in runs),
            runs=runs,
            ratio=statistics.median(ratios),
        )  # fmt: skip


def reached(builder: Any, settings: dict[str, Any], seed: int, matrix: csr_array, fold: FoldIn, goal: float) -> Any:
    """Seconds until a model of ours first scores ``goal``, source and building included; None where it never does."""
    started = time.perf_counter()

    class ReachedError(Exception):
        pass

    scores: list[float] = []

    def score(model: nn.Module) -> float:
        found = evaluate(ranker_of(model), fold.history, fold.held_out, (METRIC,)).means[METRIC]
        scores.append(found)
        if found >= goal:
            raise ReachedError
        return found

    recipe: Recipe = builder(Bag(matrix.shape[1]), generator=Run(seed=seed).generator(), **settings)
    try:
        recipe.fit(BagSource.from_csr(matrix), Run(seed=seed, device="cpu"), Validation(METRIC, score))
    except ReachedError:
        return {"seconds": time.perf_counter() - started, "epochs": len(scores), "score": scores[-1]}
    return {"seconds": float("inf"), "epochs": len(scores), "score": max(scores)}


def _recbole(pythons: dict[str, Path], seed: int, matrix: csr_array, fold: FoldIn) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "speed").mkdir()
        held_out = csr_array(fold.held_out)
        for part, rows in (("train", matrix), ("valid", held_out), ("test", held_out)):
            owners = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
            pairs = np.stack([owners, rows.indices], axis=1)
            path = folder / "speed" / f"speed.{part}.inter"
            np.savetxt(path, pairs, fmt="%d", delimiter="\t", header="user_id:token\titem_id:token", comments="")
        job = {"epochs": EPOCHS, "patience": PATIENCE, "seed": seed, "settings": RECBOLE}
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        told = answer(pythons["recbole"], "recbole_training.py", folder)
    best = int(np.argmax(told["scores"]))
    return {
        "seconds": told["seconds"][best],
        "score": told["scores"][best],
        "best_epoch": best + 1,
        "epochs": len(told["scores"]),
        "whole_seconds": told["seconds"][-1],
    }


def _cornac(pythons: dict[str, Path], seed: int, fold: FoldIn) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_npz(folder / "train.npz", csr_matrix(fold.history))
        job = {"epochs": EPOCHS, "seed": seed, "settings": CORNAC}
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        told = answer(pythons["cornac"], "cornac_training.py", folder)
        scores = torch.from_numpy(np.load(folder / "scores.npy"))
    scores[torch.from_numpy(fold.history.toarray() > 0)] = -torch.inf
    best = scores.topk(10, dim=1).indices
    score = float(FORMULAS["ndcg"](judge(best, from_csr(fold.held_out)), 10).mean())
    return {"seconds": told["seconds"], "score": score, "epochs": EPOCHS}


def solutions(split: str, pythons: dict[str, Path], repeats: int) -> None:
    """EASE by everybody, in turns."""
    train, _ = tuning(split)
    regularisation = 500.0
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ("isthmus", "cornac", "recbole")}
    for _ in range(repeats):
        for name, runs in found.items():
            with tempfile.TemporaryDirectory() as folder:
                save_npz(Path(folder) / "train.npz", csr_matrix(train.matrix))
                runs.append(answer(pythons[name], "ease_solving.py", Path(folder), name, regularisation))
                print(name, runs[-1]["seconds"], runs[-1]["peak_gib"], flush=True)
    ours = np.array(found["isthmus"][0]["sample"])
    summary = {name: _middle(runs) for name, runs in found.items()}
    record(
        "recommender_speed",
        question="ease",
        configuration={
            "split": split, "people": len(train), "items": len(train.items), "regularisation": regularisation,
            "threads": torch.get_num_threads(), "repeats": repeats,
        },
        **summary,
        largest_difference={
            name: float(np.abs(np.array(found[name][0]["sample"]) - ours).max()) for name in ("cornac", "recbole")
        },
        ratio={name: summary[name]["seconds"] / summary["isthmus"]["seconds"] for name in ("cornac", "recbole")},
    )  # fmt: skip


def _middle(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Medians: seconds, and GiB above what there was before."""
    return {
        "seconds": statistics.median(run["seconds"] for run in runs),
        "above_gib": statistics.median(run["peak_gib"] - run["base_gib"] for run in runs),
    }


def answer(python: Path, script: str, folder: Path, *arguments: object) -> Any:
    """What a rival says; one line of JSON is all that counts."""
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads()), "OPENBLAS_NUM_THREADS": str(torch.get_num_threads())}
    first = [str(one) for one in arguments[:1]]
    command = [str(python), str(RIVALS / script), *first, str(folder), *(str(one) for one in arguments[1:])]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **threads}, check=False)
    if done.returncode:
        raise SystemExit(f"{script} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()

"""What the processes of a sharded training do in tests, and the same in one process.

As a script it is started by torchrun: ``sharded_runs.py OUT JOB ...`` does jobs below, with the tables cut by rows;
``--groups 2`` splits the batches, too, and ``--shard batches`` only these.
"""

import argparse
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from isthmus.training.run import Run
from isthmus_interactions import Interactions, Recommender

USERS, ITEMS, BATCH = 200, 103, 40
STEPS = USERS // BATCH

JOBS: dict[str, tuple[str, dict[str, Any]]] = {
    "mult-dae": ("mult-dae", {"code": 16, "epochs": 10, "batch_size": BATCH}),
    "mult-vae": ("mult-vae", {"hidden": 24, "code": 8, "epochs": 10, "batch_size": BATCH}),
    "sampled": ("mult-vae", {"hidden": 24, "code": 8, "epochs": 10, "batch_size": BATCH, "negatives": 20}),
    "rec-vae": ("rec-vae", {"hidden": 24, "code": 8, "epochs": 3, "batch_size": BATCH}),
    "elsa": ("elsa", {"code": 16, "epochs": 10, "batch_size": BATCH}),
    "sequence": ("sequence-recommender", {"hidden": 16, "length": 20, "epochs": 4, "tokens": 200}),
    "sampled-sequence": (
        "sequence-recommender",
        {"hidden": 16, "length": 20, "epochs": 4, "tokens": 200, "negatives": 20},
    ),
}
"""A model and its settings by name: at least 50 steps each."""


def interactions() -> Interactions:
    """Users of four tastes over items of falling popularity, in order."""
    random = np.random.default_rng(0)
    users, items = [], []
    for user in range(USERS):
        near = random.permutation(ITEMS // 4)[: random.integers(4, 12)] * 4 + user % 4
        far = random.integers(0, ITEMS, 2)
        own = random.permutation(np.unique(np.concatenate([near, far])))
        users += [user] * len(own)
        items += own.tolist()
    return Interactions.read(pa.table({"user": users, "item": items, "time": range(len(users))}))


def fitted(name: str, run: Run, **changes: Any) -> Recommender:
    """One of the jobs, on the same data."""
    model, settings = JOBS[name]
    return Recommender.fit(interactions(), model, run=run, metric="ndcg@10", **settings | changes)


def killed_after(checkpoint: Path) -> None:
    """This process ends as soon as a checkpoint is there, without a word to anybody."""
    while not checkpoint.exists():
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)


def main(jobs: Mapping[str, Any], fit: Callable[[str, Run], Any], shard: str) -> None:
    """Fit and save. With ``--kill RANK:EPOCH`` a process dies when that checkpoint is there."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*", default=list(jobs))
    parser.add_argument("--checkpoints", type=Path)
    parser.add_argument("--kill")
    parser.add_argument("--shard", default=shard)
    parser.add_argument("--groups", type=int, default=1)
    given = parser.parse_args()
    checkpoints, kill = given.checkpoints, given.kill
    if checkpoints is not None and kill is not None and kill.partition(":")[0] == os.environ["RANK"]:
        place = checkpoints / f"epoch-{int(kill.partition(':')[2]):06d}"
        threading.Thread(target=killed_after, args=(place,), daemon=True).start()
    resume = checkpoints is not None and checkpoints.exists() and kill is None
    how = {"shard": given.shard, "groups": given.groups, "precision": "fp32", "every": 1, "resume": resume}
    for name in given.names:
        fit(name, Run(checkpoints=checkpoints, **how)).save(given.out / name)


if __name__ == "__main__":
    main(JOBS, fitted, "rows")

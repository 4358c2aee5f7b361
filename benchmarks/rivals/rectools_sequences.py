"""RecTools' side of ``sequences``: SASRec with its own defaults, but for as many epochs as fit into a time.

Its arguments are a folder and minutes. The folder has ``events.npz``: users, items and what follows what of the
training data (``train_*``) and of the histories of the test (``history_*``), and the users who are asked about. The
answer is ``ranking.npy``, the best ten items of each of them, -1 where there are fewer.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Trainer
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

K = 10


def trainer(minutes: float) -> Any:
    """Ends after an epoch or step once the time is over."""
    return Trainer(
        accelerator="cpu",
        max_epochs=-1,
        max_time={"minutes": minutes},
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def frame(events: Any, part: str) -> pd.DataFrame:
    """Interactions as RecTools reads them; dates say what follows what."""
    places = pd.to_datetime(events[f"{part}_place"], unit="D")
    return pd.DataFrame(
        {Columns.User: events[f"{part}_user"], Columns.Item: events[f"{part}_item"], Columns.Weight: 1.0,
         Columns.Datetime: places}
    )  # fmt: skip


def main(folder: Path, minutes: float) -> None:
    torch.manual_seed(0)
    events = np.load(folder / "events.npz")
    model = SASRecModel(get_trainer_func=trainer, get_trainer_func_kwargs={"minutes": minutes})
    started = time.process_time()
    model.fit(Dataset.construct(frame(events, "train")))
    spent = time.process_time() - started
    users = events["asked"]
    found = model.recommend(users, Dataset.construct(frame(events, "history")), k=K, filter_viewed=True)
    ranking = np.full((len(users), K), -1, dtype=np.int64)
    rows = pd.Series(np.arange(len(users)), index=users)[found[Columns.User]].to_numpy()
    ranking[rows, found[Columns.Rank].to_numpy() - 1] = found[Columns.Item]
    np.save(folder / "ranking.npy", ranking)
    epochs = model.fit_trainer.current_epoch
    versions = {name: version(name) for name in ("rectools", "torch", "numpy")}
    print(json.dumps({"fit_cpu_seconds": spent, "epochs": epochs, "rival_versions": versions}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))

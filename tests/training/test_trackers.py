"""The loggers with the trackers themselves, where these are installed: what was logged is read back from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isthmus
from isthmus.training.history import History
from isthmus.training.loggers import to_mlflow, to_tensorboard, to_wandb
from isthmus.training.loggers.logged import Log

pytestmark = pytest.mark.slow

EVENTS = (
    [user for user in range(60) for _ in range(6)],
    [(user * 7 + step) % 20 for user in range(60) for step in range(6)],
)


def trained(log: Log) -> History:
    """Train a recommender for three epochs; the final training on everybody is logged as ``work``."""
    settings: dict[str, Any] = {"epochs": 3, "code": 2, "hidden": 8}
    return isthmus.Recommender.fit(EVENTS, "mult-vae", progress=False, log=log, **settings).history


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        history = trained(to_tensorboard(writer))
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    found = [(one.step, one.value) for one in events.Scalars("loss")]
    wanted = [(record["epoch"], np.float32(record["loss"])) for record in history.records]
    assert found == wanted
    assert any(name.endswith("/loss") for name in events.Tags()["scalars"])


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'runs.db'}")
    with mlflow.start_run() as run:
        history = trained(to_mlflow(mlflow))
    client = mlflow.MlflowClient()
    found = [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, "loss")]
    assert found == [(record["epoch"], record["loss"]) for record in history.records]
    kept = client.get_run(run.info.run_id).data.metrics
    assert any("_at_" in name for name in kept)
    assert any(name.endswith("/loss") for name in kept)


def test_weights_and_biases_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = wandb.init(project="isthmus", mode="offline", dir=str(tmp_path))
    history = trained(to_wandb(run))
    summary = dict(run.summary)
    run.finish()
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    last = history.records[-1]
    assert {name: summary[name] for name in last if name != "epoch"} == {k: v for k, v in last.items() if k != "epoch"}
    # The training on everybody came later.
    assert any(name.endswith("/loss") for name in summary)


def test_trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    trackio = pytest.importorskip("trackio", reason="trackio is not installed")
    from trackio.sqlite_storage import SQLiteStorage

    history = trained(to_wandb(trackio.init(project="isthmus", name="first")))
    trackio.finish()
    kept = [one for one in SQLiteStorage.get_logs("isthmus", "first") if "loss" in one]
    assert [(one["epoch"], one["loss"]) for one in kept] == [(one["epoch"], one["loss"]) for one in history.records]

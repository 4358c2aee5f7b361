"""``log=`` of every fit, and the loggers for trackers of experiments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import isthmus
from isthmus.errors import SettingError
from isthmus.training.loggers import to_mlflow, to_tensorboard, to_wandb
from isthmus.training.progress import NoProgress, doing
from isthmus.training.run import Run

ROWS = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
EVENTS = (
    [user for user in range(60) for _ in range(6)],
    [(user * 7 + step) % 20 for user in range(60) for step in range(6)],
)
RECORD = {"epoch": 3, "phase": "training", "loss": 1.5, "ndcg@100": 0.25}


class Writer:
    """What is used of ``torch.utils.tensorboard.SummaryWriter``."""

    def __init__(self) -> None:
        self.scalars: list[tuple[str, float, int]] = []

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        self.scalars.append((tag, scalar_value, global_step))


class Tracker:
    """What is used of a run of Weights & Biases or Trackio, and of the module ``mlflow``."""

    def __init__(self) -> None:
        self.logged: list[dict[str, Any]] = []

    def log(self, data: dict[str, Any]) -> None:
        self.logged.append(data)

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.logged.append({"metrics": metrics, "step": step})


@pytest.mark.parametrize(
    ("face", "model", "data", "settings"),
    [
        ("VectorAutoencoder", "vanilla", ROWS, {"epochs": 2, "code": 2, "hidden": 8}),
        ("Recommender", "mult-vae", EVENTS, {"epochs": 2, "code": 2, "hidden": 8}),
        ("Recommender", "ease", EVENTS, {}),
    ],
)
def test_a_fit_logs_each_epoch(face: str, model: str, data: Any, settings: dict[str, Any]) -> None:
    logged: list[dict[str, Any]] = []
    fitted = getattr(isthmus, face).fit(data, model, progress=False, log=logged.append, **settings)
    # A network is trained once more in the end, on everybody.
    first = [record for record in logged if "work" not in record]
    assert first == [dict(record) for record in fitted.history.records]
    assert len(first) == settings.get("epochs", 1)


def test_the_records_of_several_trainings_say_of_which() -> None:
    logged: list[dict[str, Any]] = []
    parts = [{"model": "ease"}, {"model": "popularity"}]
    isthmus.Recommender.fit(EVENTS, "blend", parts=parts, progress=False, log=logged.append)
    assert {record["work"] for record in logged[:2]} == {"ease", "popularity"}


def test_a_run_logs_until_its_progress_is_replaced() -> None:
    logged: list[dict[str, Any]] = []
    run = Run(log=logged.append)
    with doing(run.progress, "trying this"):
        run.progress.epoch(RECORD)
    run.progress.epoch(RECORD)
    assert logged == [{**RECORD, "work": "trying this"}, RECORD]
    assert isinstance(Run(progress=NoProgress()).progress, NoProgress)


def test_what_a_logger_raises_ends_the_training() -> None:
    def full(record: dict[str, Any]) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        isthmus.VectorAutoencoder.fit(ROWS, progress=False, log=full, epochs=1, code=2, hidden=8)


def test_both_at_once_are_refused() -> None:
    with pytest.raises(SettingError, match="run= together with log"):
        Run.gather(Run(), log=print)


def test_tensorboard_gets_a_scalar_for_each_number() -> None:
    writer = Writer()
    log = to_tensorboard(writer)
    log(dict(RECORD))
    log({"epoch": 1, "loss": 2.0, "work": "trying ease"})
    assert writer.scalars == [("loss", 1.5, 3), ("ndcg@100", 0.25, 3), ("trying ease/loss", 2.0, 1)]


def test_weights_and_biases_gets_the_record() -> None:
    tracker = Tracker()
    log = to_wandb(tracker)
    log(dict(RECORD))
    log({"epoch": 1, "loss": 2.0, "work": "trying ease"})
    assert tracker.logged == [RECORD, {"epoch": 1, "trying ease/loss": 2.0}]


def test_mlflow_gets_names_that_it_allows() -> None:
    tracker = Tracker()
    to_mlflow(tracker)(dict(RECORD))
    assert tracker.logged == [{"metrics": {"loss": 1.5, "ndcg_at_100": 0.25}, "step": 3}]

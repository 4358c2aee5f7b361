"""Loggers for experiment trackers, created from objects of these. None of them is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.training.loggers.logged import WORK, Log


def to_tensorboard(writer: Any) -> Log:
    """Log to TensorBoard: one scalar for each number of a record, at the step of its epoch.

    Args:
        writer: a ``torch.utils.tensorboard.SummaryWriter``, or anything with its ``add_scalar``.

    Returns:
        A function for ``log=``.
    """

    def log(record: dict[str, Any]) -> None:
        for name, value in _numbers(record).items():
            writer.add_scalar(_under_work(record, name), value, record["epoch"])

    return log


def to_wandb(run: Any) -> Log:
    """Log to Weights & Biases, or to Trackio, which has the same interface. ``epoch`` is logged, too, and serves as the
    axis: steps of these trackers must ascend, but epochs start again if one ``fit`` trains several models.

    Args:
        run: what ``wandb.init()`` or ``trackio.init()`` returned.

    Returns:
        A function for ``log=``.
    """

    def log(record: dict[str, Any]) -> None:
        shared = ("epoch", WORK)
        found = {_under_work(record, name): value for name, value in record.items() if name not in shared}
        run.log({"epoch": record["epoch"], **found})

    return log


def to_mlflow(client: Any) -> Log:
    """Log to MLflow, at the step of the epoch. MLflow allows no ``@`` in names: ``ndcg@100`` becomes ``ndcg_at_100``.

    Args:
        client: the module ``mlflow`` within an active run, or anything with its ``log_metrics``.

    Returns:
        A function for ``log=``.
    """

    def log(record: dict[str, Any]) -> None:
        found = {_under_work(record, name).replace("@", "_at_"): value for name, value in _numbers(record).items()}
        client.log_metrics(found, step=record["epoch"])

    return log


def _numbers(record: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a record, without the epoch, which is the axis."""
    return {name: float(one) for name, one in record.items() if isinstance(one, int | float) and name != "epoch"}


def _under_work(record: Mapping[str, Any], name: str) -> str:
    return f"{record[WORK]}/{name}" if WORK in record else name

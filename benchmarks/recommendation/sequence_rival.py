"""RecTools beside ours in ``sequences``: its SASRec, in its own environment, on the same parts of the data."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.processes import answered
from benchmarks.recommendation.quality.splits import Values, per_user
from benchmarks.recommendation.sequence_data import Case
from isthmus_interactions.ordered_histories import OrderedHistories

LABEL = "SASRec of RecTools"


def asked(case: Case, python: Path, minutes: float) -> tuple[dict[str, Values], dict[str, Any]]:
    """Train it on the training data, and rank for the users of the test.

    Args:
        case: a leave-one-out case.
        python: the interpreter of its environment: ``torch==2.13.0 rectools[torch]==0.19.0``.
        minutes: of training.

    Returns:
        The metrics of the case for each user, and what it says of its training.
    """
    train, history = case.train.histories, case.test.ordered
    assert train is not None
    assert history is not None
    with tempfile.TemporaryDirectory() as folder:
        events = {**_events(train, "train"), **_events(history, "history"), "asked": np.arange(len(history))}
        np.savez(Path(folder) / "events.npz", **events)
        told = answered(python, "rectools_sequences.py", folder, minutes)
        ranking = np.load(Path(folder) / "ranking.npy")
    return per_user(ranking, case.test, case.metrics), told


def _events(order: OrderedHistories, part: str) -> dict[str, npt.NDArray[np.int64]]:
    places = np.arange(order.events) - np.repeat(order.offsets[:-1], order.lengths)
    return {f"{part}_user": order.owners(), f"{part}_item": order.items.astype(np.int64), f"{part}_place": places}

"""A learning rate that reaches 0 when the time is over, on a clock that is driven by the test."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from clocks import Clock
from scipy.sparse import csr_array

from isthmus.batch import Bag
from isthmus.errors import SettingError
from isthmus.models import mult_dae
from isthmus.protocols import Phase
from isthmus.sources import BagSource
from isthmus.training import trainer
from isthmus.training.batching import Shuffled
from isthmus.training.history import History
from isthmus.training.plan import Plan
from isthmus.training.run import Run

WIDTH, RATE = 25, 0.01


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "time", Clock())


def trained(epochs: int, **run: object) -> History:
    dense = (np.random.default_rng(0).random((40, WIDTH)) < 0.3).astype(np.float32)
    model = mult_dae(Bag(WIDTH), generator=Run(seed=7).generator(), code=4).model
    plan = Plan((Phase(epochs),), batching=Shuffled(8), decay="timed", learning_rate=RATE)
    return trainer.train(model, BagSource.from_csr(csr_array(dense)), plan, Run(device="cpu", **run))


def rates(history: History) -> list[float]:
    return [float(record["learning_rate"]) for record in history.records]


def test_without_a_limit_it_is_the_cosine_of_the_plan() -> None:
    expected = [RATE * 0.5 * (1 + math.cos(math.pi * done / 4)) for done in (1, 2, 3, 4)]
    assert rates(trained(4)) == pytest.approx(expected)


def test_a_plan_that_is_cut_short_ends_with_a_rate_of_nothing() -> None:
    history = trained(1000, time_limit=300.0)
    assert history.out_of_time
    found = rates(history)
    assert len(found) < 100
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.01 * RATE


def test_a_plan_that_ends_early_has_its_own_pace() -> None:
    history = trained(3, time_limit=1e6)
    assert not history.out_of_time
    assert rates(history)[-1] == pytest.approx(0, abs=1e-9)


def test_a_later_call_counts_the_time_of_earlier_ones(tmp_path: Path) -> None:
    first = trained(1000, time_limit=200.0, checkpoints=tmp_path, every=1)
    again = trained(1000, time_limit=200.0, checkpoints=tmp_path, every=1, resume=True)
    own = rates(again)[len(first.records) - 1 :]
    assert own[0] < 0.7 * RATE, "about half of the time was over"
    assert own[-1] < 0.01 * RATE


def test_another_name_is_refused() -> None:
    with pytest.raises(SettingError, match="'timed'"):
        Plan((Phase(1),), decay="linear")

"""Training that ends before its plan does: by the clock, or at an epoch that was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clocks import Clock
from scipy.sparse import csr_array
from torch import Tensor, nn

from isthmus.batch import Bag
from isthmus.errors import SettingError
from isthmus.models import mult_vae
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.sources import BagSource
from isthmus.training import trainer
from isthmus.training.run import Run, Validation

SOURCE = BagSource.from_csr(csr_array((np.random.default_rng(0).random((60, 20)) < 0.3).astype(np.float32)))


def recipe(epochs: int = 6) -> GradientRecipe:
    generator = torch.Generator().manual_seed(0)
    return mult_vae(Bag(20), generator=generator, hidden=8, code=4, beta=0.2, epochs=epochs, batch_size=20)


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def test_until_ends_the_plan_early_and_leaves_its_schedules_as_they_are() -> None:
    seen: list[list[Tensor]] = []

    def remember(model: nn.Module) -> float:
        seen.append(weights(model))
        return float(len(seen))

    recipe().fit(SOURCE, Run(), Validation("score", remember))
    short = recipe()
    history = short.fit(SOURCE, Run(until=4))
    assert [record["epoch"] for record in history.records] == [1, 2, 3, 4]
    assert all(torch.equal(a, b) for a, b in zip(weights(short.model), seen[3], strict=True))
    # A plan of four epochs anneals faster, so this is not what it trains.
    other = recipe(4)
    other.fit(SOURCE, Run())
    assert not all(torch.equal(a, b) for a, b in zip(weights(other.model), seen[3], strict=True))


def test_until_beyond_the_plan_changes_nothing() -> None:
    assert len(recipe(2).fit(SOURCE, Run(until=9)).records) == 2


def test_out_of_time_it_keeps_the_best_epoch_that_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(trainer, "time", clock)
    scores: list[float] = []
    kept: list[Any] = []

    def falling(model: nn.Module) -> float:
        scores.append(-float(len(scores)))
        kept.append(weights(model))
        return scores[-1]

    trained = recipe(50)
    history = trained.fit(SOURCE, Run(time_limit=25.0), Validation("score", falling))
    assert history.out_of_time
    assert not history.interrupted
    assert 2 <= len(history.records) < 50
    assert history.best_epoch == 1
    assert all(torch.equal(a, b) for a, b in zip(weights(trained.model), kept[0], strict=True))


def test_without_time_for_an_epoch_the_history_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "time", Clock())
    history = recipe().fit(SOURCE, Run(time_limit=0.5))
    assert (history.records, history.out_of_time) == ([], True)


def test_the_epoch_that_time_ends_is_scored_and_kept_if_it_is_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "time", Clock())
    scores = iter(range(100))
    trained, seen = recipe(50), list[list[Tensor]]()

    def rising(model: nn.Module) -> float:
        seen.append(weights(model))
        return float(next(scores))

    history = trained.fit(SOURCE, Run(time_limit=3.5), Validation("score", rising))
    (record,) = history.records
    assert history.out_of_time
    assert 0 < float(record["part"]) < 1
    assert (record["epoch"], record["score"], history.epochs, history.best_epoch) == (1, 0.0, 0, 1)
    assert history.done == f"{record['part']:.0%} of epoch 1"
    assert all(torch.equal(a, b) for a, b in zip(weights(trained.model), seen[-1], strict=True))


def test_a_part_of_an_epoch_is_no_place_to_resume_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = recipe(3)
    whole.fit(SOURCE, Run(time_limit=1e6))
    # Each epoch looks at the clock six times: before and after it, before each of its three steps, and for the limit.
    cut = recipe(3)
    with monkeypatch.context() as patched:
        patched.setattr(trainer, "time", Clock())
        history = cut.fit(SOURCE, Run(time_limit=9.5, checkpoints=tmp_path, every=1))
    assert (history.epochs, history.part is not None) == (1, True)
    resumed = recipe(3)
    history = resumed.fit(SOURCE, Run(checkpoints=tmp_path, every=1, resume=True))
    assert (history.epochs, history.part) == (3, None)
    assert all(torch.equal(a, b) for a, b in zip(weights(whole.model), weights(resumed.model), strict=True))


def test_with_enough_time_nothing_is_said() -> None:
    history = recipe(1).fit(SOURCE, Run(time_limit=1e6))
    assert (len(history.records), history.out_of_time) == (1, False)


@pytest.mark.parametrize("wrong", [{"time_limit": 0.0}, {"time_limit": -1.0}, {"until": 0}])
def test_limits_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        Run(**wrong)

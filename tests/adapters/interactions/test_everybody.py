"""The final fit on everybody: what it is, what is measured before it, and what ends it early."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from planted import RUN, planted, trained

from isthmus.errors import NonFiniteLossError, SettingError
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.training.history import History
from isthmus.training.progress import NoProgress, Record
from isthmus.training.run import Run
from isthmus_interactions import Recommender
from isthmus_interactions.everybody import train as module
from isthmus_interactions.splits import strong


def fitted(model: str = "mult_dae", **options: Any) -> Recommender:
    return trained(model, **{"validation": 0.2, "metric": "ndcg@5", "epochs": 4, **options})


@cache
def whole() -> Recommender:
    """Trained on everybody; nothing in it changes."""
    return fitted()


@cache
def before() -> Recommender:
    """Trained on the training users alone."""
    return fitted(refit=False)


def same(one: Recommender, other: Recommender) -> bool:
    pairs = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    return all(torch.equal(first, second) for first, second in pairs)


def test_a_network_is_trained_on_everybody_for_as_many_epochs_as_were_best() -> None:
    assert (whole().facts["fitted_on_everybody"], before().facts["fitted_on_everybody"]) == (["mult_dae"], [])
    assert same(whole(), fitted(validation=0.0, run=replace(RUN, until=whole().history.best_epoch)))
    assert not same(whole(), before())


def test_what_is_told_was_measured_on_people_who_had_not_been_trained_on() -> None:
    for name in ("held_out", "validation_users"):
        assert whole().facts[name] == before().facts[name]
    assert whole().history.best_score == before().history.best_score


@pytest.mark.parametrize("model", ["mult_dae", "ease"])
def test_people_of_a_given_fold_are_not_trained_on(model: str) -> None:
    split = strong(planted(), held_out=15, seed=2)
    settings = {"epochs": 3} if model == "mult_dae" else {}
    recommender = trained(model, split.train, validation=split.validation, **settings)
    assert recommender.facts["fitted_on_everybody"] == []


def test_a_closed_form_is_solved_for_the_training_users_alone_on_demand() -> None:
    weights = [trained("ease", validation=0.2, refit=refit).model.weights for refit in (True, False)]
    assert torch.equal(weights[0], trained("ease", validation=0.0).model.weights)
    assert not torch.equal(*weights)


class Interrupting(NoProgress):
    """Ctrl-C after the second epoch of the training on everybody."""

    def __init__(self) -> None:
        self.trainings, self.epochs = 0, 0

    def start(self, epochs: int, rows: int, metric: str | None, first_epoch: int = 0) -> None:
        self.trainings, self.epochs = self.trainings + 1, 0

    def epoch(self, record: Record) -> None:
        self.epochs += 1
        if (self.trainings, self.epochs) == (2, 2):
            os.kill(os.getpid(), signal.SIGINT)


def test_interrupted_in_between_it_keeps_the_model_of_the_training_users_and_goes_on_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = replace(RUN, checkpoints=tmp_path / "checkpoints", every=1)
    recommender = fitted(run=replace(run, progress=Interrupting()))
    assert recommender.history.interrupted
    assert recommender.facts["fitted_on_everybody"] == []
    assert same(recommender, before())
    assert "keeping the model of the training users" in capsys.readouterr().err
    assert list((tmp_path / "checkpoints" / module.FOLDER).glob("epoch-*"))
    resumed = fitted(run=replace(run, resume=True))
    assert resumed.facts["fitted_on_everybody"] == ["mult_dae"]
    assert same(resumed, whole())


def test_a_factorisation_that_is_interrupted_in_between_keeps_the_factors_of_all_its_passes() -> None:
    pytest.importorskip("implicit", reason="als needs implicit")
    options: dict[str, Any] = {"validation": 0.2, "metric": "ndcg@5", "iterations": 6, "factors": 4}
    first, whole = (trained("als", refit=refit, **options) for refit in (False, True))
    ended = trained("als", run=replace(RUN, progress=Interrupting()), **options)
    assert (whole.facts["fitted_on_everybody"], ended.facts["fitted_on_everybody"]) == (["als"], [])
    assert same(ended, first)
    assert not same(whole, first)


def failing(recipe: GradientRecipe, *_: Any) -> History:
    raise NonFiniteLossError("the loss became inf")


def in_vain(recipe: GradientRecipe, *_: Any) -> History:
    return History(records=[{"epoch": 1, "phase": "", "seconds": 1.0}], out_of_time=True)


@pytest.mark.parametrize("second", [failing, in_vain])
def test_a_second_training_that_fails_loses_nothing(
    second: Callable[..., History], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, calls, expected = GradientRecipe.fit, list[Run](), before()

    def fit(recipe: GradientRecipe, source: Any, run: Run, validation: Any = None) -> History:
        calls.append(run)
        return first(recipe, source, run, validation) if len(calls) == 1 else second(recipe)

    monkeypatch.setattr(GradientRecipe, "fit", fit)
    recommender = fitted()
    assert len(calls) == 2
    assert recommender.facts["fitted_on_everybody"] == []
    assert same(recommender, expected)


def test_it_is_left_out_where_the_time_limit_does_not_allow_it(monkeypatch: pytest.MonkeyPatch) -> None:
    run = replace(RUN, time_limit=1000.0)
    assert fitted(run=run).facts["fitted_on_everybody"] == ["mult_dae"]
    monkeypatch.setattr(module, "seconds_again", lambda recipe, history: 1000.0)
    assert fitted(run=run).facts["fitted_on_everybody"] == []


def test_checkpoints_of_an_earlier_training_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / module.FOLDER / "epoch-000001").mkdir(parents=True)
    progress = Interrupting()
    with pytest.raises(SettingError, match="earlier training"):
        fitted(run=replace(RUN, checkpoints=tmp_path, progress=progress))
    assert progress.trainings == 0

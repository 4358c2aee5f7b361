"""Searching settings: what is tried, what is kept, how it goes on, and how it ends."""

from __future__ import annotations

import inspect
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planted import RUN, one_thread, planted
from torch import nn

import isthmus_interactions.tuning
from isthmus.cli.options import parsed_duration
from isthmus.core.linear.dense import LinearAutoencoder
from isthmus.errors import MissingLibraryError, NonFiniteLossError, SettingError, SourceError
from isthmus.models.recipes.settings import keywords_of
from isthmus.training.history import History
from isthmus.training.progress import NoProgress
from isthmus_interactions import Recommender, tune
from isthmus_interactions.plugin import plugin
from isthmus_interactions.splits import strong
from isthmus_interactions.tuning import sampler
from isthmus_interactions.tuning import trial as trying
from isthmus_interactions.tuning.sampler import Suggestion
from isthmus_interactions.tuning.spaces import SPACES, Range
from isthmus_interactions.tuning.study import Trial
from isthmus_interactions.tuning.tune import TuningResult

QUICK: dict[str, Any] = {"trials": 4, "run": RUN, "metric": "ndcg@5"}
NO_SPACE = {"popularity", "blend", "content_knn"}
"""One has no settings; the settings of the other are models."""


@pytest.fixture(autouse=True)
def _single() -> Iterator[None]:
    with one_thread():
        yield


def tried(tuned: TuningResult) -> list[tuple[int, dict[str, Any], float | None]]:
    return [(trial.number, dict(trial.settings), trial.score) for trial in tuned.trials]


def dae(**options: Any) -> TuningResult:
    return tune(planted(), "mult-dae", **{**QUICK, "epochs": 3, **options})


@dataclass(frozen=True)
class Scripted:
    """A recipe whose scores are known in advance."""

    scores: tuple[float, ...]
    ends: Callable[[], History] = History
    model: nn.Module = LinearAutoencoder(24)  # noqa: RUF009 - asked by nobody
    chooses_epoch: bool = True

    def fit(self, source: Any, run: Any, validation: Any = None) -> History:
        for epoch, score in enumerate(self.scores):
            run.progress.epoch({"epoch": epoch + 1, validation.name: score})
        return self.ends()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Trials end as the given recipes do, one after the other."""

    def put(*recipes: Scripted) -> None:
        left = iter(recipes)
        monkeypatch.setattr(trying, "built", lambda *args: next(left))

    return put


def fails(error: Exception) -> Callable[[], History]:
    def end() -> History:
        raise error

    return end


# --- what is tried ---------------------------------------------------------------------------------------------------


def test_every_space_fits_its_builder(subtests: pytest.Subtests) -> None:
    for name in sorted(set(plugin.builders) - NO_SPACE):
        with subtests.test(name=name):
            keywords = keywords_of(plugin.builders[name])
            for setting, span in SPACES[name].items():
                default = keywords[setting].default
                assert default in span, f"{name}: the default {setting}={default!r} lies outside"
                if isinstance(span, Range):
                    assert span.low < span.high
                    assert type(span.low) is type(span.high) is type(default)
                    assert not span.log or span.low > 0
                else:
                    assert {type(value) for value in span} - {type(None)} == {type(default)} - {
                        type(None)
                    } or default is None


def test_there_is_no_space_without_a_builder() -> None:
    assert set(SPACES) == set(plugin.builders) - NO_SPACE


def test_the_first_trial_has_the_defaults_and_the_best_is_not_below_it() -> None:
    tuned = tune(planted(), "ease", **QUICK)
    assert tuned.trials[0].settings == {"regularisation": 500.0, "length_power": 0.0}
    assert [trial.number for trial in tuned.trials] == [1, 2, 3, 4]
    assert tuned.best.score == max(trial.score or 0 for trial in tuned.trials)
    assert len({trial.settings["regularisation"] for trial in tuned.trials}) == 4


def test_a_trial_is_scored_as_fit_scores() -> None:
    """Also with the Gram matrix that closed-form trials share."""
    for model, fixed in (("rdlae", {}), ("mult-dae", {"epochs": 3})):
        tuned = tune(planted(), model, **{**QUICK, "trials": 3}, **fixed)
        assert set(tuned.settings) == {*SPACES[tuned.model], *fixed}
        fitted = Recommender.fit(planted(), model, metric="ndcg@5", run=RUN, **tuned.settings)
        assert fitted.history.best_score == pytest.approx(tuned.best.score)


def test_closed_form_trials_share_a_gram_matrix_for_each_weight_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    gram_of = trying.gram_of
    monkeypatch.setattr(trying, "gram_of", lambda *args: calls.append(args[-1].length_power) or gram_of(*args))
    shared = tune(planted(), "rdlae", **QUICK)
    assert sorted(calls) == sorted({trial.settings["length_power"] for trial in shared.trials})
    # Where there is no room for it, each trial computes its own.
    calls.clear()
    monkeypatch.setattr(trying, "available_bytes", lambda: 0)
    assert tried(tune(planted(), "rdlae", **QUICK)) == tried(shared)
    assert calls == []


def test_what_is_given_is_not_searched() -> None:
    tuned = dae(code=40, dropout=0)
    assert all(set(trial.settings).isdisjoint({"code", "dropout", "epochs"}) for trial in tuned.trials)
    assert tuned.settings["code"] == 40
    assert tuned.fixed == {"epochs": 3, "code": 40, "dropout": 0.0}
    assert all(len(trial.scores) == 3 for trial in tuned.trials)


def test_validation_people_may_be_given() -> None:
    split = strong(planted(), held_out=15, seed=3)
    assert split.validation is not None
    tuned = tune(split.train, "ease", **QUICK, validation=split.validation)
    fitted = Recommender.fit(
        split.train, "ease", metric="ndcg@5", run=RUN, validation=split.validation, **tuned.settings
    )
    assert fitted.history.best_score == pytest.approx(tuned.best.score)


def test_global_random_numbers_are_left_alone() -> None:
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 - the point
    expected = torch.rand(1), np.random.rand()  # noqa: NPY002
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    tune(planted(), "ease", **{**QUICK, "trials": 8})
    assert (torch.rand(1), np.random.rand()) == expected  # noqa: NPY002


# --- bad trials ------------------------------------------------------------------------------------------------------


def test_a_trial_that_lags_behind_is_ended(script: Callable[..., None]) -> None:
    good, bad = Scripted((0.5,) * 9), Scripted((0.1,) * 9)
    script(good, good, good, good, bad, Scripted((0.1,) * 6 + (0.9,)))
    states = [(trial.state, len(trial.scores)) for trial in dae(trials=6).trials]
    # Five epochs are free; the sixth is compared.
    assert states == [("complete", 9)] * 4 + [("pruned", 6)] * 2


def test_a_real_training_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "WARMUP", 0)
    monkeypatch.setattr(sampler, "FULL", 1)
    tuned = dae(trials=6, learning_rate=0.01)
    pruned = [trial for trial in tuned.trials if trial.state == "pruned"]
    assert pruned
    assert tuned.best.state == "complete"
    assert all((trial.score or 0) <= (tuned.best.score or 0) for trial in pruned)


def test_settings_that_cannot_be_trained_are_kept_as_failed(script: Callable[..., None]) -> None:
    broken = Scripted((), fails(NonFiniteLossError("the loss became nan")))
    script(Scripted((0.5,)), broken, Scripted((0.6,)))
    tuned = dae(trials=3)
    assert [(trial.state, trial.score) for trial in tuned.trials] == [
        ("complete", 0.5),
        ("failed", None),
        ("complete", 0.6),
    ]
    assert "nan" in tuned.trials[1].why
    assert tuned.best.number == 3


def test_defaults_that_cannot_be_trained_are_an_error(script: Callable[..., None]) -> None:
    script(Scripted((), fails(NonFiniteLossError("the loss became nan"))))
    with pytest.raises(NonFiniteLossError):
        dae()


def test_equal_scores_go_to_the_first() -> None:
    trials = tuple(Trial(number, "complete", {}, score) for number, score in ((1, 0.1), (2, 0.4), (3, 0.4)))
    assert TuningResult("ease", "ndcg@5", {}, trials).best.number == 2


# --- time ------------------------------------------------------------------------------------------------------------


def test_time_that_is_up_cuts_a_trial(script: Callable[..., None]) -> None:
    script(Scripted((0.5,)), Scripted((0.6, 0.7), lambda: History(out_of_time=True)), Scripted((0.1,)))
    tuned = dae(trials=3, run=replace(RUN, time_limit=1000.0))
    assert [trial.state for trial in tuned.trials] == ["complete", "cut", "complete"]
    assert tuned.best.score == 0.7


def test_time_that_is_up_ends_the_search(script: Callable[..., None]) -> None:
    script(Scripted((0.5,)), Scripted((), lambda: History(out_of_time=True)))
    assert len(dae(trials=3, run=replace(RUN, time_limit=1000.0)).trials) == 1


def test_no_time_at_all_is_an_error() -> None:
    with pytest.raises(SettingError, match="was finished within 1e-09 seconds"):
        dae(run=replace(RUN, time_limit=1e-9))


def test_lengths_of_time(subtests: pytest.Subtests) -> None:
    for text, seconds in [("90s", 90), ("10m", 600), ("1.5h", 5400), ("7", 7)]:
        with subtests.test(text=text, seconds=seconds):
            assert parsed_duration(text) == seconds


def test_lengths_that_are_none(subtests: pytest.Subtests) -> None:
    for text in ["", "s", "10 minutes", "-3m", "0", "nan", "inf", "1d"]:
        with subtests.test(text=text), pytest.raises(SettingError, match="10m"):
            parsed_duration(text)


# --- going on --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("model", ["ease", "mult-dae"])
def test_a_resumed_study_tries_what_it_would_have_tried(tmp_path: Path, model: str) -> None:
    options = {**QUICK, "trials": 9, **({"epochs": 2} if model == "mult-dae" else {})}
    whole = tune(planted(), model, **options)
    for trials in (3, 7, 9):
        parts = tune(planted(), model, **{**options, "trials": trials}, study=tmp_path / "study")
        assert len(parts.trials) == trials
    assert tried(parts) == tried(whole)
    assert parts.best.number == whole.best.number
    again = tune(planted(), model, **options, study=tmp_path / "study")
    assert again.trials == parts.trials


def test_a_study_of_something_else_is_refused(subtests: pytest.Subtests, tmp_path: Path) -> None:
    for change, what in [
        ({"data": planted(91)}, "interactions"),
        ({"model": "edlae"}, "model"),
        ({"metric": "recall@5"}, "metric"),
        ({"run": replace(RUN, seed=1)}, "seed"),
        ({"validation": 0.2}, "interactions"),
        ({"dropout": 0.1}, "given settings"),
    ]:
        with subtests.test(change=change, what=what):
            options: dict[str, Any] = {
                "data": planted(),
                "model": "rdlae",
                **QUICK,
                "trials": 1,
                "study": tmp_path / "study",
            }
            tune(**options)
            before = (tmp_path / "study" / "trials.jsonl").read_bytes()
            with pytest.raises(SettingError, match=f"another .*{what}"):
                tune(**{**options, **change})
            assert (tmp_path / "study" / "trials.jsonl").read_bytes() == before


def test_a_torn_line_is_cut_off(tmp_path: Path) -> None:
    whole = tune(planted(), "ease", **QUICK)
    tune(planted(), "ease", **{**QUICK, "trials": 3}, study=tmp_path)
    path = tmp_path / "trials.jsonl"
    path.write_bytes(path.read_bytes()[:-10])
    assert tried(tune(planted(), "ease", **QUICK, study=tmp_path)) == tried(whole)
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 4


def test_a_line_that_is_no_trial_is_refused(subtests: pytest.Subtests, tmp_path: Path) -> None:
    for number, line in enumerate(
        ["{}", "no json", "[]", '{"number": 7, "state": "complete", "settings": {}, "score": 1}']
    ):
        with subtests.test(line=line):
            tune(planted(), "ease", **{**QUICK, "trials": 1}, study=tmp_path / str(number))
            with (tmp_path / str(number) / "trials.jsonl").open("a") as file:
                file.write(line + "\n")
            with pytest.raises(SourceError, match=r"trials\.jsonl"):
                tune(planted(), "ease", **QUICK, study=tmp_path / str(number))


def test_a_directory_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")
    with pytest.raises(SourceError, match="not a study"):
        tune(planted(), "ease", **QUICK, study=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


# --- Ctrl-C ----------------------------------------------------------------------------------------------------------


class CtrlC(NoProgress):
    """Ctrl-C in the second epoch of a trial."""

    def __init__(self, trial: int) -> None:
        self.trial, self.begun, self.epochs = trial, 0, 0

    def start(self, epochs: int, rows: int, metric: str | None, first_epoch: int = 0) -> None:
        self.begun, self.epochs = self.begun + 1, 0

    def step(self, rows: int, loss: float) -> None:
        if self.begun == self.trial and self.epochs == 1:
            os.kill(os.getpid(), signal.SIGINT)

    def epoch(self, record: Any) -> None:
        self.epochs += 1


def test_ctrl_c_keeps_what_is_done_and_the_study_goes_on(tmp_path: Path) -> None:
    whole = dae()
    cut = dae(study=tmp_path, run=replace(RUN, progress=CtrlC(3)))
    assert cut.interrupted
    assert tried(cut) == tried(whole)[:2]
    rest = dae(study=tmp_path)
    assert not rest.interrupted
    assert tried(rest) == tried(whole)


def test_ctrl_c_in_a_closed_form_trial(script: Callable[..., None]) -> None:
    def pressed() -> History:
        raise KeyboardInterrupt

    script(Scripted((0.5,)), Scripted((), pressed))
    tuned = dae()
    assert (tuned.interrupted, len(tuned.trials)) == (True, 1)


def test_ctrl_c_before_the_first_trial_is_done() -> None:
    with pytest.raises(KeyboardInterrupt):
        dae(run=replace(RUN, progress=CtrlC(1)))


def test_somebody_is_told_of_every_trial() -> None:
    told: list[int] = []
    tune(planted(), "ease", **QUICK, on_trial=lambda tuned: told.append(len(tuned.trials)))
    assert told == [1, 2, 3, 4]


# --- mistakes --------------------------------------------------------------------------------------------------------


def test_mistakes_are_typed(subtests: pytest.Subtests) -> None:
    for options, said in [
        ({"model": "popularity"}, "no settings to search"),
        ({"model": "eas"}, "did you mean 'ease'"),
        ({"regularisation": 3.0, "length_power": 0.0}, "given"),
        ({"beta": 3.0}, "no setting 'beta'"),
        ({"metric": "fun"}, "fun"),
        ({"trials": 0}, "trials is 0"),
        ({"validation": 0.0}, "no users are held out"),
        ({"data": planted(20)}, "20 users"),
    ]:
        with subtests.test(options=options, said=said), pytest.raises(SettingError, match=said):
            tune(**{"data": planted(), "model": "ease", **QUICK, **options})


def test_without_optuna_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "isthmus_interactions.tuning.sampler")
    monkeypatch.delattr(isthmus_interactions.tuning, "sampler")
    with pytest.raises(MissingLibraryError, match=r"isthmus\[tune\]"):
        tune(planted(), "ease", **QUICK)


def test_the_next_trial_follows_from_the_trials_alone() -> None:
    space, first = SPACES["mult_vae"], {name: plugin_default(name) for name in SPACES["mult_vae"]}
    done = [Trial(1, "complete", first, 0.5, (0.4, 0.5))]
    assert Suggestion(space, first, [], 7).settings == first
    assert Suggestion(space, first, done, 7).settings == Suggestion(space, first, done, 7).settings
    assert Suggestion(space, first, done, 7).settings != Suggestion(space, first, done, 8).settings
    assert all(value in space[name] for name, value in Suggestion(space, first, done, 7).settings.items())


def plugin_default(name: str) -> Any:
    return inspect.signature(plugin.builders["mult_vae"]).parameters[name].default


def test_a_study_of_version_0_1_goes_on(tmp_path: Path) -> None:
    once = tune(planted(), "ease", **{**QUICK, "trials": 2}, study=tmp_path)
    head = json.loads((tmp_path / "study.json").read_text())
    former = {"people" if key == "users" else key: value for key, value in head.items()}
    (tmp_path / "study.json").write_text(json.dumps(former))
    assert former != head
    again = tune(planted(), "ease", **{**QUICK, "trials": 3}, study=tmp_path)
    assert again.trials[:2] == once.trials

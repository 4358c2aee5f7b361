"""``auto`` when something goes wrong on the way: a network fails, time is up, Ctrl-C comes, a part has no weight."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import Any

import pytest
from planted import RUN, one_thread, planted

from isthmus.errors import NonFiniteLossError
from isthmus.models.linear import ClosedFormRecipe
from isthmus.training.history import History
from isthmus.training.progress import NoProgress, Record
from isthmus_interactions import Recommender
from isthmus_interactions.auto import search
from isthmus_interactions.auto.blending import Weighed, weighed
from isthmus_interactions.auto.candidate import Candidate

SMALL = [
    ("mult_vae", {"hidden": 24, "code": 8, "epochs": 4, "batch_size": 16, "learning_rate": 0.01}),
    ("mult_dae", {"code": 8, "epochs": 4, "batch_size": 16, "learning_rate": 0.01}),
]


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "networks", lambda data, ordered=False: SMALL)
    monkeypatch.setattr(search.ModelSearch, "_filters", lambda self: None)


def fitted(**options: Any) -> Recommender:
    run = replace(RUN, time_limit=options.pop("time_limit", None))
    with one_thread():
        return Recommender.fit(planted(), **{"run": run, "metric": "ndcg@5", **options})


def weighted(monkeypatch: pytest.MonkeyPatch, wanted: dict[str, float]) -> None:
    """Blends get these weights, and a score above all others, so that they win."""

    def weighed_so(model: Any, names: Any, *others: Any) -> Weighed:
        found = weighed(model, names, *others)
        model.weigh([wanted.get(name, 0.0) for name in names], [0.5] * len(names))
        return replace(found, values=found.values + 2.0)

    monkeypatch.setattr(search, "weighed", weighed_so)


def test_what_had_no_time_for_an_epoch_is_told_of() -> None:
    line = Candidate("elsa", {}, None, History(metric="ndcg@5", out_of_time=True), None, 0.1).line("ndcg@5")
    assert line["note"] == "out of time"
    assert line["epochs"] == 0
    assert line["ndcg@5"] is None


@pytest.mark.slow
def test_others_go_on_without_a_network_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    built = search.built

    def failing(name: str, *others: Any) -> Any:
        if name == "mult_vae":
            raise NonFiniteLossError("the loss became NaN")
        return built(name, *others)

    monkeypatch.setattr(search, "built", failing)
    lines = {line["model"]: line for line in fitted().facts["tried"]}
    assert lines["mult_vae"]["ndcg@5"] is None
    assert lines["mult_vae"]["note"] == "the loss became NaN"
    assert lines["mult_dae"]["ndcg@5"] is not None


def test_where_everything_fails_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*others: Any) -> Any:
        raise NonFiniteLossError("the loss became NaN")

    monkeypatch.setattr(search.ModelSearch, "_linear", lambda self: None)
    monkeypatch.setattr(search, "built", failing)
    with pytest.raises(NonFiniteLossError, match="NaN"):
        fitted()


@pytest.mark.slow
def test_a_part_without_a_weight_is_not_in_the_blend(monkeypatch: pytest.MonkeyPatch) -> None:
    weighted(monkeypatch, {"rdlae": 0.0, "mult_vae": 1.0, "mult_dae": 2.0})
    recommender = fitted()
    assert recommender.builder == "blend"
    weights = recommender.model.state_dict()["weights"].tolist()
    names = [part["model"] for part in recommender.settings["parts"]]
    assert dict(zip(names, weights, strict=True)) == {"mult_vae": 1.0, "mult_dae": 2.0}
    assert recommender.model.state_dict()["exponents"].tolist() == [0.5, 0.5]


class InterruptingAgain(NoProgress):
    """Ctrl-C in the first training that takes no scores, which is that on everybody."""

    def start(self, epochs: int, rows: int, metric: str | None, first_epoch: int = 0) -> None:
        self.again = metric is None

    def epoch(self, record: Record) -> None:
        if self.again and record["phase"] != "solve":
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
def test_ctrl_c_in_the_last_fit_ends_it_once_and_keeps_what_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    weighted(monkeypatch, {"rdlae": 1.0, "mult_vae": 1.0, "mult_dae": 1.0})
    recommender = fitted(run=replace(RUN, progress=InterruptingAgain()))
    assert recommender.history.interrupted
    names = [part["model"] for part in recommender.settings["parts"]]
    before = names[: min(names.index("mult_vae"), names.index("mult_dae"))]
    assert recommender.facts["fitted_on_everybody"] == before
    assert recommender.recommend([[0, 10]])[0].ids


def test_ctrl_c_while_the_winner_is_solved_again_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "networks", lambda data, ordered=False: [])

    def fit_after_a_signal(self: Any, source: Any, run: Any, validation: Any = None) -> Any:
        if validation is None:
            signal.raise_signal(signal.SIGINT)
        return solve(self, source, run, validation)

    solve = ClosedFormRecipe.fit
    monkeypatch.setattr(ClosedFormRecipe, "fit", fit_after_a_signal)
    recommender = fitted()
    assert recommender.history.interrupted
    assert recommender.facts["fitted_on_everybody"] == []
    assert recommender.builder == "rdlae"


def test_without_time_nothing_is_solved_again() -> None:
    assert fitted(time_limit=1e-3).facts["fitted_on_everybody"] == []


@pytest.mark.slow
def test_the_whole_time_is_told() -> None:
    recommender = fitted()
    assert recommender.facts["seconds_in_all"] >= sum(line["seconds"] for line in recommender.facts["tried"])

"""``auto``: what it tries, what it keeps, and what it does when there is no time, no memory or nobody to ask."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planted import RUN, one_thread, planted
from scipy.sparse import csr_array

from isthmus.errors import SettingError
from isthmus.training.progress import NoProgress, Record
from isthmus.training.run import Run
from isthmus_interactions import Recommender
from isthmus_interactions.auto import candidates, search
from isthmus_interactions.auto.candidates import (
    LinearSettings,
    dense_fits,
    initial_settings,
    neighbouring_settings,
    networks,
)
from isthmus_interactions.interactions import Interactions

SMALL = [
    ("mult_vae", {"hidden": 24, "code": 8, "epochs": 4, "batch_size": 16, "learning_rate": 0.01}),
    ("mult_dae", {"code": 8, "epochs": 4, "batch_size": 16, "learning_rate": 0.01}),
]


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real ones would be most of the test's time; everything else is as it is."""
    monkeypatch.setattr(search, "networks", lambda data, ordered=False: SMALL)


def fitted(data: Interactions | None = None, **options: Any) -> Recommender:
    run = replace(RUN, time_limit=options.pop("time_limit", None))
    with one_thread():
        return Recommender.fit(planted() if data is None else data, **{"run": run, "metric": "ndcg@5", **options})


@pytest.mark.slow
def test_it_is_what_fit_does_when_no_model_is_named_and_it_tells_of_everything_it_tried(tmp_path: Path) -> None:
    recommender = fitted()
    tried = recommender.facts["tried"]
    assert {"rdlae", "sparse_linear", "low_pass", "mult_vae", "mult_dae", "blend"} == {line["model"] for line in tried}
    assert sum(line["model"] == "rdlae" for line in tried) > 1
    assert recommender.history.best_score == max(line["ndcg@5"] for line in tried)
    assert all(line["seconds"] >= 0 and 0 <= line["ndcg@5"] <= 1 for line in tried)
    assert recommender.facts["validation_users"] == 9
    # Somebody of the second group, and what else there is of it.
    (answer,) = recommender.recommend([[80, 90, 100, 110]], k=4)
    assert set(answer.ids) == {120, 130, 140, 150}
    recommender.save(tmp_path / "auto.bundle")
    assert Recommender.load(tmp_path / "auto.bundle").recommend([[80, 90, 100, 110]], k=4) == [answer]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_answers() -> None:
    first, second = fitted(), fitted()
    assert first.recommend([[0, 10]]) == second.recommend([[0, 10]])


def test_what_was_chosen_is_fitted_on_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "networks", lambda data, ordered=False: [])
    monkeypatch.setattr(search.ModelSearch, "_filters", lambda self: None)
    recommender = fitted()
    assert recommender.builder == "rdlae"
    assert recommender.facts["fitted_on_everybody"] == ["rdlae"]
    named = fitted(model="rdlae", validation=0.0, **recommender.settings)
    assert named.recommend([[0, 10]]) == recommender.recommend([[0, 10]])


def test_a_network_that_wins_is_trained_on_everybody_to_its_best_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("_linear", "_filters"):
        monkeypatch.setattr(search.ModelSearch, kind, lambda self: None)
    monkeypatch.setattr(search, "networks", lambda data, ordered=False: SMALL[1:])
    recommender = fitted()
    assert recommender.builder == "mult_dae"
    assert recommender.facts["fitted_on_everybody"] == ["mult_dae"]
    whole = fitted(
        model="mult_dae", validation=0.0, **recommender.settings, run=replace(RUN, until=recommender.history.best_epoch)
    )
    assert whole.recommend([[0, 10]]) == recommender.recommend([[0, 10]])


def test_a_budget_that_is_too_small_keeps_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    recommender = fitted(time_limit=1e-3)
    tried = recommender.facts["tried"]
    assert [line["model"] for line in tried] == ["sparse_linear"]
    assert recommender.builder == "sparse_linear"


def test_where_nobody_can_be_held_out_it_is_edlae() -> None:
    recommender = fitted(planted(people=20))
    assert recommender.builder == "edlae"
    assert "tried" not in recommender.facts


class Interrupting(NoProgress):
    """Ctrl-C at the third epoch of a network."""

    def __init__(self) -> None:
        self.epochs = 0

    def epoch(self, record: Record) -> None:
        self.epochs += record["phase"] != "solve"
        if self.epochs == 3:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.slow
def test_interrupted_it_keeps_the_best_so_far() -> None:
    recommender = fitted(run=replace(RUN, progress=Interrupting()))
    assert recommender.history.interrupted
    tried = recommender.facts["tried"]
    assert tried[-1]["model"] == "mult_vae"
    assert tried[-1]["note"] == "interrupted"
    assert tried[-1]["epochs"] == 3
    assert recommender.history.best_score == max(line["ndcg@5"] for line in tried)
    assert recommender.facts["fitted_on_everybody"] == []


def test_mistakes(subtests: pytest.Subtests) -> None:
    for options, said in [
        ({"epochs": 3}, "epochs"),
        ({"time_limit": 0.0}, "time_limit"),
        ({"time_limit": -1.0}, "time_limit"),
        ({"metric": "ndcg"}, "metric"),
        ({"validation": 0.7}, "validation"),
    ]:
        with subtests.test(options=options, said=said), pytest.raises(SettingError, match=said):
            fitted(**options)


def test_large_catalogues_get_the_sparse_form(monkeypatch: pytest.MonkeyPatch) -> None:
    assert dense_fits(1_000, 60.0)
    assert not dense_fits(60_000, 1e9)
    assert not dense_fits(20_000, 10.0)
    monkeypatch.setattr(candidates, "available_bytes", lambda: 1 << 30)
    assert dense_fits(5_000, 600.0)
    assert not dense_fits(7_000, 600.0)


def test_networks_are_those_that_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Interactions.from_csr(csr_array((60, 100_000), dtype=np.float32))
    monkeypatch.setattr(candidates, "available_bytes", lambda: 16 << 30)
    assert [name for name, _ in networks(data)] == ["elsa", "mult_vae", "rec_vae"]
    monkeypatch.setattr(candidates, "available_bytes", lambda: 3 << 29)
    assert [name for name, _ in networks(data)] == ["elsa"]
    monkeypatch.setattr(candidates, "available_bytes", lambda: 1 << 20)
    assert networks(data) == []


def test_neighbours_change_one_setting_at_a_time() -> None:
    here = LinearSettings(200.0, 0.5, 0.0)
    for point in neighbouring_settings(here):
        changed = [a != b for a, b in zip(vars(point).values(), vars(here).values(), strict=True)]
        assert sum(changed) <= 1
    assert LinearSettings(500.0, 0.5, 0.0) in set(neighbouring_settings(here))


def test_it_begins_at_the_scale_of_the_data() -> None:
    data = planted()
    assert initial_settings(data) == LinearSettings(float(round(2 * data.nnz / len(data.items))), 0.5, 0.0)


@pytest.mark.slow
def test_devices_and_seeds_reach_the_candidates() -> None:
    one, other = fitted(run=Run(device="cpu", precision="fp32", seed=1)), fitted()
    assert one.facts["seed"] == 1
    assert torch.is_tensor(next(iter(one.model.state_dict().values())))
    assert one.facts["tried"] != other.facts["tried"]

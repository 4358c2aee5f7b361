"""``auto``: paired differences, honest scores, the time limit on a pretend clock, given folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from planted import RUN, one_thread, planted
from scipy.sparse import csr_array, vstack

from isthmus import plugins
from isthmus.batch import Bag
from isthmus.core.rankers import Blend
from isthmus.models.blend import weigh
from isthmus.models.linear import ClosedFormRecipe
from isthmus.models.low_pass import LowPassRecipe
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.models.sparse_linear import ColumnwiseRecipe
from isthmus.sources import BagSource
from isthmus.training.history import History
from isthmus_interactions import Recommender
from isthmus_interactions.auto import auto, candidates, promises, score_tables, search
from isthmus_interactions.auto.budget import Budget
from isthmus_interactions.auto.candidate import Candidate
from isthmus_interactions.auto.in_turn import asked_in_turn
from isthmus_interactions.auto.judge import Judge, expected_score, leads
from isthmus_interactions.auto.score_tables import ScoreTables
from isthmus_interactions.everybody.data import joined
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.holdout import hold_out
from isthmus_interactions.splits import FoldIn, strong, weak

SMALL = [("mult_dae", {"code": 8, "epochs": 4, "batch_size": 16, "learning_rate": 0.01})]


@pytest.fixture(autouse=True)
def small_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "networks", lambda data, ordered=False: SMALL)


# --- differences and scores -------------------------------------------------------------------------------------------


def test_a_lead_is_more_than_a_standard_error_of_paired_differences() -> None:
    draws = np.random.default_rng(0)
    users = draws.normal(size=50)  # users differ far more than models do
    assert leads((users + 0.05 + draws.normal(0, 0.01, 50)) - users)
    assert not leads(np.zeros(50))
    assert not leads(np.r_[1.0, np.zeros(49)] - 0.01)
    assert not leads(np.array([1.0]))


def test_the_best_of_many_equal_candidates_is_not_expected_to_be_better() -> None:
    candidates = list(np.random.default_rng(1).normal(size=(40, 30)))
    best = max(values.mean() for values in candidates)
    found = expected_score(candidates, seed=0)
    assert best > 0.3
    assert found is not None
    assert abs(found) < best / 2


def test_a_single_candidate_is_expected_to_score_as_it_did() -> None:
    values = np.random.default_rng(2).random(200)
    assert expected_score([values], seed=0) == pytest.approx(values.mean(), abs=0.01)
    weights = np.arange(200.0)
    weighed = expected_score([values], seed=0, weights=weights)
    assert weighed == pytest.approx(np.average(values, weights=weights), abs=0.01)
    assert expected_score([], seed=0) is None
    assert expected_score([values[:1]], seed=0) is None


def test_users_who_are_asked_several_times_count_once() -> None:
    rows = [[1, 0, 0]] * 4, [[0, 1, 0]] * 3 + [[0] * 3]
    history, held_out = (csr_array(np.array(one, np.float32)) for one in rows)
    judge = Judge(FoldIn(history, held_out, ["a", "b", "a", "c"]), "ndcg@5")
    assert judge.by_user(np.array([1.0, 0.5, 0.0])).tolist() == [0.5, 0.5]
    assert judge.rows_by_user(np.array([1.0, 0.5, 0.0])).tolist() == [2, 1]
    assert judge.by_user(judge.of_all(np.array([0.25]), np.array([1]))).tolist() == [0.25]


def test_few_users_are_asked_for_every_part_of_their_items() -> None:
    held = hold_out(planted(), 0.2, 0)
    assert held.fold is not None
    asked = asked_in_turn(held.fold, held.train.matrix, seed=0)
    whole = (held.fold.history + held.fold.held_out).toarray()
    for place, user in enumerate(held.fold.users):
        rows = [row for row, id_ in enumerate(asked.users) if id_ == user]
        assert len(rows) == min(5, int(whole[place].sum()))
        hidden, history = asked.held_out[rows].toarray(), asked.history[rows].toarray()
        np.testing.assert_array_equal(hidden.sum(0), whole[place])
        np.testing.assert_array_equal(history + hidden, np.tile(whole[place], (len(rows), 1)))


def test_many_users_are_asked_once() -> None:
    held = hold_out(planted(), 0.2, 0)
    assert held.fold is not None
    history, held_out = (csr_array(vstack([one] * 20)) for one in (held.fold.history, held.fold.held_out))
    many = FoldIn(history, held_out, held.fold.users * 20)
    assert asked_in_turn(many, held.train.matrix, seed=0) is many


def test_known_scores_give_the_values_of_the_blend_itself() -> None:
    held = hold_out(planted(), 0.2, 0)
    assert held.fold is not None
    parts = [Recommender.fit(held.train, name, validation=0.0, run=RUN).model for name in ("ease", "item-knn")]
    model, judge = Blend(parts), Judge(held.fold, "ndcg@5")
    tables = ScoreTables(model, held.fold, "ndcg@5")
    for weights, exponents in ([1.0, 0.0], [0.0, 0.0]), ([0.3, 2.0], [0.5, 0.25]):
        model.weigh(weights, exponents)
        judge.score(model)
        np.testing.assert_allclose(tables.values(model, np.ones(len(tables.rows), bool)), judge.latest, atol=1e-9)


@pytest.mark.parametrize("metric", ["ndcg@5", "recall@5"])
def test_of_a_wide_catalogue_the_best_of_each_part_give_the_values_of_the_blend(
    metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_tables, "DEPTH", 60)
    draws = np.random.default_rng(0)
    dense = (draws.random((260, 300)) < 0.08).astype(np.float32)
    train, asked = csr_array(dense[:200]), dense[200:]
    hidden = asked * (draws.random(asked.shape) < 0.4)
    fold = FoldIn(csr_array(asked - hidden), csr_array(hidden), list(range(60)))
    data = Interactions.from_csr(train, users=np.arange(1000, 1200), items=np.arange(300))
    parts = [Recommender.fit(data, name, validation=0.0, run=RUN).model for name in ("ease", "popularity")]
    model, judge = Blend(parts), Judge(fold, metric)
    tables = ScoreTables(model, fold, metric, cells=1 << 13)
    # Some held-out items are among nobody's best, and count all the same.
    assert 120 < tables.items < 300
    assert len(tables.rows) == 60
    for weights, exponents in ([1.0, 0.0], [0.0, 0.0]), ([0.3, 2.0], [0.5, 0.25]), ([0.0, 1.0], [0.0, 0.0]):
        model.weigh(weights, exponents)
        judge.score(model)
        np.testing.assert_allclose(tables.values(model, np.ones(60, bool)), judge.latest, atol=1e-9)
    # What parts gave was not written to.
    judge.score(parts[1])
    np.testing.assert_allclose(tables.values(model, np.ones(60, bool)), judge.latest, atol=1e-9)


def test_of_many_users_evenly_spaced_ones_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_tables, "FEWEST", 2)
    held = hold_out(planted(), 0.2, 0)
    assert held.fold is not None
    parts = [Recommender.fit(held.train, name, validation=0.0, run=RUN).model for name in ("ease", "item-knn")]
    few = ScoreTables(Blend(parts), held.fold, "ndcg@5", cells=5 * held.fold.history.shape[1])
    assert len(few.rows) == 5
    assert few.rows[[0, -1]].tolist() == [0, len(held.fold) - 1]
    assert few.items == held.fold.history.shape[1]


def test_a_choice_of_weights_ends_when_time_is_up() -> None:
    held = hold_out(planted(), 0.2, 0)
    assert held.fold is not None
    parts = [Recommender.fit(held.train, name, validation=0.0, run=RUN).model for name in ("ease", "item-knn")]
    model, source = Blend(parts), BagSource.from_csr(held.train.matrix)
    weigh(model, ["ease", "item_knn"], source, Judge(held.fold, "ndcg@5").validation, 1, lambda: True)
    assert sum(weight > 0 for weight in model.weights.tolist()) == 1


# --- linear models ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("better", "other"), [("rdlae", "sparse_linear"), ("sparse_linear", "rdlae")])
def test_the_search_goes_on_with_the_better_kind_of_linear_model(
    better: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = hold_out(planted(), 0.2, 0)
    assert held.fold is not None

    def pretended(self: search.ModelSearch, name: str, settings: Mapping[str, Any], seconds: float | None) -> None:
        score = (name == better) + settings["length_power"]
        self.tried.append(Candidate(name, settings, None, History(metric="ndcg@5"), score, 1.0))

    monkeypatch.setattr(search.ModelSearch, "_try", pretended)
    found = search.ModelSearch(held.train, Judge(held.fold, "ndcg@5"), RUN, Budget(600.0))
    found._linear()
    names = [tried.name for tried in found.tried]
    assert names[:2] == ["rdlae", "sparse_linear"]
    assert set(names[2:-1]) == {better}
    assert len(names) > 5
    # The other kind once more, with the settings that were best.
    assert (names[-1], found.tried[-1].settings["length_power"]) == (other, 0.5)


def test_learning_rates_that_fall_to_0_fall_to_their_end() -> None:
    data, falling = planted(), []
    for name, settings in candidates.networks(data):
        _, builder = plugins.find_builder(name, "interactions")
        plan = builder(Bag(len(data.items)), generator=torch.Generator(), **settings).plan
        falling += [name] if plan.decay == "cosine" else []
        assert plan.decay != "cosine" or plan.patience is None
    assert falling == ["elsa"]


def test_in_wide_catalogues_a_factorisation_is_tried_and_fitted_on_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("implicit")
    here = torch.device("cpu")
    assert candidates.factorisations(planted(), 60.0, here) == []
    monkeypatch.setattr(candidates, "LARGEST", 10)
    assert len(candidates.factorisations(planted(), 60.0, here)) == 1
    assert candidates.factorisations(planted(), 60.0, torch.device("mps")) == []
    for kind in ("_linear", "_filters"):
        monkeypatch.setattr(search.ModelSearch, kind, lambda self: None)
    monkeypatch.setattr(search, "networks", lambda data, ordered=False: [])
    made = Recommender.fit(planted(), "auto", run=RUN, metric="ndcg@5")
    assert [(line["model"], line["epochs"]) for line in made.facts["tried"]] == [("als", 15)]
    assert (made.builder, made.facts["fitted_on_everybody"]) == ("als", ["als"])
    named = Recommender.fit(planted(), "als", validation=0.0, run=RUN, **made.settings)
    assert made.recommend([[0, 10]]) == named.recommend([[0, 10]])
    monkeypatch.setattr(candidates, "find_spec", lambda name: None)
    assert candidates.factorisations(planted(), 60.0, here) == []


# --- time -------------------------------------------------------------------------------------------------------------


@dataclass
class Clock:
    """A pretend clock that only fits advance."""

    time: float = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """``auto`` looks at this clock."""
    clock = Clock()
    monkeypatch.setattr(auto, "Budget", lambda seconds: Budget(seconds, clock))
    return clock


def slow(monkeypatch: pytest.MonkeyPatch, clock: Clock, kind: Any, seconds: float, rows: int) -> None:
    """Fits of a kind take so many seconds for so many rows; networks keep their time limit."""
    real = kind.fit

    def fit(self: Any, source: Any, run: Any, validation: Any = None) -> Any:
        history = real(self, source, replace(run, time_limit=None), validation)
        epochs = len(history.records)
        spent = seconds * len(source) / rows * (epochs / 4 if kind is GradientRecipe else 1)
        spent = spent if run.time_limit is None else min(spent, run.time_limit)
        clock.time += spent
        for record in history.records:
            record["seconds"] = spent / epochs
        return history

    monkeypatch.setattr(kind, "fit", fit)


@pytest.mark.slow
@pytest.mark.parametrize(("linear", "network"), [(1.0, 4.0), (2.0, 60.0), (20.0, 8.0), (30.0, 1e4)])
def test_the_limit_is_kept_and_the_final_fit_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, linear: float, network: float
) -> None:
    data = planted()
    for kind in (ClosedFormRecipe, ColumnwiseRecipe, LowPassRecipe):
        slow(monkeypatch, clock, kind, linear, len(data))
    slow(monkeypatch, clock, GradientRecipe, network, len(data))
    with one_thread():
        made = Recommender.fit(data, run=replace(RUN, time_limit=100.0), metric="ndcg@5")
    assert made.facts["seconds_in_all"] <= 105.0
    parts = [part["model"] for part in made.settings["parts"]] if made.builder == "blend" else [made.builder]
    assert set(made.facts["fitted_on_everybody"]) >= set(parts) - {"mult_dae"}
    # Networks do not take the time for weighing a blend.
    assert linear > 2 or "blend" in {line["model"] for line in made.facts["tried"]}


def test_a_network_without_time_for_its_first_epochs_is_not_begun(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    data = planted()
    slow(monkeypatch, clock, GradientRecipe, 400.0, len(data))
    with one_thread():
        made = Recommender.fit(data, run=replace(RUN, time_limit=500.0), metric="ndcg@5")
    (line,) = [line for line in made.facts["tried"] if line["model"] == "mult_dae"]
    assert line["ndcg@5"] is None
    assert "3 epochs take about 270 s" in line["note"]


def test_networks_that_cannot_use_their_share_of_the_time_leave_it_to_the_others() -> None:
    assert promises.share(90.0, [1.0, 5.0, 10.0]) == 30.0
    # Three epochs of 20 seconds do not fit into a third of the time, and not into a half once the first is done.
    assert promises.share(90.0, [1.0, 5.0, 20.0]) == 45.0
    assert promises.share(45.0, [5.0, 20.0]) == 45.0
    assert promises.share(45.0, [40.0]) == 45.0
    assert promises.share(45.0, []) == 45.0


@pytest.mark.parametrize(("epoch", "seconds", "epochs"), [(1.0, 100.0, 20), (5.0, 100.0, 17), (60.0, 100.0, 3)])
def test_a_falling_learning_rate_falls_within_the_time(epoch: float, seconds: float, epochs: int) -> None:
    falling, level = {"decay": "cosine", "epochs": 20}, {"epochs": 20}
    assert {**falling, **promises.planned({}, falling, epoch, seconds)}["epochs"] == epochs
    assert promises.planned({"code": 8}, level, epoch, seconds) == {"code": 8}


def test_elsa_is_given_the_epochs_that_fit(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    data = planted()
    monkeypatch.setattr(search, "networks", lambda data, ordered=False: [("elsa", {"batch_size": 32})])
    # Five seconds an epoch of all users: twenty epochs do not fit.
    slow(monkeypatch, clock, GradientRecipe, 20.0, len(data))
    with one_thread():
        made = Recommender.fit(data, run=replace(RUN, time_limit=120.0), metric="ndcg@5")
    (line,) = [line for line in made.facts["tried"] if line["model"] == "elsa"]
    assert 3 < line["settings"]["epochs"] < 20
    assert (line["epochs"], line["note"]) == (line["settings"]["epochs"], "")


# --- what is told, and given folds ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_is_expected_on_others_is_told_beside_the_best_score() -> None:
    with one_thread():
        made = Recommender.fit(planted(), run=RUN, metric="ndcg@5")
    expected = made.facts["expected"]
    assert 0 < expected["score"] <= expected["chosen_with"]
    assert expected["chosen_with"] == max(
        line["ndcg@5"] for line in made.facts["tried"] if line["ndcg@5"] is not None and "no better" not in line["note"]
    )
    assert expected["users"] == made.facts["validation_users"]


def test_a_given_fold_chooses_and_is_then_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "networks", lambda data, ordered=False: [])
    monkeypatch.setattr(search.ModelSearch, "_filters", lambda self: None)
    monkeypatch.setattr(search.ModelSearch, "_blend", lambda self: None)
    split = strong(planted(), held_out=15, min_items=4)
    assert split.validation is not None
    with one_thread():
        made = Recommender.fit(split.train, validation=split.validation, run=RUN, metric="ndcg@5")
    assert made.facts["fitted_on_everybody"] == [made.builder]
    assert made.facts["validation_users"] == len(split.validation)
    both = Interactions.from_csr(joined(split.train, split.validation))
    named = Recommender.fit(both, made.builder, validation=0.0, run=RUN, **made.settings)
    torch.testing.assert_close(named.model.state_dict(), made.model.state_dict())


def test_rows_of_a_fold_replace_those_that_they_contain() -> None:
    data = planted()
    split = weak(data, test=0.2, validation=0.2, seed=1)
    assert split.validation is not None
    both = joined(split.train, split.validation)
    assert both.shape == split.train.matrix.shape
    assert both.nnz == split.train.nnz + split.validation.held_out.nnz
    other = strong(data, held_out=15, min_items=4)
    assert other.validation is not None
    assert joined(other.train, other.validation).shape[0] == len(other.train) + len(other.validation)

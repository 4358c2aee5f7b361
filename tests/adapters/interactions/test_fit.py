"""Fitting: who trains, what is checked before anything long begins, and the smallest data."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from planted import RUN, SMALL, planted, trained
from scipy.sparse import csr_array

from isthmus.errors import InputError, SettingError
from isthmus.training.progress import NoProgress
from isthmus.training.run import Run
from isthmus_interactions import Interactions, Recommender
from isthmus_interactions import fit as module
from isthmus_interactions.splits import FoldIn, strong

BUILDERS = ("mult_vae", "mult_dae", "ease")
SHORT = {name: {**settings, **({"epochs": 2} if "epochs" in settings else {})} for name, settings in SMALL.items()}


def short(model: str, data: Interactions, **options: Any) -> Recommender:
    return trained(model, data, **{**SHORT[model], **options})


def test_a_share_of_the_people_chooses_the_best_epoch(subtests: pytest.Subtests) -> None:
    for model in BUILDERS:
        with subtests.test(model=model):
            recommender = short(model, planted(), validation=0.1)
            facts, history = recommender.facts, recommender.history
            assert (facts["users"], facts["items"], facts["validation_users"]) == (90, 24, 9)
            assert history.metric == "ndcg@100"
            assert history.best_epoch in (1, 2)
            assert 0 < history.best_score <= 1
            assert len(recommender.adapter.users) == 90, "who is held out can still be asked about"


def test_who_validates_does_not_train() -> None:
    data = planted()
    train, fold = module.hold_out_users(data, 0.2, 3)
    assert fold is not None
    assert set(fold.users).isdisjoint(train.users.ids.tolist())
    assert len(fold) + len(train) == 90
    assert train.items == data.items
    whole = data.matrix[data.users.rows(fold.users)]
    np.testing.assert_array_equal((fold.history + fold.held_out).toarray(), whole.toarray())
    again = module.hold_out_users(data, 0.2, 3)[1]
    assert again is not None
    assert again.users == fold.users


def test_a_fold_of_the_callers() -> None:
    split = strong(planted(), held_out=15, seed=2)
    recommender = short("mult_dae", split.train, validation=split.validation, metric="recall@5")
    assert recommender.facts["validation_users"] == len(split.validation)
    assert recommender.history.metric == "recall@5"
    narrow = FoldIn(split.test.history[:, :3], split.test.held_out[:, :3], split.test.users)
    with pytest.raises(SettingError, match="3 items"):
        short("ease", split.train, validation=narrow)


@pytest.mark.parametrize("people", [1, 2, 49])
def test_few_people_train_to_the_last_epoch(people: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    recommender = short("mult_vae", planted(people), validation=0.1)
    assert recommender.facts["validation_users"] == 0
    assert recommender.history.best_epoch is None
    assert len(recommender.history.records) == 2
    assert "last epoch" in caplog.text


def test_people_with_few_items_hold_nobody_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    data = Interactions.from_csr(csr_array(np.eye(60, 20, dtype=np.float32) + np.eye(60, 20, -20, dtype=np.float32)))
    assert short("ease", data, validation=0.1).facts["validation_users"] == 0
    assert "0 of them with 2 items or more" in caplog.text


@pytest.mark.parametrize("seed", range(20))
def test_short_histories_hold_out_what_they_can(seed: int) -> None:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 4, 200)
    users = np.repeat(np.arange(200), lengths)
    data = Interactions.read((users, generator.integers(0, 30, len(users))))
    train, fold = module.hold_out_users(data, 0.1, seed)
    assert fold is not None
    assert len(fold) >= 10
    assert train.items == data.items
    assert (np.diff(fold.history.indptr) >= 1).all()
    trained = np.bincount(train.matrix.indices, minlength=len(data.items)) > 0
    assert trained[fold.held_out.indices].all(), "what is asked for can be answered"


@pytest.mark.parametrize("model", ["auto", "blend"])
def test_data_too_small_to_hold_anybody_out_are_trained_on(model: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    settings = {"parts": ["ease", "item_knn"]} if model == "blend" else {}
    for users, items in (([1], [1]), ([1, 2], [5, 6]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [1, 1, 1])):
        recommender = Recommender.fit((users, items), model, progress=False, **settings)
        assert recommender.recommend([[items[0]]], k=3)[0].unknown == []
    assert "held out" in caplog.text


def test_nobody_is_held_out_when_not_wanted() -> None:
    assert short("ease", planted(), validation=0.0).facts["validation_users"] == 0
    assert short("ease", planted(), validation=0.0).history.metric is None


def test_the_smallest_data(subtests: pytest.Subtests) -> None:
    for model in BUILDERS:
        with subtests.test(model=model):
            one_user = short(model, Interactions.read(pa.table({"user": ["a"] * 3, "item": ["x", "y", "z"]})))
            assert set(one_user.recommend([["x"]])[0].ids) == {"y", "z"}
            assert one_user.recommend_users(["a"])[0].ids == []
            assert one_user.similar_users([["x"]])[0].ids == ["a"]
            one_item = short(model, Interactions.read(pa.table({"user": ["a", "b"], "item": [7, 7]})))
            assert one_item.recommend([[7]])[0].ids == []
            assert one_item.recommend([[]])[0].ids == [7]
            assert one_item.similar_items([7])[0].ids == []
            assert one_item.explain([7], 7).ids == [7]


def test_an_item_that_nobody_touched_has_its_place(subtests: pytest.Subtests) -> None:
    for model in BUILDERS:
        with subtests.test(model=model):
            matrix = csr_array(np.hstack([planted(12).matrix.toarray(), np.zeros((12, 1), np.float32)]))
            recommender = short(model, Interactions.from_csr(matrix, items=[f"i{i}" for i in range(25)]))
            assert len(recommender.recommend([["i0"]], 100)[0]) == 24
            assert recommender.recommend([["i24"]], 3)[0].popular is False
            assert recommender.popularity.shares[24] == 0


def test_somebody_without_items_gets_what_is_popular() -> None:
    matrix = csr_array(np.vstack([planted(12).matrix.toarray(), np.zeros((1, 24), np.float32)]))
    recommender = short("mult_vae", Interactions.from_csr(matrix))
    assert recommender.recommend_users([12, 0], 3)[0].popular
    assert recommender.recommend_users([12], 3)[0].ids == recommender.recommend([[]], 3)[0].ids


def test_the_source_may_be_a_table() -> None:
    table = pa.table({"user": ["a", "b", "a"], "item": [1, 2, 2], "rating": [5.0, 4.0, 1.0]})
    recommender = Recommender.fit(table, "ease", run=RUN)
    assert recommender.facts["interactions"] == 2
    assert recommender.facts["keep"] == ">=4"


class Watching(NoProgress):
    """Counts the steps of a training."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def step(self, rows: int, loss: float) -> None:
        self.steps.append(rows)


def test_mistakes_are_told_before_anything_is_trained(subtests: pytest.Subtests) -> None:
    for options, said in [
        ({"model": "nobody"}, "no model 'nobody'"),
        ({"model": "mult-va"}, "did you mean 'mult-vae'"),
        ({"kode": 3}, "did you mean 'code'"),
        ({"signal": 3}, "no setting 'signal'"),
        ({"generator": 3}, "no setting 'generator'"),
        ({"code": "many"}, "a whole number"),
        ({"code": 2.5}, "a whole number"),
        ({"code": True}, "a whole number"),
        ({"code": 0}, "code=0"),
        ({"code": 10**13}, "cannot be built"),
        ({"code": 10**30}, "a whole number"),
        ({"dropout": float("nan")}, "a finite number"),
        ({"dropout": None}, "a finite number"),
        ({"dropout": 1.0}, "dropout"),
        ({"patience": "x"}, "a whole number or null"),
        ({"patience": 0}, "patience"),
        ({"weight_decay": -1.0}, "weight decay"),
        ({"learning_rate": 0}, "learning rate"),
        ({"metric": "ndcg"}, "metric 'ndcg'"),
        ({"validation": 0.5}, "validation"),
        ({"validation": -0.1}, "validation"),
        ({"model": "ease", "regularisation": -1}, "regularisation"),
        ({"model": "ease", "epochs": 3}, "no setting 'epochs'"),
    ]:
        with subtests.test(options=options, said=said):
            watching = Watching()
            run = Run(device="cpu", precision="fp32", progress=watching)
            with pytest.raises(SettingError) as caught:
                Recommender.fit(planted(), **{"model": "mult-vae", "run": run, **options})
            assert said in str(caught.value)
            assert watching.steps == []


def test_numpy_numbers_are_settings(tmp_path: Any) -> None:
    recommender = short("mult_dae", planted(), code=np.int64(4), learning_rate=np.float32(0.5))
    recommender.save(tmp_path / "b")
    assert Recommender.load(tmp_path / "b").settings["code"] == 4


def test_any_seed_is_a_seed() -> None:
    for seed in (2**31, 2**64 - 1):
        run = Run(device="cpu", precision="fp32", seed=seed)
        assert short("mult_dae", planted(), validation=0.1, run=run).facts["seed"] == seed
    for seed in (-1, 2**64):
        with pytest.raises(SettingError, match="seed"):
            Run(device="cpu", precision="fp32", seed=seed)


def test_the_same_seed_gives_the_same_model() -> None:
    one, two = (short("mult_vae", planted(), validation=0.1) for _ in range(2))
    assert one.recommend([[0, 10]]) == two.recommend([[0, 10]])
    other = short("mult_vae", planted(), validation=0.1, run=Run(device="cpu", precision="fp32", seed=1))
    assert other.recommend([[0, 10]]) != one.recommend([[0, 10]])


def test_nothing_to_read_is_an_input_error() -> None:
    with pytest.raises(InputError):
        Recommender.fit("no-such-file.csv")


def test_a_closed_form_is_measured_on_some_and_solved_for_everybody() -> None:
    scored, whole = (short("ease", planted(), validation=share) for share in (0.2, 0.0))
    assert scored.facts["validation_users"] == 18
    assert scored.history.best_score is not None
    assert torch.equal(scored.model.weights, whole.model.weights)

"""The blend follows whoever is right: planted data that only a network, a linear model, or both can answer."""

from __future__ import annotations

import inspect
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from isthmus.batch import Bag, Bags
from isthmus.core.linear.dense import LinearAutoencoder
from isthmus.core.rankers import Blend, ranker_of
from isthmus.errors import SettingError
from isthmus.models import blend, mult_dae, rec_vae
from isthmus.models.blend import weigh
from isthmus.models.recipes.settings import checked
from isthmus.sources import BagSource
from isthmus.training.progress import NoProgress
from isthmus.training.run import Run
from isthmus_interactions import Recommender
from isthmus_interactions.fit import fit, validation_score
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.splits import FoldIn

Dense = npt.NDArray[np.float32]
Part = tuple[Dense, Dense]
"""What is known and what is wanted of each person."""

# It learns nothing for many epochs, and then all at once: nothing for early stopping.
LATE = {"epochs": 40, "batch_size": 100, "learning_rate": 0.005, "patience": None}
DEEP = {"model": "mult-dae", "settings": {"code": 64, **LATE}}
NARROW = {"model": "mult-dae", "settings": {"code": 8, "epochs": 10, "batch_size": 100, "learning_rate": 0.005}}
LINEAR = {"model": "edlae", "settings": {"regularisation": 10.0}}


def either_or(people: int, rng: np.random.Generator, each: int = 8) -> Part:
    """Two traits, shown by items of two groups each; wanted are items of group 4 + (first XOR second): no sum of item
    weights ranks them."""
    first, second = rng.integers(2, size=people), rng.integers(2, size=people)
    known = np.zeros((people, 6 * each), np.float32)
    wanted = known.copy()
    for person in range(people):
        for group, row in ((first, known), (2 + second, known), (4 + (first ^ second), wanted)):
            row[person, group[person] * each + rng.choice(each, 4, replace=False)] = 1
    return known, wanted


def twins(people: int, rng: np.random.Generator, pairs: int = 150) -> Part:
    """Whoever has an item wants its twin: as many directions as pairs, which no narrow code holds."""
    known = np.zeros((people, 2 * pairs), np.float32)
    wanted = known.copy()
    for person in range(people):
        chosen, side = rng.choice(pairs, 6, replace=False), rng.integers(2, size=6)
        known[person, 2 * chosen + side], wanted[person, 2 * chosen + 1 - side] = 1, 1
    return known, wanted


def fitted(make: Any, deep: dict[str, Any]) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    (known, wanted), (asked_known, asked_wanted) = make(800, rng), make(200, rng)
    data = Interactions.from_csr(csr_array(known + wanted))
    fold = FoldIn(csr_array(asked_known), csr_array(asked_wanted), list(range(200)))
    made: FittedRecommender = fit(data, "blend", fold, "ndcg@10", Run(), {"parts": [deep, LINEAR]})
    record: dict[str, Any] = made.facts["training"]["records"][-1]
    return record


@pytest.mark.slow
def test_it_follows_the_network_where_only_a_network_can_answer() -> None:
    found = fitted(either_or, DEEP)
    assert found["mult_dae alone"] > 2 * found["edlae alone"]
    assert found["ndcg@10"] >= found["mult_dae alone"]
    assert found["share of mult_dae"] > 0.5


@pytest.mark.slow
def test_it_follows_the_linear_model_where_only_that_can_answer_and_says_that_the_other_has_no_share() -> None:
    found = fitted(twins, NARROW)
    assert found["edlae alone"] > 0.99
    assert found["edlae alone"] > 2 * found["mult_dae alone"]
    assert found["ndcg@10"] == found["edlae alone"]
    assert (found["share of mult_dae"], found["share of edlae"]) == (0.0, 1.0)


def test_it_is_ahead_of_both_where_each_knows_a_half() -> None:
    known, wanted = twins(300, np.random.default_rng(3), pairs=20)
    pairs, half = torch.from_numpy(known + wanted), torch.arange(40) < 20
    cooccurring = (pairs.T @ pairs).fill_diagonal_(0.0)
    # What one does not know it guesses, on a larger scale than that of the other.
    guessed = torch.rand(2, 40, 40, generator=torch.Generator().manual_seed(0))
    model = Blend(
        [linear(torch.where(half, cooccurring, guessed[0])), linear(7 * torch.where(half, guessed[1], cooccurring))]
    )
    fold = FoldIn(csr_array(known), csr_array(wanted), list(range(300)))
    record = weigh(model, ["left", "right"], BagSource.from_csr(csr_array(known)), validation_score(fold, "ndcg@10"), 1)
    assert float(record["ndcg@10"]) > 1.05 * max(float(record["left alone"]), float(record["right alone"]))
    assert min(float(record["share of left"]), float(record["share of right"])) > 0.1
    torch.testing.assert_close(model.weights, model.weights.clamp(min=1e-6))


def linear(weights: Tensor) -> LinearAutoencoder:
    model = LinearAutoencoder(len(weights))
    model.weights.copy_(weights)
    return model


def bags(dense: Tensor) -> Bags:
    bagged = BagSource.from_csr(csr_array(dense.numpy())).batch(torch.arange(len(dense))).inputs
    assert isinstance(bagged, Bags)
    return bagged


def test_scores_are_the_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 7, 7, generator=generator)
    rows = torch.tensor([[1.0, 0, 1, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0]])
    model = Blend([linear(first), linear(second)])
    model.weigh([0.5, 2.0], [0.0, 0.5])
    lengths = torch.tensor([3.0, 1, 1])[:, None]
    wanted = 0.5 * rows @ first + 2.0 * rows @ second / lengths**0.5
    state = model.prepare(bags(rows))
    torch.testing.assert_close(model.scores(state), wanted)
    torch.testing.assert_close(model.scores(state, torch.tensor([4, 1])), wanted[:, [4, 1]])


class Unaskable(LinearAutoencoder):
    """A part that must not be asked."""

    def prepare(self, inputs: Bags) -> Bags:
        raise AssertionError("asked")


def test_a_part_without_weight_is_not_asked() -> None:
    model = Blend([linear(torch.eye(3)), Unaskable(3)])
    model.weigh([1.0, 0.0], [0.0, 0.0])
    rows = torch.tensor([[1.0, 0, 0]])
    torch.testing.assert_close(model.scores(model.prepare(bags(rows))), rows)


def test_errors() -> None:
    with pytest.raises(SettingError, match="same columns"):
        Blend([])
    with pytest.raises(SettingError, match="same columns"):
        Blend([LinearAutoencoder(3), LinearAutoencoder(4)])
    with pytest.raises(SettingError, match="cannot rank"):
        Blend([nn.Linear(2, 2)])
    untouched = Blend([LinearAutoencoder(3)])
    with pytest.raises(SettingError, match="all 0"):
        untouched.scores(untouched.prepare(bags(torch.ones(1, 3))))
    generator = torch.Generator()
    for parts in ([{"settings": {}}], [{"model": "edlae", "settings": [1]}], [7], [{"model": 3}], []):
        with pytest.raises(SettingError):
            blend(Bag(5), generator=generator, parts=parts)
    with pytest.raises(SettingError, match="no model"):
        blend(Bag(5), generator=generator, parts=[{"model": "nonesuch"}])
    with pytest.raises(SettingError, match="nonesuch"):
        blend(Bag(5), generator=generator, parts=[{"model": "edlae", "settings": {"nonesuch": 1}}])


def test_without_users_held_out_all_parts_weigh_the_same_and_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    data = Interactions.from_csr(csr_array(np.ones((60, 6), np.float32)))
    made = Recommender.fit(data, "blend", validation=0.0, parts=[LINEAR, "item-knn"])
    assert made.model.weights.tolist() == [1.0, 1.0]
    assert "no users are held out" in caplog.text


def test_saved_and_loaded_it_answers_the_same(tmp_path: Path) -> None:
    known, wanted = twins(200, np.random.default_rng(1), pairs=30)
    data = Interactions.from_csr(csr_array(known + wanted))
    small = {"model": "mult_vae", "settings": {"code": 8, "hidden": 16, "epochs": 2}}
    recommender = Recommender.fit(data, "blend", parts=[small, LINEAR, LINEAR])
    recommender.save(tmp_path / "a.bundle")
    again = Recommender.load(tmp_path / "a.bundle")
    assert again.recommend([[3, 8]]) == recommender.recommend([[3, 8]])
    assert again.recommend([[3]], k=1)[0].ids == [2]
    assert again.similar_items([3], k=1)[0].ids == [2]
    assert again.explain([3, 10], 2, k=1).ids == [3]
    assert {"share of edlae", "share of edlae 3"} <= set(recommender.history.records[-1])


@pytest.mark.slow
def test_all_keywords_of_each_part_are_saved(tmp_path: Path) -> None:
    data = Interactions.from_csr(csr_array(twins(200, np.random.default_rng(1), pairs=30)[0]))
    small = {"model": "mult-dae", "settings": {"code": 8, "epochs": 1, "learning_rate": 1}}
    inner = {"model": "blend", "settings": {"parts": ["ease"]}}
    recommender = Recommender.fit(data, "blend", parts=[small, "edlae", {"model": "ease"}, inner])
    deep, *linear = recommender.settings["parts"]
    plain = {"length_power": 0.0, "feature_weight": 0.0}
    assert linear[:2] == [
        {"model": "edlae", "settings": {"regularisation": 400.0, "dropout": 0.5, **plain}},
        {"model": "ease", "settings": {"regularisation": 500.0, **plain}},
    ]
    assert linear[2] == {"model": "blend", "settings": {"parts": [linear[1]]}}
    whole = checked("mult_dae", mult_dae, {"code": 8, "epochs": 1, "learning_rate": 1.0})
    assert deep == {"model": "mult_dae", "settings": whole}
    assert type(deep["settings"]["learning_rate"]) is float
    recommender.save(tmp_path / "b")
    again = Recommender.load(tmp_path / "b")
    assert again.settings == recommender.settings
    assert checked("blend", blend, again.settings) == again.settings
    assert again.recommend([[3, 8]]) == recommender.recommend([[3, 8]])


def test_parts_that_are_left_to_their_defaults_are_saved_too() -> None:
    parts = checked("blend", blend, {})["parts"]
    assert [part["model"] for part in parts] == ["rec_vae", "edlae"]
    assert parts == checked("blend", blend, {"parts": ["rec-vae", "edlae"]})["parts"]
    assert set(parts[0]["settings"]) == set(inspect.signature(rec_vae).parameters) - {"signal", "generator"}


def test_settings_of_parts_are_checked_as_those_of_any_model(subtests: pytest.Subtests) -> None:
    for parts, said in [
        ("edlae", "a list of models"),
        ([{"model": "edlae", "settings": {"droput": 0.1}}], "did you mean 'dropout'"),
        ([{"model": "edlae", "settings": {"dropout": "much"}}], "dropout='much' for edlae"),
        (["nonesuch"], "no model"),
    ]:
        with subtests.test(parts=parts, said=said), pytest.raises(SettingError, match=said):
            checked("blend", blend, {"parts": parts})


def test_solving_again_on_everybody_keeps_the_weights_and_the_network() -> None:
    known, wanted = twins(300, np.random.default_rng(2), pairs=20)
    data = Interactions.from_csr(csr_array(known + wanted))
    source = BagSource.from_csr(data.matrix)
    small = {"model": "mult_dae", "settings": {"code": 8, "epochs": 1}}
    recipe = blend(Bag(len(data.items)), generator=torch.Generator().manual_seed(0), parts=[small, LINEAR])
    recipe.fit(source, Run())
    assert recipe.model.weights.tolist() == [1.0, 1.0]
    recipe.model.weigh([0.25, 1.0], [0.0, 0.0])
    network = [parameter.clone() for parameter in recipe.model.parts[0].parameters()]
    recipe.fit(source, Run())
    assert recipe.model.weights.tolist() == [0.25, 1.0]
    assert all(torch.equal(a, b) for a, b in zip(network, recipe.model.parts[0].parameters(), strict=True))
    ranker = ranker_of(recipe.model.parts[1])
    assert ranker.scores(ranker.prepare(bags(torch.eye(40)[:1]))).argmax() == 1


class Interrupting(NoProgress):
    """Ctrl-C at an epoch of the first part."""

    def __init__(self, at: int) -> None:
        self.left = at

    def step(self, rows: int, loss: float) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_ends_all_parts_and_those_that_were_not_fitted_have_no_weight() -> None:
    known, wanted = twins(100, np.random.default_rng(4), pairs=15)
    data = Interactions.from_csr(csr_array(known + wanted))
    slow = {"model": "mult_dae", "settings": {"code": 4, "epochs": 50, "batch_size": 10}}
    # Nine steps an epoch: in the third one.
    run = Run(device="cpu", precision="fp32", progress=Interrupting(20))
    recommender = Recommender.fit(data, "blend", parts=[slow, LINEAR], run=run, metric="ndcg@5")
    assert recommender.history.interrupted
    assert [record["phase"] for record in recommender.history.records] == ["mult_dae", "blend"]
    assert isinstance(recommender.model, Blend)
    first, second = recommender.model.weights.tolist()
    assert first > 0
    assert second == 0
    early = Run(device="cpu", precision="fp32", progress=Interrupting(1))
    assert Recommender.fit(data, "blend", parts=[slow, LINEAR], run=early).history.records == []

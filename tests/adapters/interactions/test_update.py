"""A recommender takes in new interactions, people and items, and forgets nothing."""

from __future__ import annotations

import logging
import os
import signal
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from planted import GROUPS, ITEMS, RUN, changed, default, one_thread, planted, trained
from scipy.sparse import csr_array

from isthmus import plugins
from isthmus.batch import Bag
from isthmus.core.rankers import Blend
from isthmus.errors import InputError, NonFiniteLossError, SettingError
from isthmus.sources import BagSource
from isthmus.training.progress import NoProgress
from isthmus_interactions import Interactions, Recommender, fit
from isthmus_interactions.splits import hide
from isthmus_interactions.update import blends, update, warm_start
from isthmus_interactions.update.merge_data import merge

MODELS = ("mult_vae", "rec_vae", "ease")
WIDE = 10
"""Items of a group afterwards: the last two are new, with ids from 1000."""


def later(people: int = 90, seed: int = 7, first: int = 5000) -> Interactions:
    """New people of the same groups, who touch old items of their own group and its two new ones."""
    generator = np.random.default_rng(seed)
    ids = [*(10 * i for i in range(GROUPS * ITEMS)), *(1000 + i for i in range(2 * GROUPS))]
    dense = np.zeros((people, len(ids)), np.float32)
    for person in range(people):
        group = person % GROUPS
        own = np.r_[group * ITEMS + np.arange(ITEMS), GROUPS * ITEMS + 2 * group + np.arange(2)]
        dense[person, generator.choice(own, generator.integers(6, WIDE), replace=False)] = 1
    return Interactions.from_csr(csr_array(dense), users=first + np.arange(people), items=ids)


def updated(model: str | Recommender, new: object | None = None, **options: Any) -> Recommender:
    old = default(model) if isinstance(model, str) else model
    with one_thread():
        return old.update(later() if new is None else new, **{"run": RUN, "validation": 0.0, **options})


@pytest.fixture(scope="module", params=MODELS)
def after(request: pytest.FixtureRequest) -> Recommender:
    return updated(request.param, **({} if request.param == "ease" else {"epochs": 6}))


def test_old_ids_keep_their_rows_and_new_ones_follow(after: Recommender) -> None:
    before = default(after.builder)
    assert after.adapter.items.ids[:24].tolist() == before.adapter.items.ids.tolist()
    assert after.adapter.items.ids[24:].tolist() == [1000 + i for i in range(6)]
    assert after.adapter.users.ids[:90].tolist() == before.adapter.users.ids.tolist()
    assert len(after.adapter.users) == 180
    np.testing.assert_array_equal(after.interactions[:90, :24].toarray(), before.interactions.toarray())
    np.testing.assert_array_equal(after.interactions[90:].toarray(), later().matrix.toarray())
    assert (after.facts["users"], after.facts["items"], after.facts["interactions"]) == (
        180,
        30,
        after.interactions.nnz,
    )
    assert after.settings == before.settings


def test_new_items_are_answered_to_people_who_resemble_their_readers(
    subtests: pytest.Subtests, after: Recommender
) -> None:
    for group in range(GROUPS):
        with subtests.test(group=group):
            own = [10 * (group * ITEMS + i) for i in range(ITEMS)]
            (answer,) = after.recommend([own], k=2)
            assert set(answer.ids) == {1000 + 2 * group, 1001 + 2 * group}
            (backwards,) = after.recommend([[1000 + 2 * group, 1001 + 2 * group]], k=4)
            assert set(backwards.ids) <= set(own)


def test_nothing_changes_in_the_old_one(subtests: pytest.Subtests) -> None:
    for model in MODELS:
        with subtests.test(model=model):
            old = default(model)
            state = {name: tensor.clone() for name, tensor in old.model.state_dict().items()}
            told, facts = old.interactions.toarray(), dict(old.facts)
            updated(old, titles={1000: "New"})
            assert all(torch.equal(tensor, state[name]) for name, tensor in old.model.state_dict().items())
            np.testing.assert_array_equal(old.interactions.toarray(), told)
            assert (old.facts, dict(old.titles), len(old.adapter.items)) == (facts, {}, 24)


@pytest.mark.parametrize("model", ["mult_vae", "mult_dae", "rec_vae"])
def test_before_the_first_epoch_old_items_are_scored_as_before(model: str) -> None:
    old, wide = default(model), updated(model, epochs=0)
    histories, items = [[0, 10], [80, 90, 230], [40]], old.adapter.items.ids.tolist()
    np.testing.assert_allclose(wide.score(histories, items), old.score(histories, items), rtol=1e-5, atol=1e-5)
    for one, other in zip(old.recommend(histories, 9), wide.recommend(histories, 9, allow=items), strict=True):
        assert one.ids == other.ids
    assert wide.history.records == []
    assert wide.facts["updates"][0]["how"] == "trained on"
    if model == "rec_vae":
        assert torch.equal(wide.model.prior.encoder.table[:24], old.model.prior.encoder.table)


@pytest.mark.parametrize("validation", [0.0, 0.1])
def test_a_closed_form_is_that_of_everything_at_once(validation: float) -> None:
    after = updated("ease", validation=validation)
    merged = merge(default("ease").fitted, later()).data
    once = trained("ease", merged)
    assert torch.equal(after.model.weights, once.model.weights)
    assert after.facts["updates"][0]["how"] == "fitted anew"
    assert after.facts["validation_users"] == (18 if validation else 0)


@pytest.mark.parametrize("model", ["mult_vae", "rec_vae"])
def test_one_epoch_from_old_weights_is_worth_more_than_one_from_nothing(model: str) -> None:
    test = hide(later(60, seed=70, first=9000), 0.3, np.random.default_rng(1))
    warm = updated(model, epochs=1)
    merged = merge(default(model).fitted, later()).data
    cold = trained(model, merged, epochs=1)
    assert len(warm.history.records) == len(cold.history.records)
    fair = replace(test, history=test.history, held_out=test.held_out)
    (one,), (other,) = (made.evaluate(fair, ["ndcg@5"]).means.values() for made in (warm, cold))
    assert one > other + 0.05


@pytest.mark.slow
def test_epochs_are_a_tenth_at_least_one_or_as_asked() -> None:
    assert len(updated("mult_vae").history.records) == 1
    assert len(updated(trained("mult_vae", epochs=30)).history.records) == 3
    assert len(updated("mult_vae", epochs=2).history.records) == 2
    assert updated("mult_vae", epochs=2).settings["epochs"] == 12


def test_facts_tell_of_every_update() -> None:
    twice = updated(updated("mult_vae", epochs=2, validation=0.1), later(3, 8, 7000))
    one, two = twice.facts["updates"]
    assert (one["users"], one["items"], one["how"], one["epochs"]) == (90, 6, "trained on", 2)
    assert one["interactions"] == later().nnz
    assert one["metric"] == "ndcg@100"
    assert one["score"] >= one["score_before"] > 0
    assert (two["users"], two["items"], two["epochs"], two["score_before"]) == (3, 0, 1, None)
    assert twice.facts["keep"] == default("mult_vae").facts["keep"]
    assert len(twice.history.records) == 1


def test_who_validates_hides_only_what_is_new_and_does_not_train() -> None:
    old = default("mult_vae")
    # Everybody of the old people touches the new items of their group; 60 of the new people come along.
    more = np.zeros((90, 30), np.float32)
    for person in range(90):
        more[person, 24 + 2 * (person % GROUPS) + np.arange(2)] = 1
    known = Interactions.from_csr(csr_array(more), users=1000 + np.arange(90), items=later().items)
    merged = merge(old.fitted, known)
    train, fold = update._hold_out(merged, 0.2, 3)
    assert fold is not None
    assert len(fold) == 18
    assert set(fold.users).isdisjoint(train.users.ids.tolist())
    assert len(train) == 72
    rows = merged.data.users.rows(fold.users)
    np.testing.assert_array_equal((fold.history + fold.held_out).toarray(), merged.data.matrix[rows].toarray())
    assert fold.held_out[:, :24].nnz == 0
    assert (np.diff(fold.held_out.indptr) == 1).all()
    again = update._hold_out(merged, 0.2, 3)[1]
    assert again is not None
    assert again.users == fold.users


def test_a_fifth_of_a_new_persons_items_is_hidden() -> None:
    old = default("mult_vae")
    _, fold = update._hold_out(merge(old.fitted, later()), 0.3, 0)
    assert fold is not None
    assert all(user >= 5000 for user in fold.users)
    sizes = np.diff((fold.history + fold.held_out).indptr)
    np.testing.assert_array_equal(np.diff(fold.held_out.indptr), sizes // 5)


def test_few_people_with_something_new_hold_nobody_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    after = updated("mult_vae", later(40), validation=0.1)
    assert after.facts["validation_users"] == 0
    assert "40 users with new interactions" in caplog.text


def test_the_state_before_the_first_epoch_is_among_those_to_choose_from() -> None:
    """A learning rate that ruins everything: no epoch is better than none."""
    good = trained("mult_vae")
    ruin = changed(good, settings={**good.settings, "learning_rate": 30.0})
    after = updated(ruin, epochs=2, validation=0.2, metric="ndcg@5")
    assert len(after.history.records) == 2
    assert (after.history.best_epoch, after.history.best_score) == (0, after.facts["updates"][0]["score_before"])
    assert max(record["ndcg@5"] for record in after.history.records) <= after.history.best_score
    items = good.adapter.items.ids.tolist()
    np.testing.assert_allclose(after.score([[0, 10]], items), good.score([[0, 10]], items), rtol=1e-5, atol=1e-5)


def test_training_continues_on_everybody_for_as_many_epochs_as_were_best() -> None:
    after = updated("mult_dae", epochs=4, validation=0.2, metric="ndcg@5")
    best = after.history.best_epoch
    assert best
    assert (after.facts["validation_users"], after.facts["fitted_on_everybody"]) == (18, ["mult_dae"])
    once = updated("mult_dae", epochs=best)
    assert torch.equal(after.model.readout.weight, once.model.readout.weight)


def test_what_is_annealed_stays_at_its_end() -> None:
    """β is 0 in the first step of a first training; going on, its rate costs what it did at the end."""
    builder = plugins.find_builder("mult_vae", "interactions")[1]
    recipe = builder(Bag(24), generator=torch.Generator().manual_seed(0), hidden=8, code=4, beta=0.2)
    phase = warm_start._with_full_weights(recipe).plan.phases[0]
    batch = BagSource.from_csr(default("mult_vae").interactions).batch(torch.arange(4))
    step = recipe.model.step(batch, generator=torch.Generator().manual_seed(1))
    start = recipe.model.loss(step, progress=0.0, objective=phase.objective).total
    assert start == recipe.model.loss(step, progress=1.0).total
    assert start != recipe.model.loss(step, progress=0.0).total


# --- what cannot go on -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_without_a_rule_a_model_is_fitted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_start, "can_widen", lambda *_: False)
    after = updated("mult_dae")
    assert after.facts["updates"][0]["how"] == "fitted anew"
    assert len(after.history.records) == after.settings["epochs"] == 12
    merged = merge(default("mult_dae").fitted, later()).data
    once = trained("mult_dae", merged)
    assert torch.equal(after.model.readout.weight, once.model.readout.weight)


def test_mistakes_are_told_before_anything_is_trained(subtests: pytest.Subtests) -> None:
    for model, options, said in [
        ("ease", {"epochs": 2}, "ease, which is not trained in epochs"),
        ("mult_vae", {"epochs": -1}, "epochs is -1"),
        ("mult_vae", {"validation": 0.5}, "validation=0.5"),
        ("mult_vae", {"validation": float("nan")}, "validation=nan"),
        ("mult_vae", {"metric": "beauty@3"}, "beauty"),
    ]:
        with subtests.test(model=model, options=options, said=said), pytest.raises(SettingError, match=said):
            updated(model, **options)


def test_foreign_ids_and_nothing_new() -> None:
    with pytest.raises(InputError, match="expected int64 ids"):
        updated("mult_vae", planted(names="x"))
    with pytest.raises(InputError, match="no new interactions"):
        updated("mult_vae", Interactions.from_csr(csr_array((1, 1)), users=[1], items=[0]))


def test_an_update_that_diverges_is_an_error() -> None:
    good = default("mult_vae")
    with pytest.raises(NonFiniteLossError):
        updated(changed(good, settings={**good.settings, "learning_rate": 1e30}), epochs=3)


# --- blends ----------------------------------------------------------------------------------------------------------

PARTS = ("mult_dae", "ease", "mult_vae", "sparse_linear", "rdlae")
WEIGHTS, EXPONENTS = (0.5, 1.0, 0.0, 0.25, 0.0), (0.0, 0.25, 0.0, 0.5, 0.0)


@cache
def blended(*names: str) -> Recommender:
    """A blend of models that were fitted one by one, with weights as above: two of five are left out."""
    names = names or PARTS
    model = Blend([deepcopy(default(name).model) for name in names])
    model.weigh(WEIGHTS[: len(names)], EXPONENTS[: len(names)])
    settings = {"parts": [{"model": name, "settings": dict(default(name).settings)} for name in names]}
    return changed(default("mult_dae"), model=model.eval(), builder="blend", settings=settings)


def ways(after: Recommender) -> list[str]:
    return [part["how"] for part in after.facts["updates"][-1]["parts"]]


@pytest.mark.slow
@pytest.mark.parametrize("validation", [0.0, 0.2])
def test_each_part_of_a_blend_in_its_own_way(validation: float) -> None:
    old = blended()
    state = {name: tensor.clone() for name, tensor in old.model.state_dict().items()}
    after = updated(old, validation=validation, epochs=3, metric="ndcg@5")
    report = after.facts["updates"][0]
    assert ways(after) == ["trained on", "solved again", "left out", "solved again", "left out"]
    assert [part["model"] for part in report["parts"]] == list(PARTS)
    assert [part["epochs"] for part in report["parts"]] == [3, 0, 0, 0, 0]
    assert (report["how"], report["epochs"], report["best_epoch"]) == ("part by part", 3, None)
    assert torch.equal(after.model.weights, old.model.weights)
    assert torch.equal(after.model.exponents, old.model.exponents)
    assert after.settings == old.settings
    # What is solved is solved for everybody, with those who validate.
    for place in (1, 3):
        alone = updated(PARTS[place])
        assert torch.equal(after.model.parts[place].weights, alone.model.weights)
    # What is trained goes on as it would alone, but not once more on everybody.
    alone = updated("mult_dae", epochs=3, validation=validation, metric="ndcg@5")
    same = torch.equal(after.model.parts[0].readout.weight, alone.model.readout.weight)
    assert same == (not validation)
    assert report["parts"][0]["score"] == alone.facts["updates"][0]["score"]
    assert report["parts"][0]["best_epoch"] == alone.facts["updates"][0]["best_epoch"]
    assert torch.equal(after.model.parts[2].readout.weight[:24], old.model.parts[2].readout.weight)
    assert torch.equal(after.model.parts[4].weights[:24, :24], old.model.parts[4].weights)
    assert all(torch.equal(tensor, state[name]) for name, tensor in old.model.state_dict().items())
    for group in range(GROUPS):
        (answer,) = after.recommend([[10 * (group * ITEMS + i) for i in range(ITEMS)]], k=2)
        assert set(answer.ids) == {1000 + 2 * group, 1001 + 2 * group}


def test_scores_of_a_blend_are_those_of_people_it_did_not_learn_from() -> None:
    old = blended("mult_dae", "ease")
    after = updated(old, validation=0.2, epochs=4, metric="ndcg@5")
    report = after.facts["updates"][0]
    assert report["score"] > report["score_before"] > 0
    assert after.history.best_score == report["score"] == after.history.records[-1]["ndcg@5"]
    assert [record["phase"] for record in after.history.records] == ["ease", "mult_dae", "blend"]
    # Neither what is solved nor what is trained knew the people whose score was taken.
    merged = merge(old.fitted, later())
    train, fold = update._hold_out(merged, 0.2, 0)
    assert fold is not None
    apart = Blend([deepcopy(after.model.parts[0]), deepcopy(trained("ease", train).model)])
    apart.weigh(WEIGHTS[:2], EXPONENTS[:2])
    assert report["score"] == fit.validation_score(fold, "ndcg@5").score(apart)


@pytest.mark.parametrize("options", [{"validation": 0.0}, {"validation": 0.1, "new": later(40)}])
def test_a_blend_needs_nobody_held_out(options: dict[str, Any]) -> None:
    after = updated(blended(), **options)
    assert after.facts["validation_users"] == 0
    assert ways(after)[:2] == ["trained on", "solved again"]
    assert after.facts["updates"][0]["epochs"] == 1
    assert (after.history.metric, after.facts["updates"][0]["score_before"]) == (None, None)


def test_no_epoch_of_a_part_is_better_than_one_that_ruins_it() -> None:
    good = blended("mult_dae", "ease")
    ruined = {**good.settings["parts"][0]["settings"], "learning_rate": 30.0}
    settings = {"parts": [{"model": "mult_dae", "settings": ruined}, good.settings["parts"][1]]}
    after = updated(changed(good, settings=settings), epochs=2, validation=0.2, metric="ndcg@5")
    part = after.facts["updates"][0]["parts"][0]
    assert (part["best_epoch"], part["score"]) == (0, part["score_before"])
    assert torch.equal(after.model.parts[0].readout.weight[:24], good.model.parts[0].readout.weight)


def test_no_epochs_only_widen_what_is_trained() -> None:
    after = updated(blended(), epochs=0)
    assert ways(after)[:2] == ["widened", "solved again"]
    assert torch.equal(after.model.parts[0].readout.weight[:24], blended().model.parts[0].readout.weight)
    assert after.facts["updates"][0]["epochs"] == 0
    with pytest.raises(SettingError, match="blend, which is not trained in epochs"):
        updated(blended("ease", "rdlae"), epochs=1)


@pytest.mark.slow
@pytest.mark.parametrize("validation", [0.0, 0.2])
def test_a_part_that_cannot_go_on_is_fitted_anew(validation: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_start, "can_widen", lambda *_: False)
    monkeypatch.setattr(blends, "can_widen", lambda *_: False)
    after = updated(blended(), validation=validation)
    assert ways(after) == ["fitted anew", "solved again", "left out", "solved again", "left out"]
    assert after.facts["updates"][0]["parts"][0]["epochs"] == 12
    assert after.facts["updates"][0]["score_before"] is None
    assert after.model.width == 30


def test_ctrl_c_ends_what_is_trained_and_keeps_the_rest() -> None:
    old = blended("mult_dae", "ease")
    twice = {"parts": [old.settings["parts"][0], old.settings["parts"][0], old.settings["parts"][1]]}
    model = Blend([*(deepcopy(old.model.parts[0]) for _ in range(2)), deepcopy(old.model.parts[1])])
    model.weigh([1.0, 1.0, 1.0], [0.0, 0.0, 0.0])
    # The solution counts as one epoch of progress.
    run = replace(RUN, progress=Interrupts(3))
    after = updated(changed(old, model=model, settings=twice), epochs=1000, run=run)
    assert after.history.interrupted
    assert ways(after) == ["trained on", "widened", "solved again"]
    assert [part["epochs"] for part in after.facts["updates"][0]["parts"]] == [1, 0, 0]
    assert torch.equal(after.model.parts[1].readout.weight[:24], model.parts[1].readout.weight)
    assert torch.equal(after.model.parts[2].weights, updated("ease").model.weights)


@pytest.mark.slow
def test_an_updated_blend_is_saved_loaded_and_updated_again(tmp_path: Path) -> None:
    after = updated(blended(), validation=0.2)
    after.save(tmp_path / "b")
    again = Recommender.load(tmp_path / "b")
    assert again.recommend([[0, 10, 1000], []], 8) == after.recommend([[0, 10, 1000], []], 8)
    third = updated(again, later(4, 9, 8000))
    assert [one["how"] for one in third.facts["updates"]] == ["part by part"] * 2
    assert third.model.weights.tolist() == list(WEIGHTS)


@pytest.mark.slow
def test_facts_of_auto_stay_true(subtests: pytest.Subtests) -> None:
    for model, validation, names in [
        ("blend", 0.0, ["mult_dae", "ease", "sparse_linear"]),
        ("blend", 0.2, ["ease", "sparse_linear"]),
        ("mult_dae", 0.0, ["mult_dae"]),
        ("mult_dae", 0.2, ["mult_dae"]),
        ("ease", 0.2, ["ease"]),
    ]:
        with subtests.test(model=model, validation=validation, names=names):
            old = blended() if model == "blend" else default(model)
            auto = {
                "tried": [{"model": "ease"}],
                "budget": 600.0,
                "fitted_on_everybody": ["mult_vae"],
                "trained_by": "another",
            }
            after = updated(changed(old, facts={**old.facts, **auto}), validation=validation)
            assert (after.facts["tried"], after.facts["budget"]) == (auto["tried"], 600.0)
            assert after.facts["fitted_on_everybody"] == names
            assert "trained_by" not in after.facts
            unknown = {name: fact for name, fact in old.facts.items() if name != "fitted_on_everybody"}
            after = updated(changed(old, facts=unknown), validation=validation)
            assert after.facts["fitted_on_everybody"] == names


# --- the rest of a recommender's life --------------------------------------------------------------------------------


def test_raw_data_are_read_by_the_rule_of_the_training() -> None:
    ratings = {"user": [1, 1, 2, 2], "item": [7, 8, 7, 9], "rating": [5.0, 2.0, 4.0, 1.0]}
    old = trained("ease", Interactions.read(pa.table(ratings), keep=">=4"), regularisation=1.0)
    new = pa.table({"user": [3, 3, 1], "item": [7, 5, 8], "rating": [4.0, 3.0, 5.0]})
    after = updated(old, new)
    assert after.adapter.items.ids.tolist() == [7, 8]
    assert after.interactions.toarray().tolist() == [[1, 1], [1, 0], [1, 0]]


def test_no_overlap_is_fine() -> None:
    after = updated("ease", Interactions.from_csr(csr_array(np.ones((3, 2))), users=[1, 2, 3], items=[-1, -2]))
    assert after.recommend([[-1]], 1)[0].ids == [-2]
    assert len(after.recommend([[0, 10]], 5)[0]) == 5


def test_titles_come_along() -> None:
    after = updated(trained("ease", titles={0: "Zero", 10: "Ten"}), titles={10: "Ten again", 1000: "New", 77: "?"})
    assert after.titles == {0: "Zero", 10: "Ten again", 1000: "New"}


def test_an_updated_one_is_saved_and_loaded(after: Recommender, tmp_path: Path) -> None:
    after.save(tmp_path / "b")
    again = Recommender.load(tmp_path / "b")
    histories = [[0, 10, 1000], [90, 230], []]
    assert again.recommend(histories, 8) == after.recommend(histories, 8)
    assert again.recommend_users([5003, 1000], 4) == after.recommend_users([5003, 1000], 4)
    assert again.facts == after.facts
    third = updated(again, later(4, 9, 8000))
    assert len(third.facts["updates"]) == 2
    assert len(third.adapter.users) == 184


def test_the_same_seed_gives_the_same_weights() -> None:
    one, other = updated("mult_vae", epochs=2), updated("mult_vae", epochs=2)
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), other.model.parameters(), strict=True))


class Interrupts(NoProgress):
    """Ctrl-C in a step of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.left = epoch

    def step(self, rows: int, loss: float) -> None:
        if self.left == 1:
            os.kill(os.getpid(), signal.SIGINT)

    def epoch(self, record: Any) -> None:
        self.left -= 1


@pytest.mark.parametrize("validation", [0.0, 0.2])
def test_ctrl_c_keeps_the_best_so_far(validation: float) -> None:
    run = replace(RUN, progress=Interrupts(3))
    after = updated("mult_vae", epochs=1000, validation=validation, run=run)
    assert after.history.interrupted
    assert len(after.history.records) == 2
    assert len(after.recommend([[0]], 3)[0]) == 3


def test_ctrl_c_in_the_first_epoch_leaves_the_old_weights() -> None:
    old = default("mult_vae")
    after = updated(old, epochs=5, run=replace(RUN, progress=Interrupts(1)))
    assert (after.history.interrupted, after.history.records, after.history.best_epoch) == (True, [], 0)
    assert torch.equal(after.model.readout.weight[:24], old.model.readout.weight)

"""Stochastic gradient descent, alone and beside Adam; and learning rates that are halved when the score stalls."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from isthmus.batch import Bag
from isthmus.bundle.tensors import state_of
from isthmus.errors import SettingError
from isthmus.models import mult_dae
from isthmus.protocols import Hook, Phase
from isthmus.sources import BagSource
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan
from isthmus.training.run import Run, Validation
from isthmus.training.steps.mixed import ADAM_RATE
from isthmus.training.trainer import train

WIDTH = 25
CPU = {"device": "cpu", "precision": "fp32"}


def source(rows=40):
    dense = (np.random.default_rng(0).random((rows, WIDTH)) < 0.3).astype(np.float32)
    return BagSource.from_csr(csr_array(dense))


def model():
    return mult_dae(Bag(WIDTH), generator=Run(seed=7).generator(), code=4).model


def scored(scores):
    left = iter(scores)
    return Validation("known", lambda model: next(left))


def plan(epochs, hooks=(), **settings):
    return Plan((Phase(epochs, hooks=hooks),), Shuffled(40), **({"optimizer": "sgd", "learning_rate": 0.5} | settings))


@pytest.mark.parametrize("weight_decay", [0.0, 0.25])
def test_a_step_is_the_rate_times_the_gradient(weight_decay):
    made, slopes = model(), {}

    def note(model):
        slopes.update({name: p.grad.clone() for name, p in model.named_parameters()})

    before = {name: p.detach().clone() for name, p in made.named_parameters()}
    train(made, source(), plan(1, (Hook("step", note),), weight_decay=weight_decay), Run(**CPU))
    for name, p in made.named_parameters():
        decay = weight_decay * before[name] if p.ndim > 1 else 0.0
        torch.testing.assert_close(p.detach(), before[name] - 0.5 * (slopes[name] + decay))


def test_mixed_the_decoder_descends_and_the_others_take_steps_of_adam():
    """Adam's first step is its learning rate times the sign of the gradient."""
    made, slopes = model(), {}

    def note(model):
        slopes.update({id(p): p.grad.clone() for p in model.parameters()})

    before = {id(p): p.detach().clone() for p in made.parameters()}
    train(made, source(), plan(1, (Hook("step", note),), optimizer="mixed"), Run(**CPU))
    decoding = {id(p) for p in made.parameters_of("decoder", "readout")}
    assert 0 < len(decoding) < len(before)
    for p in made.parameters():
        slope = slopes[id(p)]
        step = 0.5 * slope if id(p) in decoding else 0.5 * ADAM_RATE * slope / (slope.abs() + 1e-8)
        torch.testing.assert_close(p.detach(), before[id(p)] - step)


def test_every_epoch_that_is_not_the_best_halves_the_rate():
    scores = [1, 3, 2, 3, float("nan"), 4, 0, 5]
    history = train(model(), source(), plan(8, decay="halving"), Run(**CPU), scored(scores))
    rates = [record["learning_rate"] for record in history.records]
    assert rates == [0.5, 0.5, 0.5, 0.25, 0.125, 0.125, 0.125, 0.0625]
    assert history.stalled == 3


def test_without_validation_nothing_is_halved():
    history = train(model(), source(), plan(3, decay="halving"), Run(**CPU))
    assert {record["learning_rate"] for record in history.records} == {0.5}


@pytest.mark.parametrize("optimizer", ["sgd", "mixed"])
def test_a_resumed_training_goes_on_at_its_rate(tmp_path, optimizer):
    scores, halving, stop_after = [2, 1, 0, 3, 1, 4], plan(6, decay="halving", optimizer=optimizer), 4
    whole, parts = model(), model()
    expected = train(whole, source(), halving, Run(**CPU), scored(scores))
    checkpoints = {"checkpoints": tmp_path, "every": 1}
    train(parts, source(), halving, Run(**CPU, **checkpoints, until=stop_after), scored(scores))
    rest = scored(scores[stop_after:])
    found = train(parts, source(), halving, Run(**CPU, **checkpoints, resume=True), rest)
    rates = [[record["learning_rate"] for record in one.records] for one in (expected, found)]
    assert rates[0] == rates[1] == [0.5, 0.5, 0.25, 0.125, 0.125, 0.0625]
    states = state_of(whole), state_of(parts)
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_what_is_no_plan():
    with pytest.raises(SettingError, match=r"'adam' .*'sgd' or 'mixed'"):
        plan(1, optimizer="lbfgs")
    with pytest.raises(SettingError, match="row-wise"):
        plan(1, rowwise=True)
    assert ", sgd" in plan(1).described()

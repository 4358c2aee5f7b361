"""A phase says how many codes are drawn for each row; the trainer draws them."""

import pytest
import torch
from linear_gaussian import draws, linear_gaussian, true_log_prob

from isthmus.batch import Batch, Values, Vector
from isthmus.core.objectives.elbo import ImportanceWeighted
from isthmus.errors import SettingError
from isthmus.metrics.codes import importance_weighted
from isthmus.protocols import Phase
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan
from isthmus.training.run import Run, Validation
from isthmus.training.trainer import train


class Rows:
    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    @property
    def lengths(self):
        return torch.full((len(self.values),), Vector(6).width)

    def to(self, device):
        return self

    def batch(self, rows):
        values = Values(self.values[rows])
        return Batch(rows, values, values)


def plan(*phases):
    return Plan(phases, Shuffled(200), learning_rate=0.03)


def test_each_phase_draws_its_own_number_of_samples():
    model, seen = linear_gaussian(), []
    step = model.step

    def watched(*args, **settings):
        taken = step(*args, **settings)
        seen.append((taken.samples, *taken.log_likelihood.shape, len(taken.code.sample)))
        return taken

    model.step = watched
    train(model, Rows(draws(50)), plan(Phase(1), Phase(1, samples=4)), Run(device="cpu"))
    assert seen == [(1, 50, 1, 50), (4, 50, 4, 200)]


class Counted:
    """A likelihood that counts how often it is asked."""

    def __init__(self, inner):
        self.inner, self.calls = inner, 0

    def __call__(self, readout, decoded, targets, *, generator=None):
        self.calls += 1
        return self.inner(readout, decoded, targets, generator=generator)

    def mean(self, readout, decoded):
        return self.inner.mean(readout, decoded)

    def sample(self, readout, decoded, generator):
        return self.inner.sample(readout, decoded, generator)


def test_a_phase_may_replace_the_likelihood_in_training_alone():
    model = linear_gaussian()
    other = Counted(model.likelihood)
    replaced = plan(Phase(2, likelihood=other), Phase(1))
    batch = Rows(draws(50)).batch(torch.arange(50))
    scores = Validation("nll", lambda model: float(model.step(batch).log_likelihood.detach().mean()))
    train(model, Rows(draws(50)), replaced, Run(device="cpu"), scores)
    assert other.calls == 2, "one batch in each of two epochs"
    assert "Counted" in replaced.described()


def test_importance_weighted_training_brings_a_wrong_posterior_home():
    model, rows = linear_gaussian(shift=0.8, widen=1.5), Rows(draws(200))
    batch, noise = rows.batch(torch.arange(200)), torch.Generator()
    truth = float(true_log_prob(batch.inputs.values).mean())

    def gap():
        return truth - float(importance_weighted(model, batch, generator=noise.manual_seed(0), samples=5).mean())

    before = gap()
    phase = Phase(25, samples=5, objective=ImportanceWeighted(), trainable=("encoder", "bottleneck"))
    train(model, rows, plan(phase), Run(device="cpu", precision="fp32"))
    assert gap() < before / 4


def test_a_plan_is_described_with_its_samples_where_there_are_more_than_one():
    assert plan(Phase(1, samples=1)).described() == plan(Phase(1)).described()
    assert plan(Phase(1, samples=3)).described() != plan(Phase(1, samples=2)).described()


@pytest.mark.parametrize("phase", [Phase(1, samples=0), Phase(1, samples=2, sample_code=False)])
def test_a_phase_draws_at_least_one_sample_and_just_one_point(phase):
    with pytest.raises(SettingError, match="samples"):
        plan(phase)

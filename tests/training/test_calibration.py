"""After training, the means of a normalised posterior have exactly the spread that they were promised."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from isthmus.batch import Batch, TokenRows, Tokens
from isthmus.bundle.tensors import state_of
from isthmus.core.bottlenecks.gaussian import BatchNormGaussian
from isthmus.errors import InputError, SettingError
from isthmus.models import sequence_vae
from isthmus.training.batching import TokenBudget
from isthmus.training.calibration import calibrate
from isthmus.training.run import Run

SMALL = {"form": "lstm", "hidden": 16, "code": 4, "epochs": 2, "tokens": 100, "scale": 0.6}


@dataclass(frozen=True)
class Rows:
    """Token rows of length 4 as a source."""

    ids: Tensor

    def __len__(self):
        return len(self.ids)

    @property
    def lengths(self):
        return torch.full((len(self.ids),), 4)

    def to(self, device):
        return Rows(self.ids.to(device))

    def batch(self, rows):
        tokens = TokenRows(self.ids[rows], torch.ones_like(self.ids[rows], dtype=torch.bool))
        return Batch(rows, tokens, tokens)


def source(rows=150):
    return Rows(torch.randint(4, 20, (rows, 4), generator=torch.Generator().manual_seed(1)))


def recipe(**settings):
    return sequence_vae(Tokens(20, 5), generator=Run(seed=3).generator(), **(SMALL | settings))


@torch.no_grad()
def spread(model, rows):
    point = model.encode(rows.batch(torch.arange(len(rows))).inputs).point
    return point.mean(0) - model.bottleneck.shift, point.std(0, correction=0)


def test_training_ends_with_the_statistics_of_the_finished_network():
    made, rows = recipe(dropout=0.5, word_dropout=0.3), source()
    made.fit(rows, Run(device="cpu", precision="fp32"))
    centre, width = spread(made.model, rows)
    torch.testing.assert_close(centre, torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(width, torch.full((4,), 0.6), atol=1e-4, rtol=0)


@torch.no_grad()
def test_running_estimates_alone_miss_them():
    """Else the test above could not fail."""
    made, rows = recipe(dropout=0.5), source()
    model = made.model.train()
    for _ in range(30):
        model.step(rows.batch(torch.arange(len(rows))), generator=torch.Generator().manual_seed(2))
    _, width = spread(model.eval(), rows)
    assert (width - 0.6).abs().max() > 0.03
    calibrate(model.train(), rows, TokenBudget(64))
    assert model.training
    _, width = spread(model.eval(), rows)
    assert (width - 0.6).abs().max() < 1e-4


def test_nothing_but_the_statistics_changes_and_batches_do_not_matter():
    made, rows = recipe(), source()
    before = {name: tensor.clone() for name, tensor in state_of(made.model).items()}
    found = []
    for tokens in (16, 10_000):
        calibrate(made.model, rows, TokenBudget(tokens))
        after = state_of(made.model)
        changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
        assert changed == {"bottleneck.moments.running_mean", "bottleneck.moments.running_variance"}
        found.append([after[name].clone() for name in sorted(changed)])
    torch.testing.assert_close(found[0], found[1])


def test_large_averages_take_no_digits_away():
    made = BatchNormGaussian(3, 2, generator=torch.Generator().manual_seed(0))
    hidden = 1e4 + torch.randn(500, 3, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        made.moments.running_mean.copy_(made.mean(hidden).mean(0))
    made.calibrate(hidden.split(50))
    wanted = made.mean(hidden).detach().double()
    torch.testing.assert_close(made.moments.running_mean.double(), wanted.mean(0), rtol=1e-6, atol=0)
    torch.testing.assert_close(made.moments.running_variance.double(), wanted.var(0, correction=0), rtol=1e-3, atol=0)


def test_one_row_has_no_spread():
    made = recipe()
    calibrate(made.model, source(1), TokenBudget(10))
    assert torch.equal(made.model.bottleneck.moments.running_variance, torch.ones(4))
    with pytest.raises(InputError, match="1 rows"):
        made.model.bottleneck.calibrate([torch.zeros(1, made.model.encoder.width)])


def test_other_bottlenecks_have_nothing_to_settle():
    made = recipe(collapse="free-bits")
    assert made.after_training is None
    with pytest.raises(SettingError, match="Gaussian"):
        calibrate(made.model, source(), TokenBudget(10))

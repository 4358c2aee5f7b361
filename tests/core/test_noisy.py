"""Noise on codes: only in training, as large as the code, and never on the point."""

import pytest
import torch

from isthmus.core import Deterministic, Noisy, Projected
from isthmus.errors import SettingError


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_noise_is_relative_to_the_size_of_each_code():
    hidden = torch.randn(2, 4000, generator=seeded(1)) * torch.tensor([[1.0], [100.0]])
    bottleneck = Noisy(Deterministic(), 0.5).train()
    code = bottleneck(hidden, generator=seeded())
    assert torch.equal(code.point, hidden)
    spread = (code.sample - hidden).std(1)
    assert spread.tolist() == pytest.approx([0.5, 50], rel=0.1)
    assert torch.equal(bottleneck(hidden, generator=seeded()).sample, code.sample)


def test_no_noise_outside_training_or_without_a_generator():
    hidden = torch.randn(3, 5, generator=seeded(1))
    bottleneck = Noisy(Projected(5, 4, generator=seeded(2)), 0.5)
    for code in (bottleneck.eval()(hidden, generator=seeded()), bottleneck.train()(hidden)):
        assert torch.equal(code.sample, code.point)
    assert len(bottleneck.train()(hidden, generator=seeded(), samples=3).sample) == 9
    assert len(bottleneck.affine_layers()) == 1


def test_codes_do_not_grow_to_escape_the_noise():
    hidden = torch.randn(64, 50, generator=seeded(1), requires_grad=True)
    code = Noisy(Deterministic(), 1.0).train()(hidden, generator=seeded())
    # What only depends on the direction of the noisy code has no gradient along the code.
    score = (torch.nn.functional.normalize(code.sample, dim=1) * hidden.detach().roll(1, 0)).sum()
    (slope,) = torch.autograd.grad(score, hidden)
    assert (slope * hidden).sum(1).abs().max() < 1e-4


def test_negative_noise_is_refused():
    with pytest.raises(SettingError, match="noise=-1"):
        Noisy(Deterministic(), -1.0)

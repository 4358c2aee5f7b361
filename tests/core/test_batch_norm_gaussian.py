"""BN-VAE's posterior: means of a fixed spread, a bound under the rate, running statistics afterwards."""

import pytest
import torch

from isthmus.bundle.tensors import load_state, state_of
from isthmus.core.bottlenecks.deterministic import Projected
from isthmus.core.bottlenecks.gaussian import BatchNormGaussian
from isthmus.errors import SettingError

HIDDEN, CODE, SCALE = 6, 5, 0.7


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def bottleneck(scale=SCALE):
    made = BatchNormGaussian(HIDDEN, CODE, generator=generator(), scale=scale)
    with torch.no_grad():
        made.shift.copy_(torch.linspace(-1, 1, CODE))
    return made.train()


def hidden(rows=64, seed=1, size=1.0):
    return size * torch.randn(rows, HIDDEN, generator=generator(seed)) + 3


@pytest.mark.parametrize("size", [1e-3, 1.0, 100.0])
def test_means_have_the_fixed_spread_around_the_shift_in_training(size):
    """Whatever the scale of what comes in: an encoder that whispers does not escape."""
    made = bottleneck()
    mean = made(hidden(size=size)).point
    torch.testing.assert_close(mean.mean(0), made.shift.detach(), atol=1e-3, rtol=0)
    torch.testing.assert_close(mean.std(0, correction=0), torch.full((CODE,), SCALE), atol=1e-3, rtol=0)


@pytest.mark.parametrize("scale", [0.3, 0.6, 1.0])
def test_the_mean_rate_is_at_least_half_the_squared_scale_a_dimension(scale):
    made = bottleneck(scale)
    for seed in range(5):
        posterior = made(hidden(seed=seed)).posterior
        assert posterior.standard_normal_rates().sum(1).mean() >= CODE * scale**2 / 2 - 1e-4


def test_afterwards_the_running_statistics_serve():
    made = bottleneck()
    rows = hidden(rows=200)
    for _ in range(200):
        made(rows)
    raw = rows @ made.mean.weight.T
    torch.testing.assert_close(made.moments.running_mean, raw.mean(0))
    torch.testing.assert_close(made.moments.running_variance, raw.var(0, correction=0))
    made.eval()
    before = {name: tensor.clone() for name, tensor in state_of(made).items()}
    wanted = SCALE * (raw[:3] - raw.mean(0)) / raw.std(0, correction=0) + made.shift
    torch.testing.assert_close(made(rows[:3]).point, wanted, atol=1e-4, rtol=1e-4)
    # A row's code does not depend on its company, and asking changes nothing.
    torch.testing.assert_close(made(rows[:1]).point, wanted[:1], atol=1e-4, rtol=1e-4)
    assert all(torch.equal(before[name], tensor) for name, tensor in state_of(made).items())


def test_batches_of_their_own_kind_count_with_what_lies_between_them():
    """Half of the batches are centred elsewhere: the spread of all data is wider than that of any batch."""
    made = bottleneck()
    kinds = hidden(seed=1), hidden(seed=2) + 4
    for turn in range(400):
        made(kinds[turn % 2])
    raw = torch.cat(kinds) @ made.mean.weight.T
    torch.testing.assert_close(made.moments.running_variance, raw.var(0), rtol=0.15, atol=0.02)
    within = torch.stack([(rows @ made.mean.weight.T).var(0) for rows in kinds]).mean(0)
    assert (made.moments.running_variance > 1.2 * within).any()


def test_a_single_row_in_training_is_normalised_by_what_is_known():
    made = bottleneck()
    made(hidden())
    average, variance = made.moments.running_mean.clone(), made.moments.running_variance.clone()
    row = hidden(1)
    wanted = SCALE * (row @ made.mean.weight.T - average) / variance.sqrt() + made.shift
    torch.testing.assert_close(made(row).point, wanted)
    assert torch.equal(made.moments.running_mean, average)


def test_every_parameter_trains_and_the_scale_is_none():
    made = bottleneck()
    code = made(hidden(), generator=generator(2))
    (code.sample.square().sum() + code.posterior.standard_normal_rates().pow(2).sum()).backward()
    assert {name for name, _ in made.named_parameters()} == {
        "mean.weight",
        "log_scale.weight",
        "log_scale.bias",
        "shift",
    }
    assert all(p.grad.abs().sum() > 0 for p in made.parameters())


def test_the_statistics_are_saved():
    made, again = bottleneck(), BatchNormGaussian(HIDDEN, CODE, generator=generator(9), scale=SCALE)
    made(hidden())
    load_state(again, {name: tensor.clone() for name, tensor in state_of(made).items()})
    torch.testing.assert_close(again.eval()(hidden()).point, made.eval()(hidden()).point)


def test_samples_lie_side_by_side_and_need_a_generator():
    made = bottleneck().eval()
    code = made(hidden(3), generator=generator(), samples=4)
    assert code.sample.shape == (12, CODE)
    quiet = made(hidden(3), samples=4)
    assert torch.equal(quiet.sample, quiet.point.repeat_interleave(4, 0))
    assert not torch.equal(code.sample, quiet.sample)


def test_statistics_are_fp32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        code = bottleneck()(hidden())
    assert code.point.dtype == torch.float32
    torch.testing.assert_close(code.point.std(0, correction=0), torch.full((CODE,), SCALE), atol=1e-3, rtol=0)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_scale_has_to_be_positive(scale):
    with pytest.raises(SettingError, match="scale"):
        BatchNormGaussian(HIDDEN, CODE, generator=generator(), scale=scale)


def test_projected_is_one_linear_layer_without_randomness():
    made = Projected(HIDDEN, CODE, generator=generator())
    code = made(hidden(3), generator=generator(), samples=2)
    torch.testing.assert_close(code.point, hidden(3) @ made.point.weight.T + made.point.bias)
    assert torch.equal(code.sample, code.point.repeat_interleave(2, 0))
    assert code.posterior is None

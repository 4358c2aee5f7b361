"""Dropout with randomness of its own: right on average, repeatable, and nothing that the global state notices."""

import pytest
import torch

from isthmus.core.ops.layers import SeededDropout
from isthmus.errors import SettingError


def dropout(rate=0.3, seed=0):
    return SeededDropout(rate, torch.Generator().manual_seed(seed))


def test_a_share_is_dropped_and_the_mean_stays():
    dropped = dropout()(torch.full((400, 500), 2.0))
    zeros = dropped == 0
    torch.testing.assert_close(zeros.float().mean(), torch.tensor(0.3), atol=0.01, rtol=0)
    torch.testing.assert_close(dropped[~zeros], torch.full_like(dropped[~zeros], 2 / 0.7))
    torch.testing.assert_close(dropped.mean(), torch.tensor(2.0), atol=0.02, rtol=0)


def test_the_gradient_has_the_same_mask():
    x = torch.ones(50, 50, requires_grad=True)
    dropped = dropout()(x)
    dropped.sum().backward()
    torch.testing.assert_close(x.grad, dropped.detach())


def test_out_of_training_and_at_rate_0_nothing_happens():
    x = torch.ones(5, 5)
    for part in (dropout().eval(), dropout(0.0)):
        assert part(x) is x
        assert int(part.calls) == 0


def test_calls_differ_and_equal_seeds_repeat_them():
    x = torch.ones(30, 30)
    one, other = dropout(), dropout()
    first, second = one(x), one(x)
    assert not torch.equal(first, second)
    assert torch.equal(first, other(x))
    assert torch.equal(second, other(x))
    assert not torch.equal(first, dropout(seed=1)(x))


def test_a_saved_one_goes_on_where_it_was():
    x = torch.ones(30, 30)
    one, other = dropout(), dropout(seed=1)
    one(x)
    other.load_state_dict({name: tensor.clone() for name, tensor in one.state_dict().items()})
    for _ in range(3):
        assert torch.equal(one(x), other(x))


def test_the_global_state_is_neither_read_nor_changed():
    x = torch.ones(30, 30)
    before = torch.random.get_rng_state()
    first = dropout()(x)
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        assert torch.equal(dropout()(x), first)


def test_the_generator_moves_on_by_the_same_whatever_the_rate():
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    for rate, generator in zip((0.0, 0.5), generators, strict=True):
        SeededDropout(rate, generator)
    assert torch.equal(generators[0].get_state(), generators[1].get_state())


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_rates_that_make_no_sense_are_refused(rate):
    with pytest.raises(SettingError, match="dropout rate"):
        dropout(rate)

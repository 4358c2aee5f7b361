"""How often each corruption hits, what it leaves alone, and what it puts there."""

import pytest
import torch

from isthmus.batch import Bags, TokenRows, Values
from isthmus.core.corruptions.numbers import Masking, PatchMasking, SaltAndPepper, SwapNoise
from isthmus.errors import SettingError

BAGS = Bags(torch.arange(6), torch.tensor([0, 2, 2, 6]), torch.full((6,), 2.0))
TOKENS = TokenRows(torch.zeros(1, 1, dtype=torch.int64), torch.ones(1, 1, dtype=torch.bool))
VALUES = Values(torch.full((400, 50), 0.5))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_masking_makes_zeros_and_leaves_the_rest_as_it_was():
    masked = Masking(0.3)(VALUES, generator()).values
    assert set(masked.unique().tolist()) == {0.0, 0.5}
    assert (masked == 0).float().mean() == pytest.approx(0.3, abs=0.01)


def test_masking_of_bags_keeps_entries_without_weight():
    many = BAGS.take(torch.full((500,), 2))
    masked = Masking(0.3)(many, generator())
    assert torch.equal(masked.indices, many.indices)
    assert set(masked.weights.unique().tolist()) == {0.0, 2.0}
    assert (masked.weights == 0).float().mean() == pytest.approx(0.3, abs=0.03)


def test_salt_and_pepper_are_equally_frequent():
    noisy = SaltAndPepper(0.4, low=-1.0, high=3.0)(VALUES, generator()).values
    shares = {value: float((noisy == value).float().mean()) for value in noisy.unique().tolist()}
    assert shares == pytest.approx({-1.0: 0.2, 0.5: 0.6, 3.0: 0.2}, abs=0.01)


@pytest.mark.parametrize("shape", [(40, 30), (40, 2, 5, 3)])
def test_swapped_numbers_come_from_another_row_of_the_same_column(shape):
    own = torch.arange(40.0).view(-1, *(1,) * (len(shape) - 1)).expand(shape)
    column = 100 * torch.arange(own[0].numel()).view(1, *shape[1:])
    swapped = SwapNoise(0.25)(Values(own + column), generator()).values - column
    assert bool(((swapped >= 0) & (swapped < 40)).all())
    moved = (swapped != own).float().mean()
    assert moved == pytest.approx(0.25, abs=0.03)  # every hit is a change: no row is swapped with itself
    assert len((swapped - own).unique()) > 30


def test_each_column_keeps_its_distribution_under_swap_noise():
    columns = torch.tensor([1.0, 1000.0]) * torch.randn(5000, 2, generator=generator(1))
    swapped = SwapNoise(0.5)(Values(columns), generator()).values
    torch.testing.assert_close(swapped.std(0), columns.std(0), rtol=0.05, atol=0)


def test_a_single_row_has_nobody_to_swap_with():
    one = Values(torch.ones(1, 4))
    assert torch.equal(SwapNoise(0.9)(one, generator()).values, one.values)


def test_patches_are_whole_squares_in_all_channels_and_as_many_in_each_image():
    masked = PatchMasking(0.5, 4)(Values(torch.ones(30, 3, 8, 16)), generator()).values == 0
    squares = masked.view(30, 3, 2, 4, 4, 4).float().mean((3, 5))
    assert set(squares.unique().tolist()) == {0.0, 1.0}
    assert bool((squares == squares[:, :1]).all())
    assert squares[:, 0].sum((1, 2)).tolist() == [4.0] * 30
    assert bool((squares[:, 0].mean(0) > 0).all())


def test_patches_at_the_border_are_cut_and_filled_as_asked():
    masked = PatchMasking(0.99, 3, fill=9.0)(Values(torch.zeros(2, 1, 7, 5)), generator()).values
    assert bool((masked == 9).all())
    assert masked.shape == (2, 1, 7, 5)


@pytest.mark.parametrize(
    "corruption",
    [Masking(0.5), SaltAndPepper(0.5), SwapNoise(0.5), PatchMasking(0.5, 2)],
    ids=lambda c: type(c).__name__,
)
def test_a_seed_gives_the_same_noise_and_the_input_is_not_touched(corruption):
    clean = Values(torch.rand(5, 1, 6, 6, generator=generator(3)))
    before = clean.values.clone()
    one, two, other = (corruption(clean, generator(seed)).values for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(clean.values, before)


@pytest.mark.parametrize(
    ("corruption", "inputs", "message"),
    [
        (Masking(0.1), TOKENS, "TokenRows"),
        (SaltAndPepper(0.1), BAGS, "Bags"),
        (SwapNoise(0.1), BAGS, "Bags"),
        (PatchMasking(0.1, 2), BAGS, "Bags"),
        (PatchMasking(0.1, 2), VALUES, "height and width"),
    ],
)
def test_inputs_that_make_no_sense_are_refused(corruption, inputs, message):
    with pytest.raises(SettingError, match=message):
        corruption(inputs, generator())


@pytest.mark.parametrize("make", [Masking, SaltAndPepper, SwapNoise, lambda rate: PatchMasking(rate, 2)])
def test_rates_are_shares(make):
    for rate in (-0.1, 1.0):
        with pytest.raises(SettingError, match="rate"):
            make(rate)


def test_a_patch_has_an_edge():
    with pytest.raises(SettingError, match="edge"):
        PatchMasking(0.5, 0)

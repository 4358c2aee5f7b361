"""Grouped parts against a loop over members."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator

from isthmus.batch import Batch, Values, Vector
from isthmus.errors import SettingError
from isthmus_vectors.detection.ensemble import masked_ensemble
from isthmus_vectors.detection.grouped import GroupedEncoder, GroupedLinear
from isthmus_vectors.detection.masking import (
    LeaveMembersOutSource,
    MemberGaussian,
    MemberMasks,
    assign_folds,
    mask,
    with_mask_channel,
)


def rng(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_a_grouped_layer_is_a_layer_for_each_member() -> None:
    layer = GroupedLinear(3, 4, 2, generator=rng())
    x = torch.randn(5, 3, 4, generator=rng(1))
    alone = [x[:, m] @ layer.weight[m] + layer.bias[m] for m in range(3)]
    torch.testing.assert_close(layer(x), torch.stack(alone, 1))


def test_members_do_not_see_each_other() -> None:
    encoder = GroupedEncoder(2, (3, 4, 2), (1, 2), generator=rng(), activation="silu")
    x = torch.randn(1, 2, 3, generator=rng(1), requires_grad=True)
    code = encoder.trunk(x, None)
    code[:, 0].sum().backward()
    assert x.grad is not None
    assert bool((x.grad[:, 0] != 0).any())
    assert bool((x.grad[:, 1] == 0).all())
    assert bool((code[:, 0, 1] == 0).all()), "the first member has a code of one unit"
    assert bool((code[:, 1] != 0).all())


def test_masks_hide_the_number_and_say_so() -> None:
    values = torch.randn(400, 6, generator=rng()) + 10
    shown = with_mask_channel(Values(values))
    masked = MemberMasks(3, 0.2, 0.4)(shown, rng(1))
    assert isinstance(masked, Values)
    numbers, seen = masked.values.chunk(2, -1)
    assert masked.values.shape == (400, 3, 12)
    assert torch.equal(numbers, values[:, None] * seen)
    assert float((seen == 0).float().mean()) == pytest.approx(0.3, abs=0.02)
    assert not torch.equal(seen[:, 0], seen[:, 1])


def test_concealing_nothing_is_what_a_member_sees_without_masks() -> None:
    shown = with_mask_channel(Values(torch.randn(4, 3, generator=rng())))
    assert isinstance(shown, Values)
    encoder = GroupedEncoder(2, (6, 2), (2, 2), generator=rng(), activation="silu")
    unmasked = mask(shown, torch.zeros(1, 2, 3, dtype=torch.bool))
    assert torch.equal(encoder.enter(unmasked), encoder.enter(shown))


def test_each_row_is_left_out_by_as_many_members() -> None:
    kept = assign_folds(37, 8, 2, generator=rng())
    assert bool(((~kept).sum(1) == 2).all())
    missed = (~kept).sum(0)
    assert int(missed.max() - missed.min()) <= 2


def test_rows_left_out_do_not_count_for_that_member() -> None:
    model = masked_ensemble(Vector(3), generator=rng(), members=2, hidden=4, code=2).model
    source = LeaveMembersOutSource(torch.randn(6, 3, generator=rng()), torch.tensor([[True, False]] * 6))
    step = model.step(source.batch(torch.arange(6)), generator=rng(2))
    model.loss(step).total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert bool((parameter.grad[1] == 0).all()), name
        assert bool((parameter.grad[0] != 0).any()), name


def test_the_likelihood_is_a_gaussian_of_what_was_hidden() -> None:
    model = masked_ensemble(Vector(3), generator=rng(), members=2, hidden=4, code=2).model.eval()
    values = torch.randn(5, 3, generator=rng(1))
    hidden = torch.tensor([[[True, False, False], [False, True, True]]])
    shown = with_mask_channel(Values(values))
    assert isinstance(shown, Values)
    seen = mask(shown, hidden)
    code = model.encoder.trunk(model.encoder.enter(seen), seen)
    decoded = model.decode(code, Batch(torch.arange(5), seen, Values(values)))
    mean, raw = model.readout.logits(decoded[0]).unbind(3)
    lowest = math.log(0.05)
    scale = torch.exp(lowest + torch.log1p(torch.exp(2 - torch.log1p(torch.exp(2 - raw)) - lowest)))
    assert float(scale.detach().min()) > 0.05
    each = torch.distributions.Normal(mean, scale).log_prob(values[:, None])
    wanted = (each * torch.where(hidden, 1.0, 0.1)).sum(2).mean(1)
    found = MemberGaussian(0.1, 0.05)(model.readout, decoded, Values(values))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    drawn = model.likelihood.sample(model.readout, decoded, rng(3))
    assert drawn.shape == model.likelihood.mean(model.readout, decoded).shape == (5, 3)


def test_the_same_seed_is_the_same_ensemble() -> None:
    first, second = (masked_ensemble(Vector(3), generator=rng()).model.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_nonsense_is_refused() -> None:
    with pytest.raises(SettingError, match="members"):
        masked_ensemble(Vector(3), generator=rng(), members=0)
    for low, high in ((-0.1, 0.5), (0.6, 0.5), (0.2, 1.5)):
        with pytest.raises(SettingError, match="hidden"):
            masked_ensemble(Vector(3), generator=rng(), low=low, high=high)

"""The categorical likelihood of tokens, against cross entropy over every position."""

import pytest
import torch
from torch.nn import functional as F

from isthmus.batch import TokenRows, Values
from isthmus.core.likelihoods.discrete import Categorical
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError

VOCABULARY, HIDDEN, LENGTHS = 13, 5, (4, 1, 3)


def tokens():
    mask = torch.arange(4) < torch.tensor(LENGTHS)[:, None]
    return TokenRows(torch.randint(0, VOCABULARY, (3, 4), generator=torch.Generator().manual_seed(0)), mask)


def setup():
    g = torch.Generator().manual_seed(1)
    readout = LinearReadout(HIDDEN, VOCABULARY, generator=g)
    return readout, torch.randn(3, 4, HIDDEN, generator=g, requires_grad=True)


def reference(readout, decoded, targets):
    logits = decoded @ readout.weight.T + readout.bias
    return -(F.cross_entropy(logits.transpose(1, 2), targets.ids, reduction="none") * targets.mask).sum(1)


def test_equals_cross_entropy_with_gradients():
    readout, decoded = setup()
    leaves = (decoded, readout.weight, readout.bias)
    actual, expected = (f(readout, decoded, tokens()) for f in (Categorical(), reference))
    torch.testing.assert_close(actual, expected)
    weights = torch.tensor([1.0, -2.0, 0.5])
    for ours, theirs in zip(
        *(torch.autograd.grad((value * weights).sum(), leaves) for value in (actual, expected)), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_tokens_are_packed_row_after_row():
    readout, decoded = setup()
    targets = tokens()
    logs = (decoded @ readout.weight.T + readout.bias).log_softmax(2)
    expected = [logs[row, t, targets.ids[row, t]] for row, length in enumerate(LENGTHS) for t in range(length)]
    torch.testing.assert_close(Categorical().token_log_probs(readout, decoded, targets), torch.stack(expected))


def test_padding_is_never_computed():
    readout, decoded = setup()
    targets = tokens()
    poisoned = torch.where(targets.mask[..., None], decoded, torch.nan).detach().requires_grad_()
    other = TokenRows(torch.where(targets.mask, targets.ids, 999), targets.mask)
    log_p = Categorical()(readout, poisoned, other)
    torch.testing.assert_close(log_p, Categorical()(readout, decoded, targets))
    log_p.sum().backward()
    assert bool((poisoned.grad[~targets.mask] == 0).all())
    assert bool(torch.isfinite(readout.weight.grad).all())


def test_under_autocast_it_is_near():
    readout, decoded = setup()
    with torch.autocast("cpu", torch.bfloat16):
        actual = Categorical()(readout, decoded.bfloat16(), tokens())
    torch.testing.assert_close(actual, reference(readout, decoded, tokens()), atol=0.1, rtol=0.02)


@pytest.mark.parametrize("shape", [(HIDDEN,), (3, HIDDEN), (3, 4, HIDDEN)])
def test_mean_and_sample_of_any_shape(shape):
    readout, decoded = setup()[0], torch.ones(shape)
    mean = Categorical().mean(readout, decoded)
    expected = (decoded @ readout.weight.T + readout.bias).softmax(-1)
    torch.testing.assert_close(mean, expected)
    assert Categorical().sample(readout, decoded, torch.Generator().manual_seed(0)).shape == shape[:-1]


def test_samples_have_these_probabilities():
    readout, decoded = setup()
    one = decoded[0, 0].detach()
    drawn = Categorical().sample(readout, one.expand(20_000, -1), torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn, minlength=VOCABULARY) / 20_000
    torch.testing.assert_close(shares, Categorical().mean(readout, one), atol=0.02, rtol=0)


def test_what_makes_no_sense_is_refused():
    readout, decoded = setup()
    with pytest.raises(SettingError, match="Values"):
        Categorical()(readout, decoded, Values(torch.ones(3, 4)))
    with pytest.raises(SettingError, match="decoded states"):
        Categorical()(readout, decoded[:, :3], tokens())

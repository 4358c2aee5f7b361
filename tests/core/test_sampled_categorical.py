"""The softmax over a few words: exact with all of them, right on average with fewer, and for training alone."""

import pytest
import torch

from isthmus.batch import Batch, TokenRows
from isthmus.core.likelihoods.discrete import Categorical
from isthmus.core.likelihoods.sampled_categorical import SampledCategorical
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError

WIDTH, HIDDEN, ROWS, STEPS = 40, 6, 5, 7


class Source:
    """One batch of rows of 3 to 7 tokens, small ids often."""

    def __init__(self):
        g = torch.Generator().manual_seed(1)
        ids = (torch.rand(ROWS, STEPS, generator=g) ** 3 * WIDTH).long()
        self.tokens = TokenRows(ids, torch.arange(STEPS) < torch.arange(3, 3 + ROWS)[:, None])

    def __len__(self):
        return ROWS

    @property
    def lengths(self):
        return self.tokens.mask.sum(1)

    def to(self, device):
        return self

    def batch(self, rows):
        return Batch(rows, self.tokens, self.tokens)


def parts():
    g = torch.Generator().manual_seed(2)
    readout = LinearReadout(HIDDEN, WIDTH, generator=g)
    return readout, torch.randn(ROWS, STEPS, HIDDEN, generator=g).requires_grad_()


def learned(negatives):
    made = SampledCategorical(WIDTH, negatives)
    made.learn(Source())
    return made


def asked(likelihood, generator=None):
    readout, decoded = parts()
    found = likelihood(readout, decoded, Source().tokens, generator=generator)
    (found * torch.arange(1.0, ROWS + 1)).sum().backward()
    return found.detach(), decoded.grad, readout.weight.grad, readout.bias.grad


def test_with_all_words_it_is_the_exact_softmax_and_so_are_its_gradients():
    for one, other in zip(asked(learned(WIDTH), torch.Generator()), asked(Categorical()), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_without_a_generator_every_word_counts():
    for one, other in zip(asked(learned(3)), asked(Categorical()), strict=True):
        assert torch.equal(one, other)


def test_the_sum_over_words_is_right_on_average():
    """Of one position: exp(z_i) / p is the sum, whose mean over many draws is that of all words."""
    readout, decoded = parts()
    tokens = TokenRows(torch.tensor([[2]]), torch.tensor([[True]]))
    state, noise, made = decoded[:1, :1].detach(), torch.Generator().manual_seed(3), learned(8)
    with torch.no_grad():
        draws = torch.stack([made(readout, state, tokens, generator=noise) for _ in range(600)])
        truth = Categorical()(readout, state, tokens)
    ratios = (truth - draws).exp()
    assert ratios.std() > 0.02, "the draws differ"
    assert ratios.mean() == pytest.approx(1, abs=4 * float(ratios.std()) / 600**0.5)


def test_frequent_words_are_always_drawn():
    made, noise = learned(12), torch.Generator().manual_seed(4)
    tokens = Source().tokens
    often = int(tokens.ids.flatten()[tokens.real()].bincount().argmax())
    assert all(often in made.strata.draw(noise) for _ in range(50))
    fresh = SampledCategorical(WIDTH, 12)
    assert not all(often in fresh.strata.draw(noise) for _ in range(50))


def test_answers_are_those_of_the_exact_softmax():
    readout, decoded = parts()
    made = learned(3)
    assert torch.equal(made.mean(readout, decoded), Categorical().mean(readout, decoded))
    drawn = [one.sample(readout, decoded, torch.Generator().manual_seed(5)) for one in (made, Categorical())]
    assert torch.equal(*drawn)


def test_no_negatives():
    with pytest.raises(SettingError, match="negatives=0"):
        SampledCategorical(WIDTH, 0)

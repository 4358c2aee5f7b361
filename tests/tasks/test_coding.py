"""What any autoencoder is asked for, on models whose answers can be worked out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator, nn

from isthmus.batch import Vector
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.likelihoods.continuous import Gaussian
from isthmus.core.priors.fitted_mixture import FittedMixture
from isthmus.errors import InputError, SettingError
from isthmus.models.kinds import variational
from isthmus.protocols import Batch
from isthmus.sources import VectorSource
from isthmus.tasks import coding
from isthmus.training.run import Run

RUN = Run(device="cpu", precision="fp32")


class Half(nn.Module):
    """The code is the first two numbers; the others are not seen."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.asked: list[int] = []

    def enter(self, inputs):
        self.asked.append(len(inputs.values))
        return inputs.values

    def trunk(self, entered, inputs):
        return entered[:, :2]


class Padded(nn.Module):
    """The code, then zeros."""

    def forward(self, sample, given=None):
        return torch.cat([sample, torch.zeros(len(sample), 2)], 1)


class Itself(nn.Module):
    """The identity as a readout."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.eye(4)), nn.Parameter(torch.zeros(4))

    def logits(self, decoded, columns=None):
        return decoded


@pytest.fixture
def model() -> Autoencoder:
    return Autoencoder(
        encoder=Half(), bottleneck=Deterministic(), decoder=Padded(), readout=Itself(), likelihood=Gaussian(1.0)
    ).eval()


def rows(count: int) -> torch.Tensor:
    return torch.randn(count, 4, generator=Generator().manual_seed(count))


def test_codes_reconstructions_and_likelihoods_are_what_they_are_made_of(model: Autoencoder) -> None:
    values = rows(7)
    source = VectorSource(values)
    torch.testing.assert_close(coding.codes_of(model, source), values[:, :2])
    kept = torch.cat([values[:, :2], torch.zeros(7, 2)], 1)
    torch.testing.assert_close(coding.reconstructions(model, source), kept)
    torch.testing.assert_close(coding.decoded(model, values[:, :2]), kept)
    expected = -0.5 * values[:, 2:].square().sum(1) - 2 * math.log(2 * math.pi)
    torch.testing.assert_close(coding.log_likelihoods(model, source), expected)


@pytest.mark.parametrize(("count", "size"), [(7, 3), (1, 5), (5, 5), (6, 2)])
def test_every_batch_has_one_size_and_no_row_is_lost(model: Autoencoder, count: int, size: int) -> None:
    values = rows(count)
    found = coding.codes_of(model, VectorSource(values), batch=size)
    assert torch.equal(found, values[:, :2])
    assert set(model.encoder.asked) == {size}  # type: ignore[union-attr]
    assert torch.equal(coding.decoded(model, found, batch=size)[:, :2], found)


def test_a_row_gets_the_same_answer_whatever_stands_beside_it() -> None:
    network = variational(Vector(4), generator=Generator().manual_seed(0), code=3, hidden=16).model.eval()
    values = rows(50)
    together = coding.codes_of(network, VectorSource(values))
    for row in (0, 17, 49):
        alone = coding.codes_of(network, VectorSource(values[row : row + 1]))
        torch.testing.assert_close(alone[0], together[row], rtol=1e-6, atol=1e-7)
    turned = coding.codes_of(network, VectorSource(values.flip(0)))
    torch.testing.assert_close(turned.flip(0), together, rtol=1e-6, atol=1e-7)


def test_lines_between_codes_have_their_ends() -> None:
    a, b = torch.tensor([0.0, 2.0]), torch.tensor([4.0, 0.0])
    expected = torch.tensor([[0.0, 2.0], [2.0, 1.0], [4.0, 0.0]])
    torch.testing.assert_close(coding.between(a, b, 3), expected)
    assert torch.equal(coding.between(a, b, 2), torch.stack([a, b]))
    with pytest.raises(SettingError, match="at least 2"):
        coding.between(a, b, 1)


def test_codes_are_drawn_from_the_mixture_or_from_the_prior(model: Autoencoder) -> None:
    noise = Generator().manual_seed(1)
    far = FittedMixture(torch.ones(1).double(), torch.full((1, 2), 50.0).double(), torch.full((1, 2), 0.1).double())
    assert float(coding.drawn(model, 20, noise, far).mean()) == pytest.approx(50, abs=0.2)
    with pytest.raises(SettingError, match="without a prior"):
        coding.drawn(model, 20, noise)
    network = variational(Vector(4), generator=Generator().manual_seed(0), code=3).model
    drawn = coding.drawn(network, 4000, noise)
    assert float(drawn.mean()) == pytest.approx(0, abs=0.1)
    assert float(drawn.std()) == pytest.approx(1, abs=0.05)
    with pytest.raises(SettingError, match="0 samples"):
        coding.drawn(network, 0, noise)


def test_held_out_loss_is_the_objective_and_the_same_each_time(model: Autoencoder) -> None:
    values = rows(9)
    found = coding.held_out(model, VectorSource(values), RUN, each=True, batch=4)
    assert float(found.each["nll"].mean()) == pytest.approx(found.nll, rel=1e-5)
    assert len(found.each["rate"]) == len(values)
    assert found.loss == pytest.approx(found.nll)
    assert found.nll == pytest.approx(-float(coding.log_likelihoods(model, VectorSource(values)).mean()), rel=1e-5)
    assert found.rate == 0
    network = variational(Vector(4), generator=Generator().manual_seed(0), code=3).model.eval()
    first = coding.held_out(network, VectorSource(values), RUN)
    assert first == coding.held_out(network, VectorSource(values), RUN)
    assert first.rate > 0
    assert first.loss == pytest.approx(first.nll + first.rate, rel=1e-5)


def test_weighted_likelihoods_beat_the_bound() -> None:
    network = variational(Vector(4), generator=Generator().manual_seed(0), code=3).model.eval()
    source = VectorSource(rows(9))
    bound = coding.held_out(network, source, RUN).loss
    noise = Generator().manual_seed(2)
    weighted = coding.weighted_log_likelihoods(network, source, samples=200, generator=noise, batch=4)
    assert weighted.shape == (9,)
    assert -float(weighted.mean()) < bound


def test_nothing_to_ask_for(model: Autoencoder) -> None:
    nothing = VectorSource(torch.empty(0, 4))
    for ask in (coding.codes_of, coding.reconstructions, coding.log_likelihoods):
        with pytest.raises(InputError, match="no rows"):
            ask(model, nothing)
    with pytest.raises(InputError, match="no rows"):
        coding.held_out(model, nothing, RUN)
    with pytest.raises(InputError, match="no codes"):
        coding.decoded(model, torch.empty(0, 2))
    with pytest.raises(SettingError, match="batches of 0"):
        coding.codes_of(model, VectorSource(rows(2)), batch=0)


def test_residual_decoders_see_what_was_given(model: Autoencoder) -> None:
    class Residual(nn.Module):
        def forward(self, sample, given: Batch | None = None):
            assert given is not None
            return given.inputs.values - 1

    residual = Autoencoder(
        encoder=Half(), bottleneck=Deterministic(), decoder=Residual(), readout=Itself(), likelihood=Gaussian(1.0)
    )
    values = rows(5)
    torch.testing.assert_close(coding.reconstructions(residual, VectorSource(values), batch=2), values - 1)

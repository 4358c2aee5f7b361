"""Schedules and floors against their closed forms; the fresh decoder and the alternation of steps."""

from dataclasses import replace

import pytest
import torch

from isthmus.batch import Batch, Values
from isthmus.bundle.tensors import state_of
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.gaussian import DiagonalGaussian, Gaussian
from isthmus.core.decoders import DenseDecoder
from isthmus.core.encoders import DenseEncoder
from isthmus.core.likelihoods.discrete import Bernoulli
from isthmus.core.objectives.elbo import Elbo
from isthmus.core.objectives.posterior_collapse import (
    AggressiveEncoderTraining,
    FreeBits,
    ReconstructionOnly,
    ReinitialiseDecoder,
    pretraining_phases,
)
from isthmus.core.objectives.schedules import Constant, CyclicalAnnealing, DelayedSchedule, LinearAnnealing
from isthmus.core.priors.normal import NoPrior, StandardNormal
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError
from isthmus.protocols import Code, Hook, Phase
from isthmus.sources import VectorSource
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan
from isthmus.training.run import Run, Validation
from isthmus.training.trainer import train

ROWS, WIDTH, CODE = 12, 6, 3
CPU = {"device": "cpu", "precision": "fp32"}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def half(g):
    return DenseDecoder(CODE, (4,), generator=g), LinearReadout(4, WIDTH, generator=g)


def model(**changes):
    g = generator()
    decoder, readout = half(g)
    parts = {
        "encoder": DenseEncoder(WIDTH, (5,), generator=g, activate_last=True),
        "bottleneck": Gaussian(5, CODE, generator=g),
        "prior": StandardNormal(CODE),
        "decoder": decoder,
        "readout": readout,
        "likelihood": Bernoulli(),
    }
    return Autoencoder(**(parts | changes))


def values():
    return torch.rand(ROWS, WIDTH, generator=generator(1)).round()


def step(means, **changes):
    """A step whose posterior has these means, ± 0.1 by turns, and unit variance."""
    mean = (torch.tensor([means] * ROWS) + 0.1 * torch.tensor([1.0, -1.0] * (ROWS // 2))[:, None]).requires_grad_()
    rows = Values(values())
    made = model(**changes).step(Batch(torch.arange(ROWS), rows, rows))
    return replace(made, code=Code(mean, mean, DiagonalGaussian(mean, torch.zeros_like(mean))))


def test_cyclical_annealing_rises_and_rests_as_published():
    beta = CyclicalAnnealing(cap=0.8, cycles=4, ramp=0.5)
    found = [beta(step([0.0, 1.0, 2.0]), p) for p in (0.0, 0.0625, 0.125, 0.2, 0.249, 0.25, 0.3125, 0.99, 1.0)]
    assert found == pytest.approx([0, 0.4, 0.8, 0.8, 0.8, 0, 0.4, 0.8, 0.8])


def test_cyclical_annealing_may_rest_first():
    beta = CyclicalAnnealing(cap=1.0, cycles=2, ramp=0.25, rest=0.5)
    found = [beta(step([0.0, 1.0, 2.0]), p) for p in (0.0, 0.25, 0.3125, 0.375, 0.45, 0.5, 0.75, 0.8125, 1.0)]
    assert found == pytest.approx([0, 0, 0.5, 1, 1, 0, 0, 0.5, 1])


def test_a_delayed_schedule_has_what_is_left():
    beta = DelayedSchedule(LinearAnnealing(2.0, 0.5), 0.2)
    assert [beta(step([0.0, 1.0, 2.0]), p) for p in (0.0, 0.2, 0.4, 0.6, 1.0)] == pytest.approx([0, 0, 1, 2, 2])


def test_free_bits_floor_the_mean_rate_of_each_dimension():
    """½ (μ² + 0.01) a dimension here: 0.005, 0.5050 and 2.005 nats, of which the first is below 0.25."""
    made = step([0.0, 1.0, 2.0])
    loss = FreeBits(0.25, Constant(0.5))(made, model().prior.rate(made), 1.0)
    nll = -made.log_likelihood.mean()
    assert loss.item() == pytest.approx(nll.item() + 0.5 * (0.25 + 0.505 + 2.005), rel=1e-5)


def test_below_the_floor_nothing_pulls():
    made = step([0.0, 1.0, 2.0])
    loss = FreeBits(0.25, Constant(0.5))(made, model().prior.rate(made), 1.0)
    (gradient,) = torch.autograd.grad(loss, made.code.point)
    mean = made.code.point.detach()
    assert (gradient[:, 0] == 0).all()
    torch.testing.assert_close(gradient[:, 1:], 0.5 * mean[:, 1:] / ROWS)


def test_without_a_floor_free_bits_are_the_evidence_lower_bound():
    made = step([0.0, 1.0, 2.0])
    rate = made.model.prior.rate(made)
    torch.testing.assert_close(
        FreeBits(0.0, LinearAnnealing())(made, rate, 0.3), Elbo(LinearAnnealing())(made, rate, 0.3)
    )


def test_free_bits_need_a_rate_that_is_a_sum_over_dimensions():
    made = step([0.0, 1.0, 2.0])
    rate = torch.zeros(ROWS)
    with pytest.raises(SettingError, match="standard_normal_rates"):
        FreeBits(0.25, Constant())(replace(made, code=Code(made.code.point, made.code.point)), rate, 1.0)
    with pytest.raises(SettingError, match="NoPrior has no dimension_rates"):
        FreeBits(0.25, Constant())(step([0.0, 1.0, 2.0], prior=NoPrior()), rate, 1.0)
    with pytest.raises(SettingError, match="each row"):
        FreeBits(0.25, lambda step, progress: torch.ones(ROWS))(made, rate, 1.0)


def test_the_reconstruction_alone():
    made = step([0.0, 1.0, 2.0])
    assert torch.equal(ReconstructionOnly()(made, torch.full((ROWS,), 9.0), 1.0), -made.log_likelihood.mean())


@pytest.mark.parametrize(
    "make",
    [
        lambda: CyclicalAnnealing(cycles=0),
        lambda: CyclicalAnnealing(ramp=0.0),
        lambda: CyclicalAnnealing(ramp=0.6, rest=0.5),
        lambda: CyclicalAnnealing(rest=-0.1),
        lambda: DelayedSchedule(Constant(), 1.0),
        lambda: FreeBits(-0.1, Constant()),
        lambda: FreeBits(float("nan"), Constant()),
        lambda: AggressiveEncoderTraining(0),
    ],
)
def test_settings_outside_their_range(make):
    with pytest.raises(SettingError):
        make()


# --- phases ---------------------------------------------------------------------------------------------------------


def plan(*phases):
    return Plan(phases, Shuffled(4), learning_rate=0.01)


def weights(made):
    return {name: tensor.clone() for name, tensor in state_of(made).items()}


def pretrained(epochs, **run):
    made = model()
    phases = pretraining_phases(epochs, ReinitialiseDecoder(half, 5))
    history = train(made, VectorSource(values()), plan(*phases), Run(**CPU, **run))
    return made, history


@pytest.mark.parametrize("epochs", [1, 3])
def test_pretraining_ends_with_a_fresh_decoder_and_keeps_the_encoder(epochs):
    made, history = pretrained(epochs)
    assert [record["phase"] for record in history.records] == ["autoencoder"] * epochs
    for name, part in zip(("decoder", "readout"), half(generator(5)), strict=True):
        for key, parameter in part.named_parameters():
            assert torch.equal(made.get_submodule(name).get_parameter(key), parameter)
    plain, start = model(), model()
    phase = replace(pretraining_phases(epochs, ReinitialiseDecoder(half, 5))[0], epochs=epochs, hooks=())
    train(plain, VectorSource(values()), plan(phase), Run(**CPU))
    for name, tensor in weights(made).items():
        if name.startswith(("encoder", "bottleneck.mean")):
            assert torch.equal(tensor, plain.state_dict()[name])
            assert not torch.equal(tensor, start.state_dict()[name])
        elif name.startswith("bottleneck.log_scale"):
            # Nothing is drawn, so nothing asks for a spread.
            assert torch.equal(tensor, start.state_dict()[name])


def test_pretraining_does_not_end_in_the_best_epoch():
    phases = pretraining_phases(2, ReinitialiseDecoder(half, 5))
    made = Validation("known", lambda m: 1.0, watch=lambda m: {"seen": 2.0})
    history = train(model(), VectorSource(values()), plan(*phases, Phase(2)), Run(**CPU), made)
    assert ["known" in record for record in history.records] == [False, False, True, True]
    assert [record["seen"] for record in history.records] == [2.0] * 4
    assert history.best_epoch == 3


@pytest.mark.parametrize("until", [1, 2, 3])
def test_resumed_anywhere_it_ends_the_same(tmp_path, until):
    def trained(**run):
        made = model()
        phases = (*pretraining_phases(2, ReinitialiseDecoder(half, 5)), AggressiveEncoderTraining(2).phase(1), Phase(1))
        train(made, VectorSource(values()), plan(*phases), Run(**CPU, **run))
        return weights(made)

    whole = trained()
    trained(checkpoints=tmp_path, every=1, until=until)
    resumed = trained(checkpoints=tmp_path, every=1, resume=True)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_inner_steps_train_the_encoder_and_every_third_the_decoder():
    made, seen = model(), []

    def note(m):
        seen.append({name.split(".")[0] for name, p in m.named_parameters() if p.grad is not None})

    phase = AggressiveEncoderTraining(2).phase(2, (Hook("step", note),))
    train(made, VectorSource(values()), Plan((phase,), Shuffled(3)), Run(**CPU))
    inner, outer = {"encoder", "bottleneck"}, {"decoder", "readout"}
    # Four steps an epoch, and each epoch begins anew.
    assert seen == [inner, inner, outer, inner] * 2
    assert all(p.requires_grad for p in made.parameters())

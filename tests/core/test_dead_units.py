"""Dead units: against the auxiliary loss as it is written for a linear decoder; what it holds; that units come back."""

import pytest
import torch
from bridges import (
    CODE,
    HIDDEN,
    ROWS,
    WIDTH,
    bag_bridge,
    bags,
    batch,
    generator,
    text_bridge,
    tokens,
    values,
    vector_bridge,
)

from isthmus.batch import Values
from isthmus.core.bottlenecks.deterministic import Projected
from isthmus.core.bottlenecks.sparse import BatchTopK, JumpReLU, SparseUnits, TopK
from isthmus.core.penalties.code_weights import code_weights_of
from isthmus.core.penalties.dead_units import AuxiliaryLoss
from isthmus.core.penalties.sparsity import tied_start, unit_norm_decoder
from isthmus.errors import SettingError
from isthmus.metrics.sparsity import sparsity_of
from isthmus.protocols import Code, Phase, Step
from isthmus.sources import VectorSource
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan
from isthmus.training.run import Run
from isthmus.training.trainer import train

UNITS, DEAD = 15, (2, 5, 9, 14)


def linear_model(active=2):
    bottleneck = TopK(WIDTH, UNITS, active, generator=generator())
    bottleneck.silence.rows[list(DEAD)] = 1000
    with torch.no_grad():
        bottleneck.units.weight[list(DEAD)] *= 0.01
    return vector_bridge(bottleneck, layers=())


def step_of(model):
    return model.train().step(batch(values()), generator=generator())


@pytest.mark.parametrize("candidates", [1, 3, None])
@pytest.mark.parametrize("samples", [1, 2])
def test_it_is_the_published_loss_for_a_linear_decoder(candidates, samples):
    """½ ‖r − W z_dead‖² − ½ ‖r‖², z_dead rectified, no bias added a second time."""
    exact = Values(values().values.double())
    model = linear_model().double()
    step = model.train().step(batch(exact), generator=generator(), samples=samples)
    assert set(torch.nonzero(step.code.notes["silent"] >= 900)[:, 0].tolist()) == set(DEAD)
    pre, weight = step.code.notes["pre"], model.readout.weight
    residual = exact.values - (step.code.point @ weight.T + model.readout.bias)
    wanted = 0.0
    for row in range(ROWS):
        tried = sorted(DEAD, key=lambda unit: -float(pre[row, unit]))[: candidates or WIDTH // 2]
        explained = sum(max(float(pre[row, unit]), 0.0) * weight[:, unit] for unit in tried)
        wanted += float((residual[row] - explained).square().sum() - residual[row].square().sum()) / 2 / ROWS
    assert wanted != 0
    found = AuxiliaryLoss(0.5, candidates, dead_after=900)(step)["revival"]
    assert float(found) == pytest.approx(0.5 * wanted, rel=1e-4)


def test_only_dead_units_and_their_columns_have_a_gradient():
    model = linear_model()
    AuxiliaryLoss(1.0, dead_after=900)(step_of(model))["revival"].backward()
    living = [unit for unit in range(UNITS) if unit not in DEAD]
    for gradient in (model.readout.weight.grad.T, model.bottleneck.units.weight.grad, model.bottleneck.units.bias.grad):
        assert gradient[living].abs().sum() == 0
        assert gradient[list(DEAD)].abs().sum() > 0
    assert model.readout.bias.grad is None or model.readout.bias.grad.abs().sum() == 0


def test_without_dead_units_nothing_is_computed():
    model = linear_model()
    found = AuxiliaryLoss(dead_after=10_000)(step_of(model))["revival"]
    assert float(found) == 0
    assert not found.requires_grad


def sparse_model(signal):
    units = 4 * CODE if signal.startswith("text") else UNITS
    if signal == "vector":
        return vector_bridge(SparseUnits(HIDDEN, units, generator=generator())), values()
    if signal == "bags":
        return bag_bridge(BatchTopK(HIDDEN, units, 2, generator=generator())), bags()
    encoder, decoder = signal.split()[1:]
    return text_bridge(JumpReLU(4 * CODE, CODE, generator=generator()), encoder, decoder), tokens()


@pytest.mark.parametrize(
    "signal", ["vector", "bags", "text transformer transformer", "text lstm lstm", "text transformer memory"]
)
def test_every_signal_and_decoder(signal):
    """Likelihood with the dead units added minus that without, and a gradient for their columns alone."""
    model, inputs = sparse_model(signal)
    model.train()
    model.bottleneck.silence.rows[1] = 10**6
    with torch.no_grad():
        model.bottleneck.units.bias[1] = 5.0
        model.bottleneck.units.weight[1] = 0
    hidden = model.encoder.trunk(model.encoder.enter(inputs), inputs)
    code = model.bottleneck(hidden)
    # The bottleneck itself would keep a unit that is this large: say that it did not.
    point = code.point.detach().clone()
    point[:, 1] = 0
    code = Code(point, point, notes={**code.notes, "silent": model.bottleneck.silence.rows.clone()})
    code.notes["silent"][1] = 10**6
    given = batch(inputs)

    def log_likelihood(sample):
        return model.likelihood(model.readout, model.decoder(sample, given), given.targets)

    step = Step(model, given, code, None, log_likelihood(point)[:, None], 1, generator())
    found = AuxiliaryLoss(1.0)(step)["revival"]
    added = point.clone()
    added[:, 1] = 5.0
    torch.testing.assert_close(found, (log_likelihood(point) - log_likelihood(added)).mean())
    found.backward()
    assert model.bottleneck.units.bias.grad[1] != 0
    assert torch.count_nonzero(model.bottleneck.units.bias.grad) == 1
    reading = {id(layer.weight): layer for layer in code_weights_of(model)}
    for name, parameter in model.named_parameters():
        if id(parameter) in reading:
            moved = parameter.grad[:, reading[id(parameter)].columns].abs().sum(0)
            assert moved.nonzero().tolist() == [[1]], name
            parameter.grad[:, reading[id(parameter)].columns] = 0
        if name.startswith(("decoder.", "readout.")):
            assert parameter.grad is None or parameter.grad.abs().sum() == 0, name


def planted(rows=2000, seed=3):
    """Rows made of 2 of 64 directions."""
    g = generator(seed)
    directions = torch.nn.functional.normalize(torch.randn(64, WIDTH, generator=g))
    chosen = torch.rand(rows, 64, generator=g).topk(2, 1).indices
    return (directions[chosen] * (1 + torch.rand(rows, 2, 1, generator=g))).sum(1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [TopK, BatchTopK])
def test_units_come_back(kind):
    """Most start so low that nothing would ever choose them, and the published loss would leave them there too."""
    dead = {}
    for revives in (False, True):
        bottleneck = kind(WIDTH, 64, 2, generator=generator())
        with torch.no_grad():
            bottleneck.units.bias[:40] = -1.5
        penalties = (AuxiliaryLoss(dead_after=500),) if revives else ()
        model = vector_bridge(bottleneck, layers=(), penalties=penalties, hooks=(unit_norm_decoder(),))
        tied_start(model)
        plan = Plan((Phase(12),), Shuffled(100), learning_rate=1e-2)
        train(model, VectorSource(planted()), plan, Run(device="cpu", seed=0))
        dead[revives] = sparsity_of(model.encode(Values(planted())).point).dead
    assert dead[True] < 0.05 < 0.5 < dead[False]


def test_a_bottleneck_that_does_not_count():
    with pytest.raises(SettingError, match="a penalty on Projected"):
        AuxiliaryLoss()(step_of(vector_bridge(Projected(HIDDEN, CODE, generator=generator()))))


@pytest.mark.parametrize("settings", [{"weight": -1.0}, {"candidates": 0}, {"dead_after": 0}])
def test_settings_out_of_range(settings):
    with pytest.raises(SettingError):
        AuxiliaryLoss(**settings)

"""Penalties of sparse codes against their formulas; which weights read the code; unit columns; a tied start."""

from dataclasses import replace

import pytest
import torch
from bridges import CODE, HIDDEN, ROWS, WIDTH, batch, decoders, generator, tokens, values, vector_bridge

from isthmus.batch import Batch
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Projected
from isthmus.core.bottlenecks.sparse import BatchTopK, JumpReLU, SparseUnits, TopK
from isthmus.core.decoders import DenseDecoder
from isthmus.core.encoders import DenseEncoder
from isthmus.core.likelihoods.continuous import Gaussian
from isthmus.core.penalties.code_weights import code_weights_of, columns, unit_columns
from isthmus.core.penalties.sparsity import L0, L1, KlSparsity, tied_start, unit_norm_decoder
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError
from isthmus.protocols import Phase
from isthmus.sources import VectorSource
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan
from isthmus.training.run import Run
from isthmus.training.trainer import train


def step_of(bottleneck, rows=ROWS, **changes):
    return vector_bridge(bottleneck, **changes).step(batch(values(rows)), generator=generator())


def decoded_by(name):
    decoder, width = decoders()[name]
    return Autoencoder(
        encoder=DenseEncoder(WIDTH, (HIDDEN,), generator=generator(), activate_last=True),
        bottleneck=TopK(HIDDEN, CODE, 2, generator=generator()),
        decoder=decoder,
        readout=LinearReadout(width, WIDTH, generator=generator()),
        likelihood=Gaussian(),
    )


@pytest.mark.parametrize("name", decoders())
def test_columns_are_all_that_reads_the_code(name):
    """Without them the state does not depend on the code; with only one unit's columns, on that unit alone."""
    model = decoded_by(name)
    given = Batch(torch.arange(ROWS), tokens(), tokens())

    def told(sample):
        decoded = model.decoder(sample, given)
        return decoded if name != "none" and name != "skipping" else model.readout.logits(decoded)

    rows = columns(model)
    assert rows.shape[1] == CODE
    sample = torch.rand(ROWS, CODE, generator=generator(2)) + 0.5
    assert not torch.allclose(told(sample), told(2 * sample))
    with torch.no_grad():
        for layer in code_weights_of(model):
            layer.weight[:, layer.columns][:, 1:] = 0
    assert torch.allclose(told(sample), told(sample * torch.tensor([1.0, 2, 3, 4])))
    assert not torch.allclose(told(sample), told(sample * torch.tensor([2.0, 1, 1, 1])))


@pytest.mark.parametrize("name", decoders())
def test_unit_columns_are_scaled_and_nothing_else_is(name):
    model = decoded_by(name)
    before = columns(model).detach().clone()
    others = {n: p.detach().clone() for n, p in model.named_parameters()}
    unit_columns(model)
    torch.testing.assert_close(columns(model), before / before.norm(dim=0))
    reading = {id(layer.weight): layer for layer in code_weights_of(model)}
    for parameter, weight in model.named_parameters():
        rest = torch.ones_like(weight, dtype=torch.bool)
        if id(weight) in reading:
            rest[:, reading[id(weight)].columns] = False
        assert torch.equal(weight[rest], others[parameter][rest])


def test_a_column_of_zeros_stays():
    model = decoded_by("dense")
    with torch.no_grad():
        model.decoder.mlp.layers[0].weight[:, 2] = 0
    unit_columns(model)
    torch.testing.assert_close(columns(model).norm(dim=0), torch.tensor([1.0, 1, 0, 1]))


def test_the_columns_of_a_foreign_decoder_are_not_guessed():
    model = decoded_by("dense")
    model.decoder = torch.nn.Linear(CODE, HIDDEN)
    with pytest.raises(SettingError, match="Linear has no code_weights"):
        columns(model)


def test_the_hook_keeps_columns_at_length_1_in_training():
    model = vector_bridge(TopK(HIDDEN, 9, 2, generator=generator()), hooks=(unit_norm_decoder(),))
    plan = Plan((Phase(2),), Shuffled(4), learning_rate=0.1)
    before = columns(model).detach().clone()
    train(model, VectorSource(values(10).values), plan, Run(device="cpu", seed=0))
    torch.testing.assert_close(columns(model).norm(dim=0), torch.ones(9))
    assert not torch.allclose(columns(model), before / before.norm(dim=0))


def test_a_tied_start_is_one_matrix_and_then_two():
    model = vector_bridge(BatchTopK(WIDTH, 30, 3, generator=generator()), layers=())
    tied_start(model)
    assert torch.equal(model.bottleneck.units.weight, columns(model).T)
    torch.testing.assert_close(columns(model).norm(dim=0), torch.ones(30))
    with torch.no_grad():
        model.bottleneck.units.weight.zero_()
    torch.testing.assert_close(columns(model).norm(dim=0), torch.ones(30))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: vector_bridge(Projected(HIDDEN, CODE, generator=generator())), "Projected"),
        (
            lambda: vector_bridge(TopK(HIDDEN, CODE, 1, generator=generator())),
            "6 numbers and .* columns of 12",
        ),
        (lambda: decoded_by("transformer"), "one layer that reads the code"),
    ],
)
def test_a_tied_start_wants_a_sparse_code_between_equal_widths(model, message):
    with pytest.raises(SettingError, match=message):
        tied_start(model())


def test_l1_is_weighed_by_the_lengths_of_the_columns():
    step = step_of(SparseUnits(HIDDEN, 9, generator=generator()))
    weight, points = step.model.readout.weight.detach(), step.code.point.detach()
    wanted = sum(float(z.abs()) * float(weight[:, j].norm()) for row in points for j, z in enumerate(row))
    assert float(L1(0.3)(step)["l1"].detach()) == pytest.approx(0.3 * wanted / ROWS, rel=1e-5)


def test_l1_cannot_be_cheated_by_a_small_code_and_a_large_decoder():
    step = step_of(SparseUnits(HIDDEN, 9, generator=generator()))
    small = step_of(SparseUnits(HIDDEN, 9, generator=generator()))
    with torch.no_grad():
        small.model.readout.weight *= 10
    cheat = replace(small, code=replace(small.code, point=small.code.point / 10))
    torch.testing.assert_close(L1(1.0)(cheat)["l1"], L1(1.0)(step)["l1"])


def test_kl_sparsity_is_the_divergence_of_coins():
    step = step_of(SparseUnits(HIDDEN, 9, generator=generator(), activation="sigmoid"), rows=20)
    shares = torch.distributions.Bernoulli(step.code.point.mean(0))
    wanted = torch.distributions.kl_divergence(torch.distributions.Bernoulli(torch.tensor(0.1)), shares).sum()
    torch.testing.assert_close(KlSparsity(0.1, 2.0)(step)["kl_sparsity"], 2 * wanted)


def test_kl_sparsity_of_units_that_are_never_on_is_finite():
    bottleneck = SparseUnits(HIDDEN, 9, generator=generator(), activation="sigmoid")
    with torch.no_grad():
        bottleneck.units.bias.fill_(-200.0)
    assert torch.isfinite(KlSparsity()(step_of(bottleneck))["kl_sparsity"])


def test_l0_is_0_at_its_target_and_quadratic_beside_it():
    step = step_of(JumpReLU(HIDDEN, 9, generator=generator(), threshold=0.1))
    used = float((step.code.point > 0).sum(1).float().mean())
    assert used > 0
    assert float(L0(used, 5.0)(step)["l0"]) == pytest.approx(0, abs=1e-6)
    assert float(L0(used / 3, 5.0)(step)["l0"]) == pytest.approx(5 * 4, rel=1e-5)


def trained(bottleneck, penalties):
    model = vector_bridge(bottleneck, penalties=penalties)
    plan = Plan((Phase(60),), Shuffled(100), learning_rate=0.03)
    train(model, VectorSource(values(200).values), plan, Run(device="cpu", seed=0))
    return model.encode(values(200)).point.detach()


@pytest.mark.slow
def test_penalties_make_codes_sparse():
    """Planted: L0 comes to its target, L1 silences, KL brings the mean to ρ."""
    jump = trained(JumpReLU(HIDDEN, 20, generator=generator(), bandwidth=0.3, threshold=0.1), (L0(4.0, 20.0),))
    assert (jump > 0).sum(1).float().mean() == pytest.approx(4, rel=0.15)
    free, quiet = (trained(SparseUnits(HIDDEN, 20, generator=generator()), (L1(w),)) for w in (0.0, 1.0))
    assert (quiet > 0).float().mean() < (free > 0).float().mean() / 2
    coins = SparseUnits(HIDDEN, 20, generator=generator(), activation="sigmoid")
    shares = trained(coins, (KlSparsity(0.1, 30.0),)).mean(0)
    torch.testing.assert_close(shares, torch.full_like(shares, 0.1), atol=0.03, rtol=0)


@pytest.mark.parametrize(
    ("penalty", "bottleneck"),
    [
        (L1(1.0), SparseUnits),
        (L0(1.0), JumpReLU),
    ],
)
def test_gradients_reach_the_code(penalty, bottleneck):
    made = bottleneck(HIDDEN, 9, generator=generator())
    if isinstance(made, JumpReLU):
        with torch.no_grad():
            made.log_threshold.fill_(-2.0)
        made.bandwidth = 1.0
    step = step_of(made, rows=30)
    sum(penalty(step).values()).backward()
    reached = made.log_threshold if isinstance(made, JumpReLU) else made.units.weight
    assert reached.grad.abs().sum() > 0


@pytest.mark.parametrize("penalty", [KlSparsity(), L0(3.0)])
def test_a_penalty_on_a_bottleneck_that_lacks_what_it_needs(penalty):
    with pytest.raises(SettingError, match="a penalty on TopK"):
        penalty(step_of(TopK(HIDDEN, 9, 2, generator=generator())))


@pytest.mark.parametrize(
    ("penalty", "settings"),
    [
        (L1, {"weight": -1.0}),
        (KlSparsity, {"weight": -1.0}),
        (KlSparsity, {"target": 0.0}),
        (KlSparsity, {"target": 1.0}),
        (L0, {"target": 0.0}),
        (L0, {"target": 1.0, "weight": -1.0}),
    ],
)
def test_settings_out_of_range(penalty, settings):
    with pytest.raises(SettingError):
        penalty(**settings)


def test_a_decoder_with_layers_is_read_by_the_first():
    model = decoded_by("dense")
    assert isinstance(model.decoder, DenseDecoder)
    assert [layer.weight is model.decoder.mlp.layers[0].weight for layer in code_weights_of(model)] == [True]

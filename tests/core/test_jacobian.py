"""The contractive penalty: every method against the full Jacobian and against each other; that it has a gradient, and
which mistakes it does not make."""

import math

import pytest
import torch
from bridges import CODE, HIDDEN, WIDTH, bag_bridge, bags, batch, generator, text_bridge, tokens, values, vector_bridge
from nearness import assert_near
from torch.func import jacrev, vmap

from isthmus.batch import Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic, Projected
from isthmus.core.bottlenecks.gaussian import Gaussian
from isthmus.core.bottlenecks.sparse import SparseUnits, TopK
from isthmus.core.decoders import ConvDecoder
from isthmus.core.encoders import ConvEncoder
from isthmus.core.likelihoods.discrete import Bernoulli
from isthmus.core.ops.bags import unit_norm
from isthmus.core.penalties.jacobian import Contractive, jacobian_norms
from isthmus.core.readouts import GridReadout
from isthmus.errors import SettingError
from isthmus.models.rec_vae import DenselyConnectedEncoder

EXACT = ("gram", "jacobian")
DRAWN = ("hutchinson", "difference")


def full(model, entered, inputs=None, table=None):
    """‖J‖² row by row from torch's own Jacobian of encoder and bottleneck."""

    def point(row):
        return model.bottleneck(model.encoder.trunk(row[None], inputs)).point[0]

    model.eval()
    jacobians = vmap(jacrev(point))(entered.detach())
    jacobians = jacobians if table is None else jacobians @ table.T
    return jacobians.flatten(1).square().sum(1).detach()


def one_layer():
    """Sigmoid units right on the input: Rifai et al. 2011."""
    bottleneck = SparseUnits(WIDTH, 2 * CODE, generator=generator(3), activation="sigmoid")
    return vector_bridge(bottleneck, layers=())


def bottlenecks(hidden):
    return {
        "deterministic": Deterministic(),
        "projected": Projected(hidden, CODE, generator=generator(3)),
        "gaussian": Gaussian(hidden, CODE, generator=generator(3)),
        "sigmoid": SparseUnits(hidden, CODE, generator=generator(3), activation="sigmoid"),
        "topk": TopK(hidden, 3 * CODE, 2, generator=generator(3)),
    }


def test_all_five_methods_agree_on_one_layer_of_sigmoids():
    """Closed form, Gram trick and Jacobian to 1e-6; Hutchinson and differences within three standard errors."""
    model, inputs = one_layer(), values(rows=200)
    unit = model.bottleneck.units
    h = torch.sigmoid(inputs.values @ unit.weight.T + unit.bias)
    wanted = ((h * (1 - h)).square() * unit.weight.square().sum(1)).sum(1).detach()
    for method in ("closed", *EXACT):
        torch.testing.assert_close(
            jacobian_norms(model, inputs, method=method).detach(), wanted, rtol=1e-5, atol=1e-6, msg=method
        )
    torch.testing.assert_close(full(model, inputs.values), wanted, rtol=1e-5, atol=1e-6)
    for method in DRAWN:
        drawn = jacobian_norms(model, inputs, method=method, probes=8, generator=generator(5)).detach()
        error = (drawn - wanted).std() / math.sqrt(len(drawn))
        assert 0 < abs(float((drawn - wanted).mean())) < 3 * float(error), method


@pytest.mark.parametrize(
    ("activation", "kind", "layers"),
    [
        *((activation, "projected", (HIDDEN, 5)) for activation in ("tanh", "sigmoid", "silu", "gelu", "relu")),
        *(("tanh", kind, (HIDDEN,)) for kind in bottlenecks(4)),
        ("identity", "deterministic", (HIDDEN, 5)),
    ],
)
def test_mlps_equal_the_full_jacobian(activation, kind, layers):
    model = vector_bridge(bottlenecks(layers[-1])[kind], layers=layers, activation=activation)
    wanted = full(model, values().values)
    assert wanted.min() > 0
    for method in (*EXACT, "auto"):
        torch.testing.assert_close(
            jacobian_norms(model, values(), method=method).detach(), wanted, rtol=1e-4, atol=1e-7
        )


@pytest.mark.parametrize("layers", [(HIDDEN,), (HIDDEN, 5)])
def test_bags_count_the_derivative_by_every_column_of_the_catalogue(layers):
    """Against the Jacobian of the same network on dense rows, of which the bags' own columns are only some."""
    model = bag_bridge(bottlenecks(layers[-1])["projected"], layers=layers, scaling=unit_norm)
    encoder = model.encoder
    wanted = full(model, encoder.enter(unit_norm(bags())), table=encoder.table)

    def dense(row):
        hidden = encoder.mlp(encoder.activation(row[None] @ encoder.table + encoder.bias))
        return model.bottleneck(hidden).point[0]

    rows = torch.zeros(bags().size, WIDTH)
    scaled = unit_norm(bags())
    rows.index_put_((scaled.rows(), scaled.indices), scaled.weights)
    assert_near(vmap(jacrev(dense))(rows).flatten(1).square().sum(1), wanted)
    for method in (*EXACT, "auto"):
        assert_near(jacobian_norms(model, bags(), method=method), wanted)
    for method in DRAWN:
        drawn = jacobian_norms(model, bags(), method=method, probes=800, generator=generator()).detach()
        torch.testing.assert_close(drawn.mean(), wanted.mean(), rtol=0.08, atol=0)


def test_connected_encoders_of_bags_too():
    encoder = DenselyConnectedEncoder(WIDTH, HIDDEN, generator=generator(2), layers=2)
    model = bag_bridge(Projected(HIDDEN, CODE, generator=generator(3)), encoder=encoder)
    wanted = full(model, encoder.enter(bags()), table=encoder.table)
    assert_near(jacobian_norms(model, bags()), wanted)


def image_model():
    g = generator(7)
    encoder = ConvEncoder(1, 8, 8, (2, 3), generator=g, hidden=HIDDEN)
    return Autoencoder(
        encoder=encoder,
        bottleneck=Projected(HIDDEN, CODE, generator=g),
        decoder=ConvDecoder(CODE, 8, 8, (2, 3), generator=g),
        readout=GridReadout(2, 1, 8, 8, generator=g),
        likelihood=Bernoulli(),
    )


def images():
    return Values(torch.rand(3, 1, 8, 8, generator=generator(1)))


def test_convolutions_and_attention():
    model = image_model()
    wanted = full(model, images().values)
    torch.testing.assert_close(jacobian_norms(model, images()).detach(), wanted, rtol=1e-4, atol=1e-7)
    for method in DRAWN:
        drawn = jacobian_norms(model, images(), method=method, probes=400, generator=generator()).detach()
        torch.testing.assert_close(drawn.mean(), wanted.mean(), rtol=0.1, atol=0)


@pytest.mark.parametrize("encoder", ["transformer", "lstm"])
def test_texts_count_real_tokens_only(encoder):
    model = text_bridge(Projected(4 * CODE, CODE, generator=generator(3)), encoder)
    rows = tokens()
    for method in ("auto", *DRAWN):
        assert jacobian_norms(model, rows, method=method, probes=3, generator=generator()).min() > 0
    exact = jacobian_norms(model, rows).detach()
    entered = model.encoder.enter(rows).detach().requires_grad_()
    point = model.bottleneck(model.encoder.trunk(entered, rows)).point
    pulled = torch.stack([torch.autograd.grad(point[:, j].sum(), entered, retain_graph=True)[0] for j in range(CODE)])
    assert pulled[:, ~rows.mask].abs().sum() == 0
    assert_near(exact, pulled.square().sum((0, 2, 3)))


@pytest.mark.parametrize("method", ["auto", *EXACT, *DRAWN])
def test_the_penalty_has_the_gradient_of_its_value(method):
    """Not of a copy of the weights, and not of weights without their activations: against finite differences."""
    model = vector_bridge(Projected(HIDDEN, CODE, generator=generator(3))).double()
    inputs = Values(values().values.double())

    def penalty():
        step = model.step(batch(inputs), generator=generator(4))
        return Contractive(2.0, method)(step)["contraction"]

    model.zero_grad()
    penalty().backward()
    for weight in (model.encoder.mlp.layers[0].weight, model.encoder.mlp.layers[0].bias, model.bottleneck.point.weight):
        direction = torch.randn(weight.shape, generator=generator(8)).double()
        values_at = []
        for sign in (1, -1):
            with torch.no_grad():
                weight += sign * 1e-5 * direction
            values_at.append(float(penalty()))
            with torch.no_grad():
                weight -= sign * 1e-5 * direction
        slope = (values_at[0] - values_at[1]) / 2e-5
        assert float((weight.grad * direction).sum()) == pytest.approx(slope, rel=1e-4)
        assert slope != 0


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (lambda: bag_bridge(Projected(HIDDEN, CODE, generator=generator(3))), bags),
        (image_model, images),
        (lambda: text_bridge(Projected(4 * CODE, CODE, generator=generator(3))), tokens),
        (lambda: text_bridge(Projected(4 * CODE, CODE, generator=generator(3)), "lstm"), tokens),
    ],
    ids=["bags", "images", "transformer", "lstm"],
)
def test_every_weight_before_the_code_has_a_gradient(model, inputs):
    model = model().train()
    step = model.step(batch(inputs()), generator=generator(4))
    Contractive(1.0)(step)["contraction"].backward()
    free = {"encoder.norm.bias", "encoder.positions", "bottleneck.point.bias"}
    for name, weight in model.named_parameters():
        if name.startswith(("encoder.", "bottleneck.")) and name not in free:
            assert weight.grad is not None, name
            assert weight.grad.abs().sum() > 0, name


def test_the_penalty_makes_codes_flatter():
    """A penalty whose gradient is none, as in published code, leaves the norm as it is."""
    model, inputs = vector_bridge(Projected(HIDDEN, CODE, generator=generator(3))), values(rows=64)
    before = float(jacobian_norms(model, inputs).mean())
    adam = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(50):
        step = model.step(batch(inputs), generator=generator(4))
        adam.zero_grad()
        (Contractive(1.0)(step)["contraction"] - step.log_likelihood.mean()).backward()
        adam.step()
    assert float(jacobian_norms(model, inputs).mean()) < before / 2


def test_it_is_not_the_norm_of_a_sum_of_codes():
    """autograd.grad(code, input, ones) is ‖Jᵀ1‖², a published mistake; two opposite units make it 0."""
    bottleneck = Projected(WIDTH, 2, generator=generator())
    with torch.no_grad():
        bottleneck.point.weight[1] = -bottleneck.point.weight[0]
    norms = jacobian_norms(vector_bridge(bottleneck, layers=()), values(), method="jacobian")
    torch.testing.assert_close(norms, 2 * bottleneck.point.weight[0].square().sum().expand(len(norms)))


def test_dropout_and_modes_stay_as_they_are():
    model = text_bridge(Projected(4 * CODE, CODE, generator=generator(3))).train()
    model.encoder.dropout.rate = 0.5
    model.bottleneck.eval()
    first, second = (jacobian_norms(model, tokens()).detach() for _ in range(2))
    assert torch.equal(first, second)
    assert model.encoder.training
    assert model.encoder.blocks[0].training
    assert not model.bottleneck.training
    assert int(model.encoder.dropout.calls) == 0


def test_clean_inputs_and_fp32_whatever_is_around():
    def noisy(inputs, generator):
        return Values(torch.zeros_like(inputs.values))

    model = vector_bridge(Projected(HIDDEN, CODE, generator=generator(3)), corruption=noisy).train()
    wanted = jacobian_norms(model, values()).mean()
    with torch.autocast("cpu", torch.bfloat16):
        step = model.step(batch(values()), generator=generator(4))
        found = Contractive(1.0)(step)["contraction"]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted)


def test_without_a_generator_nothing_is_random():
    model = vector_bridge(Projected(HIDDEN, CODE, generator=generator(3)))
    wanted = full(model, values().values)
    for method in DRAWN:
        torch.testing.assert_close(jacobian_norms(model, values(), method=method).detach(), wanted)


def test_it_answers_under_no_grad():
    model = vector_bridge(Projected(HIDDEN, CODE, generator=generator(3)))
    with torch.no_grad():
        norms = jacobian_norms(model, values())
    torch.testing.assert_close(norms.detach(), full(model, values().values))


def test_closed_forms_are_for_encoders_that_have_one():
    model = vector_bridge(Projected(5, CODE, generator=generator(3)), layers=(HIDDEN, 5))
    with pytest.raises(SettingError, match="one layer before the code"):
        jacobian_norms(model, values(), method="closed")
    with pytest.raises(SettingError, match="an MLP before the code"):
        jacobian_norms(text_bridge(Projected(4 * CODE, CODE, generator=generator(3))), tokens(), method="gram")


@pytest.mark.parametrize(
    "settings", [{"weight": -1.0}, {"weight": 1.0, "method": "exact"}, {"weight": 1.0, "probes": 0}]
)
def test_settings_out_of_range(settings):
    with pytest.raises(SettingError):
        Contractive(**settings)


def test_a_frozen_encoder_still_has_a_norm():
    model = vector_bridge(Projected(HIDDEN, CODE, generator=generator(3)))
    wanted = full(model, values().values)
    model.requires_grad_(False)
    for method in ("jacobian", "gram"):
        torch.testing.assert_close(jacobian_norms(model, values(), method=method).detach(), wanted)

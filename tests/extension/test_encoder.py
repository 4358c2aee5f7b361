"""An encoder from outside: plain layers over signed square roots of the inputs. What it says of itself is enough for
exact derivatives and for pseudo-inputs; where it says nothing, the error names what to add."""

from __future__ import annotations

import pytest
import torch
from bridges import batch, generator, values, vector_bridge
from torch import nn

from isthmus.batch import Vector
from isthmus.capabilities import AffineLayer
from isthmus.core.bottlenecks.deterministic import Projected
from isthmus.core.bottlenecks.gaussian import Gaussian
from isthmus.core.ops.layers import linear
from isthmus.core.penalties.jacobian import Contractive, jacobian_norms
from isthmus.core.priors.mixture import VampPrior
from isthmus.errors import SettingError
from isthmus.models.parts.priors import prior_of
from isthmus.protocols import Phase
from isthmus.sources import VectorSource
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan
from isthmus.training.run import Run
from isthmus.training.trainer import train

WIDTH, HIDDEN, CODE = 12, 6, 4


class RootEncoder(nn.Module):
    """tanh(W s + b) with s the signed square roots of a row."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = linear(WIDTH, HIDDEN, generator(2))

    def enter(self, inputs):
        return inputs.values.sign() * inputs.values.abs().sqrt()

    def trunk(self, entered, inputs):
        return torch.tanh(self.layer(entered))


class Telling(RootEncoder):
    """The same, which also says how it is made."""

    entered_shape = (WIDTH,)

    def affine_layers(self):
        return (AffineLayer(self.layer.weight, self.layer.bias, torch.tanh),)


def model_with(encoder, bottleneck=None, **changes):
    made = Projected(HIDDEN, CODE, generator=generator(3)) if bottleneck is None else bottleneck
    return vector_bridge(made, encoder=encoder, **changes)


def test_the_derivative_of_its_layers_is_exact() -> None:
    model, rows = model_with(Telling()), values()
    entered = model.encoder.enter(rows)
    whole = torch.autograd.functional.jacobian(
        lambda x: model.bottleneck(model.encoder.trunk(x, rows)).point.sum(0), entered
    )
    exact = whole.square().sum((0, 2))
    for method in ("auto", "gram", "jacobian"):
        torch.testing.assert_close(jacobian_norms(model, rows, method=method), exact)


def test_without_layers_it_is_still_contracted() -> None:
    model, rows = model_with(RootEncoder()), values()
    torch.testing.assert_close(jacobian_norms(model, rows), jacobian_norms(model_with(Telling()), rows))
    with pytest.raises(SettingError, match="gram"):
        jacobian_norms(model, rows, method="gram")


def test_it_trains_under_the_contractive_penalty() -> None:
    rows = values(64)
    left = {}
    for weight in (0.0, 3.0):
        model = model_with(Telling(), penalties=(Contractive(weight),))
        plan = Plan((Phase(20),), Shuffled(16), learning_rate=0.01)
        history = train(model, VectorSource(rows.values), plan, Run(device="cpu"))
        assert history.records[-1]["loss"] < history.records[0]["loss"]
        left[weight] = float(jacobian_norms(model, rows).mean())
    assert left[3.0] < 0.5 * left[0.0]


def test_pseudo_inputs_have_the_shape_that_it_names() -> None:
    bottleneck = Gaussian(HIDDEN, CODE, generator=generator(3))
    chosen = prior_of("pseudo-inputs", Vector(WIDTH), Telling(), bottleneck, CODE, 3, generator())
    assert isinstance(chosen.part, VampPrior)
    assert chosen.part.pseudo.shape == (3, WIDTH)
    model = model_with(Telling(), bottleneck, prior=chosen.part)
    assert model.loss(model.step(batch(values()), generator=generator())).terms["rate"].isfinite()
    with pytest.raises(SettingError, match="RootEncoder has no entered_shape"):
        prior_of("pseudo-inputs", Vector(WIDTH), RootEncoder(), bottleneck, CODE, 3, generator())

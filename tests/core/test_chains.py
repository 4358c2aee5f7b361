"""Gradients that are written out are those of automatic differentiation."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, nn

from isthmus.capabilities import AffineLayer
from isthmus.core.ops.chains import SLOPES, Chain, chain_of
from isthmus.core.ops.layers import ACTIVATIONS, Mlp, affine


def drawn(activation: str) -> tuple[Mlp, torch.Tensor, torch.Tensor]:
    g = Generator().manual_seed(0)
    mlp = Mlp((5, 7, 4, 3), generator=g, activation=activation, activate_last=True)
    return mlp, torch.randn(6, 5, generator=g), torch.randn(6, 3, generator=g)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_gradients_of_every_activation(activation: str) -> None:
    mlp, inputs, upstream = drawn(activation)
    expected = torch.autograd.grad(mlp(inputs), list(mlp.parameters()), upstream)
    chain = Chain(mlp.affine_layers())
    passed = chain.forward(inputs)
    torch.testing.assert_close(passed.output, mlp(inputs))
    chain.backward(passed, upstream.clone())
    for parameter, gradient in zip(mlp.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_every_named_activation_has_a_slope() -> None:
    assert set(SLOPES) == set(ACTIVATIONS.values())


def test_parts_are_joined_in_order() -> None:
    mlp, inputs, _ = drawn("tanh")
    layers = mlp.affine_layers()
    chain = chain_of([layers[:2], (), layers[2:]])
    assert chain is not None
    torch.testing.assert_close(chain.forward(inputs).output, mlp(inputs))


def test_what_is_no_chain() -> None:
    mlp, _, _ = drawn("tanh")
    layers = mlp.affine_layers()
    square = AffineLayer(layers[0].weight, layers[0].bias, torch.square)
    derived = AffineLayer(layers[0].weight * 2, layers[0].bias, ACTIVATIONS["identity"])
    layer = affine(nn.Linear(4, 4))
    assert chain_of([layers, None]) is None
    assert chain_of([(), ()]) is None
    assert chain_of([(square,)]) is None
    assert chain_of([(derived,)]) is None
    assert chain_of([(layer,), (layer,)]) is None

"""Chains of affine layers with their gradient written out.

A small network spends most of a training step on recording and walking the graph of automatic differentiation. The
gradient of a chain of layers needs no graph: it is two products and a sum for each layer, in reverse order (Rumelhart,
Hinton & Williams, "Learning representations by back-propagating errors", Nature 1986).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.capabilities import AffineLayer
from isthmus.core.ops.layers import ACTIVATIONS, Activation

Slope = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(gradient of the outputs of an activation, its inputs, its outputs) -> gradient of the inputs."""

_backward = torch.ops.aten

SLOPES: dict[Activation, Slope] = {
    ACTIVATIONS["identity"]: lambda gradient, before, after: gradient,
    ACTIVATIONS["tanh"]: lambda gradient, before, after: _backward.tanh_backward.default(gradient, after),
    ACTIVATIONS["sigmoid"]: lambda gradient, before, after: _backward.sigmoid_backward.default(gradient, after),
    ACTIVATIONS["relu"]: lambda gradient, before, after: _backward.threshold_backward.default(gradient, after, 0),
    ACTIVATIONS["gelu"]: lambda gradient, before, after: _backward.gelu_backward.default(gradient, before),
    ACTIVATIONS["silu"]: lambda gradient, before, after: _backward.silu_backward.default(gradient, before),
}
"""The derivatives of the activations by which layers are named."""


class Passed(NamedTuple):
    """What the way back through a chain needs: inputs of each layer, and of its activation."""

    entered: list[Tensor]
    before: list[Tensor]
    output: Tensor


class Chain:
    """Consecutive affine layers whose weights are parameters, and whose activations have a known derivative.

    Args:
        layers: from input to output; at least one.
    """

    def __init__(self, layers: Sequence[AffineLayer]) -> None:
        self.layers = [(layer.weight, layer.bias, layer.activation, SLOPES[layer.activation]) for layer in layers]
        self.parameters = {id(parameter) for weight, bias, *_ in self.layers for parameter in (weight, bias)}

    @torch.no_grad()
    def forward(self, x: Float[Tensor, "batch inputs"]) -> Passed:
        """The output of the last layer, with what ``backward`` needs."""
        entered, before = [], []
        for weight, bias, activation, _ in self.layers:
            entered.append(x)
            x = torch.nn.functional.linear(x, weight, bias)
            before.append(x)
            x = activation(x)
        return Passed(entered, before, x)

    @torch.no_grad()
    def backward(self, passed: Passed, gradient: Float[Tensor, "batch outputs"]) -> None:
        """Set ``grad`` of all weights and biases.

        Args:
            passed: result of ``forward``.
            gradient: of the loss, at the output of the chain.
        """
        after = [*passed.entered[1:], passed.output]
        for index in reversed(range(len(self.layers))):
            weight, bias, _, slope = self.layers[index]
            gradient = slope(gradient, passed.before[index], after[index])
            weight.grad = torch.mm(gradient.t(), passed.entered[index])
            bias.grad = gradient.sum(0)
            if index:
                gradient = torch.mm(gradient, weight)


def chain_of(parts: Sequence[Sequence[AffineLayer] | None]) -> Chain | None:
    """The chain of all layers of some parts; None if a part has others, or the derivative of an activation is unknown.

    Args:
        parts: layers of each part, in order.
    """
    if any(part is None for part in parts):
        return None
    layers = [layer for part in parts for layer in part or ()]
    known = all(layer.activation in SLOPES for layer in layers)
    own = [of for layer in layers for of in (layer.weight, layer.bias)]
    # A weight that two layers share would need the sum of both gradients.
    apart = len({id(one) for one in own}) == len(own) and all(isinstance(one, torch.nn.Parameter) for one in own)
    return Chain(layers) if layers and known and apart else None

"""Encoders that are plain layers, one after the other: their derivative can be multiplied out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.core.bottlenecks.gaussian import Deterministic, Gaussian, Projected
from isthmus.core.bottlenecks.sparse import BatchTopK, JumpReLU, SparseUnits, TopK
from isthmus.core.encoders.bag import BagEncoder
from isthmus.core.encoders.dense import DenseEncoder
from isthmus.core.ops.layers import ACTIVATIONS, Activation, Mlp
from isthmus.protocols import Bottleneck, Encoder


@dataclass(frozen=True)
class Layer:
    """x to f(W x + b). Each output of ``activation`` may depend on other inputs only where its derivative by them is 0
    (which units of a row are the largest, say)."""

    weight: Float[Tensor, "outputs inputs"]
    bias: Float[Tensor, " outputs"]
    activation: Activation


@dataclass(frozen=True)
class Chain:
    """All layers from the numbers of a row, of which no matrix product is needed any more where ``summed``, to the
    point of the code.

    Attributes:
        layers: the first one first; at least one.
        summed: whether what enters is W_1 x already, without the bias: a sum over a bag.
    """

    layers: tuple[Layer, ...]
    summed: bool

    @property
    def cost(self) -> int:
        """Numbers that ``squares`` makes for each row: code times widest layer; code alone for one layer."""
        code = len(self.layers[-1].weight)
        return code * max((len(layer.weight) for layer in self.layers[:-1]), default=1)

    def squares(self, entered: Float[Tensor, "batch entered"]) -> Float[Tensor, " batch"]:
        """‖∂point / ∂x‖² of each row, exact. With D_l = diag f_l'(a_l), A = D_L W_L … W_2 D_1 and G = W_1 W_1ᵀ it is
        ⟨A G, A⟩: G is made once for all rows, and nothing else is as wide as x."""
        slopes = self._slopes(entered)
        first = self.layers[0].weight
        if len(slopes) == 1:
            return (slopes[0].square() * first.square().sum(1)).sum(1)
        product = slopes[-1][:, :, None] * self.layers[-1].weight
        for slope, layer in zip(reversed(slopes[1:-1]), reversed(self.layers[1:-1]), strict=True):
            product = (product * slope[:, None]) @ layer.weight
        product = product * slopes[0][:, None]
        return ((product @ (first @ first.T)) * product).flatten(1).sum(1)

    def _slopes(self, x: Tensor) -> list[Tensor]:
        """f_l'(a_l) of every layer, differentiable."""
        slopes = []
        for index, layer in enumerate(self.layers):
            before = x + layer.bias if index == 0 and self.summed else nn.functional.linear(x, layer.weight, layer.bias)
            x = layer.activation(before)
            slopes.append(torch.autograd.grad(x.sum(), before, create_graph=True)[0])
        return slopes


def chain_of(encoder: Encoder, bottleneck: Bottleneck) -> Chain | None:
    """The layers of an encoder and a bottleneck, or None where they are not of this kind."""
    last = _point_of(bottleneck)
    if last is None:
        return None
    if isinstance(encoder, DenseEncoder):
        layers = (*_layers_of(encoder.mlp), *last)
    elif isinstance(encoder, BagEncoder):
        layers = (Layer(encoder.table.T, encoder.bias, encoder.activation), *_layers_of(encoder.mlp), *last)
    else:
        return None
    return Chain(layers, isinstance(encoder, BagEncoder)) if layers else None


def _layers_of(mlp: Mlp) -> Iterator[Layer]:
    for index, layer in enumerate(mlp.layers):
        assert isinstance(layer, nn.Linear)
        activated = mlp.activate_last or index < len(mlp.layers) - 1
        yield Layer(layer.weight, layer.bias, mlp.activation if activated else ACTIVATIONS["identity"])


def _point_of(bottleneck: Bottleneck) -> tuple[Layer, ...] | None:
    """From the hidden state to the point: no layer at all, or one."""
    identity = ACTIVATIONS["identity"]
    if isinstance(bottleneck, Deterministic):
        return ()
    if isinstance(bottleneck, Projected):
        return (Layer(bottleneck.point.weight, bottleneck.point.bias, identity),)
    if isinstance(bottleneck, Gaussian):
        return (Layer(bottleneck.mean.weight, bottleneck.mean.bias, identity),)
    # What batch norm does to a row depends on the others: no layer of its own.
    if isinstance(bottleneck, TopK | BatchTopK | JumpReLU | SparseUnits) and isinstance(bottleneck.units, nn.Linear):
        return (Layer(bottleneck.units.weight, bottleneck.units.bias, bottleneck.activate),)
    return None

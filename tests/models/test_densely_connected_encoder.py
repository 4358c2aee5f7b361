"""The densely connected encoder against plain dense layers with the same weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from isthmus.errors import SettingError
from isthmus.models.rec_vae import DenselyConnectedEncoder
from isthmus.sources import BagSource

WIDTH, HIDDEN = 14, 6


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def loud(encoder: DenselyConnectedEncoder) -> DenselyConnectedEncoder:
    with torch.no_grad():
        for number, parameter in enumerate(encoder.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator(number)))
    return encoder


def five_layers(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """Written out: swish of a layer plus all states before it, then a layer norm with 0.1."""

    def norm(number: int, value: Tensor) -> Tensor:
        value = value * torch.sigmoid(value)
        mean, variance = value.mean(1, keepdim=True), value.var(1, unbiased=False, keepdim=True)
        return (value - mean) / (variance + 0.1).sqrt() * state[f"norms.{number}.weight"] + state[
            f"norms.{number}.bias"
        ]

    def layer(number: int, value: Tensor) -> Tensor:
        return value @ state[f"layers.{number}.weight"].T + state[f"layers.{number}.bias"]

    h1 = norm(0, x @ state["table"] + state["bias"])
    h2 = norm(1, layer(0, h1) + h1)
    h3 = norm(2, layer(1, h2) + h1 + h2)
    h4 = norm(3, layer(2, h3) + h1 + h2 + h3)
    return norm(4, layer(3, h4) + h1 + h2 + h3 + h4)


def test_it_is_five_connected_layers() -> None:
    dense = (np.random.default_rng(0).random((5, WIDTH)) < 0.4).astype(np.float32)
    dense[3] = 0
    encoder = loud(DenselyConnectedEncoder(WIDTH, HIDDEN, generator=generator()))
    inputs = BagSource.from_csr(csr_array(dense)).batch(torch.arange(5)).inputs
    hidden = encoder.trunk(encoder.enter(inputs), inputs)
    state = {name: tensor.detach() for name, tensor in encoder.state_dict().items()}
    torch.testing.assert_close(hidden, five_layers(state, torch.from_numpy(dense)))


def test_sizes_and_first_weights() -> None:
    encoder = DenselyConnectedEncoder(WIDTH, HIDDEN, layers=3, generator=generator())
    assert encoder.table.shape == (WIDTH, HIDDEN)
    assert [tuple(layer.weight.shape) for layer in encoder.layers if isinstance(layer, nn.Linear)] == [(6, 6), (6, 6)]
    norms = [norm for norm in encoder.norms if isinstance(norm, nn.LayerNorm)]
    assert len(norms) == 3
    assert all(norm.eps == 0.1 and (norm.weight == 1).all() and (norm.bias == 0).all() for norm in norms)


def test_a_network_without_layers_is_refused() -> None:
    with pytest.raises(SettingError, match="0 layers"):
        DenselyConnectedEncoder(WIDTH, HIDDEN, layers=0, generator=generator())

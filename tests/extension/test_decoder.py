"""A decoder from outside, which joins what the sparse and the contractive kinds are made of: it says which weights read
the code, and nothing else knows it."""

from __future__ import annotations

import pytest
import torch
from bridges import batch, generator, values, vector_bridge
from torch import nn

from isthmus.capabilities import CodeWeights
from isthmus.core.bottlenecks.deterministic import Projected
from isthmus.core.bottlenecks.sparse import TopK
from isthmus.core.ops.layers import linear
from isthmus.core.penalties.code_weights import columns, unit_columns
from isthmus.core.penalties.dead_units import AuxiliaryLoss
from isthmus.core.penalties.jacobian import Contractive
from isthmus.core.penalties.sparsity import L1, unit_norm_decoder
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError
from isthmus.protocols import Phase
from isthmus.sources import VectorSource
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan
from isthmus.training.run import Run
from isthmus.training.trainer import train

HIDDEN, UNITS, GATES, WIDTH = 6, 9, 5, 12


class Gated(nn.Module):
    """A gated linear unit: (V z) · sigmoid(G z)."""

    def __init__(self, code: int = UNITS) -> None:
        super().__init__()
        self.values, self.gates = (linear(code, GATES, generator(seed)) for seed in (4, 5))

    def forward(self, sample, given=None):
        return self.values(sample) * self.gates(sample).sigmoid()


class Reading(Gated):
    def code_weights(self, readout):
        return CodeWeights(self.values.weight), CodeWeights(self.gates.weight)


def model_with(decoder, bottleneck, **changes):
    readout = LinearReadout(GATES, WIDTH, generator=generator(6))
    return vector_bridge(bottleneck, decoder=decoder, readout=readout, **changes)


def sparse_model(decoder=None, **changes):
    return model_with(decoder or Reading(), TopK(HIDDEN, UNITS, 2, generator=generator(3)), **changes)


def plan(epochs: int = 15) -> Plan:
    return Plan((Phase(epochs),), Shuffled(16), learning_rate=0.02)


def test_l1_is_weighed_by_the_length_of_its_columns() -> None:
    model = sparse_model()
    step = model.step(batch(values()))
    lengths = torch.cat([model.decoder.values.weight, model.decoder.gates.weight]).norm(dim=0)
    torch.testing.assert_close(L1(2.0)(step)["l1"], 2 * (step.code.point.abs() * lengths).sum(1).mean())


def test_the_sparse_kind_trains_with_it() -> None:
    model = sparse_model(penalties=(AuxiliaryLoss(dead_after=20),), hooks=(unit_norm_decoder(),))
    unit_columns(model)
    history = train(model, VectorSource(values(64).values), plan(), Run(device="cpu"))
    assert history.records[-1]["nll"] < history.records[0]["nll"]
    torch.testing.assert_close(columns(model).norm(dim=0), torch.ones(UNITS))
    assert int((model.encode(values()).point > 0).sum(1).max()) <= 2


def test_only_columns_of_dead_units_are_revived() -> None:
    model = sparse_model()
    model.bottleneck.silence.rows[:] = torch.tensor([0] * (UNITS - 1) + [1000])
    with torch.no_grad():
        model.bottleneck.units.bias[-1] = -50.0
    AuxiliaryLoss(dead_after=1000)(model.train().step(batch(values()), generator=generator()))["revival"].backward()
    for weight in (model.decoder.values.weight, model.decoder.gates.weight):
        assert torch.count_nonzero(weight.grad[:, :-1]) == 0
    assert model.readout.weight.grad is None or torch.count_nonzero(model.readout.weight.grad) == 0


def test_the_contractive_kind_trains_with_it() -> None:
    changes = {"penalties": (Contractive(0.1),)}
    model = model_with(Gated(4), Projected(HIDDEN, 4, generator=generator(3)), **changes)
    history = train(model, VectorSource(values(64).values), plan(), Run(device="cpu"))
    assert history.records[-1]["loss"] < history.records[0]["loss"]
    assert history.records[-1]["contraction"] > 0


def test_a_decoder_that_says_nothing_is_asked_to() -> None:
    with pytest.raises(SettingError, match="Gated has no code_weights"):
        L1(1.0)(sparse_model(Gated()).step(batch(values())))

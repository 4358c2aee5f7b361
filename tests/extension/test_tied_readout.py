"""A readout from outside that is the encoder as well: ELSA, one table of unit rows and a cosine for nats."""

from __future__ import annotations

import torch
from extending import CODE, ITEMS, bag_batch, bag_model, every_parameter_moves, generator, matrix, tiny_plan
from torch import nn

from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.ops.bags import bag_sum
from isthmus.core.rankers import AutoencoderRanker
from isthmus.protocols import RankingReadout
from isthmus.sources import BagSource


class UnitNormReadout(nn.Module):
    """One table for both ends; its normalised rows are the index."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(ITEMS, CODE, generator=generator(5)))

    @property
    def weight(self):
        return nn.functional.normalize(self.table, dim=1)

    @property
    def bias(self):
        return torch.zeros(ITEMS)

    def logits(self, decoded, columns=None):
        return decoded @ self.weight[slice(None) if columns is None else columns].T

    def vectors(self):
        return torch.cat([self.weight, self.bias[:, None]], 1).detach()

    def queries(self, decoded):
        return torch.cat([decoded, decoded.new_ones(len(decoded), 1)], 1)


class TiedEncoder(nn.Module):
    def __init__(self, readout):
        super().__init__()
        self.readout = readout

    def enter(self, inputs):
        return bag_sum(self.readout.weight, inputs)

    def trunk(self, entered, inputs):
        return entered


class CosineScore:
    """−‖x/‖x‖ − y/‖y‖‖² = 2 cos − 2 with y = x A Aᵀ − x (Vančura et al. 2022, equation 3): a score, not nats."""

    def __call__(self, readout, decoded, targets, *, generator=None):
        rows = targets.rows()
        dense = torch.zeros(targets.size, ITEMS).index_put((rows, targets.indices), targets.weights)
        return 2 * nn.functional.cosine_similarity(dense, readout.logits(decoded) - dense, dim=1) - 2

    def mean(self, readout, decoded):
        return readout.logits(decoded)

    def sample(self, readout, decoded, generator):
        return readout.logits(decoded)


def test_elsa_has_one_tied_table():
    readout = UnitNormReadout()
    model = bag_model(
        encoder=TiedEncoder(readout),
        bottleneck=Deterministic(),
        prior=None,
        decoder=lambda sample, given: sample,
        readout=readout,
        likelihood=CosineScore(),
    )
    assert isinstance(readout, RankingReadout)
    assert [name for name, _ in model.named_parameters()] == ["encoder.readout.table"]
    assert every_parameter_moves(model, BagSource.from_csr(matrix()), tiny_plan()) == {"encoder.readout.table"}
    ranker = AutoencoderRanker(model)
    assert torch.allclose(readout.vectors()[:, :-1].norm(dim=1), torch.ones(ITEMS))
    assert ranker.scores(ranker.prepare(bag_batch().inputs)).shape == (6, ITEMS)

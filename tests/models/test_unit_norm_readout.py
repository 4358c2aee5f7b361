"""ELSA's parts against the dense formulas, written here a second time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.sparse import csr_array
from torch import Tensor

from isthmus.batch import Bag, Bags, Batch, Values
from isthmus.core.rankers import AutoencoderRanker
from isthmus.errors import SettingError
from isthmus.index.exact.searcher import rank
from isthmus.index.faiss import FaissSearcher
from isthmus.models import elsa
from isthmus.models.elsa import CosineError, UnitNormReadout
from isthmus.protocols import Ranker, RankingReadout
from isthmus.rowlists import RowLists
from isthmus.sources import BagSource
from isthmus.tasks.similar import SimilarColumns
from isthmus.testing.ranker import RankerContract

WIDTH, CODE, ROWS = 23, 6, 9


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(seed: int = 0) -> Any:
    return elsa(Bag(WIDTH), generator=generator(seed), code=CODE).model


def batch(rows: int = ROWS) -> Batch:
    """Weighted rows; the fourth is empty."""
    random = np.random.default_rng(1)
    dense = (random.random((rows, WIDTH)) < 0.3) * random.uniform(0.5, 2, (rows, WIDTH))
    dense[3] = 0
    return BagSource.from_csr(csr_array(dense.astype(np.float32))).batch(torch.arange(rows))


def some_bags() -> Bags:
    inputs = batch().inputs
    assert isinstance(inputs, Bags)
    return inputs


def dense_of(bags: Bags) -> Tensor:
    return torch.zeros(bags.size, WIDTH).index_put((bags.rows(), bags.indices), bags.weights)


def plain_loss(table: Tensor, x: Tensor) -> Tensor:
    """The mean squared distance of unit rows, from the published network without its ReLU."""
    a = table / table.norm(dim=1, keepdim=True)
    y = x @ a @ a.T - x
    full = x.norm(dim=1) > 0
    apart = F.normalize(x[full], dim=1) - F.normalize(y[full], dim=1)
    # An empty row is as far from everything as 90 degrees.
    loss: Tensor = (apart.square().sum(1).sum() + 2 * (~full).sum()) / len(x)
    return loss


class TestElsa(RankerContract):
    """What every ranker must do."""

    def ranker(self) -> Ranker:
        return AutoencoderRanker(model())

    def bags(self) -> Bags:
        return some_bags()


def test_the_loss_and_its_gradient_are_those_of_the_dense_formula() -> None:
    made, x = model(), dense_of(some_bags())
    loss = made.loss(made.step(batch()))
    loss.total.backward()
    table = made.readout.table.detach().double().clone().requires_grad_()
    expected = plain_loss(table, x.double())
    expected.backward()
    assert table.grad is not None
    torch.testing.assert_close(loss.total, expected.float(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(made.readout.table.grad, table.grad.float(), rtol=1e-4, atol=1e-6)
    assert float(table.grad.abs().max()) > 0.01


def test_the_gradient_has_no_part_along_the_rows() -> None:
    made = model()
    made.loss(made.step(batch())).total.backward()
    table = made.readout.table
    assert table.grad is not None
    torch.testing.assert_close((table.grad * table.detach()).sum(1), torch.zeros(WIDTH), atol=1e-6, rtol=0)


def test_the_score_holds_for_any_decoded_state() -> None:
    """A corrupted input's state is not x A; the prediction is d Aᵀ − x all the same."""
    readout, bags = model().readout, some_bags()
    assert isinstance(readout, UnitNormReadout)
    decoded, x = torch.randn(ROWS, CODE, generator=generator(3)), dense_of(bags)
    cosine = F.cosine_similarity(x, readout.logits(decoded) - x, dim=1)
    torch.testing.assert_close(CosineError()(readout, decoded, bags), 2 * cosine - 2, atol=1e-5, rtol=1e-5)


def test_a_perfect_prediction_and_an_empty_bag_have_finite_scores_and_gradients() -> None:
    """x A Aᵀ = 2 x where two items always come together and lie on each other; of one item alone nothing is left."""
    made: Any = elsa(Bag(3), generator=generator(), code=2).model
    with torch.no_grad():
        made.readout.table.copy_(torch.tensor([[1.0, 0], [1, 0], [0, 1]]))
    rows = csr_array(np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1]], np.float32))
    step = made.step(BagSource.from_csr(rows).batch(torch.arange(3)))
    torch.testing.assert_close(step.log_likelihood[:2, 0], torch.tensor([0.0, -2.0]))
    made.loss(step).total.backward()
    assert made.readout.table.grad is not None
    assert bool(made.readout.table.grad.isfinite().all())


def test_scores_are_those_of_the_low_rank_matrix() -> None:
    made, bags = model(), some_bags()
    ranker, a = AutoencoderRanker(made), made.readout.weight.detach()
    torch.testing.assert_close(ranker.scores(ranker.prepare(bags)), dense_of(bags) @ a @ a.T)


def test_the_rows_are_the_index() -> None:
    """FAISS over the vectors, asked with the queries, ranks as the model."""
    made, bags = model(), some_bags()
    readout = made.readout
    assert isinstance(readout, RankingReadout)
    assert torch.equal(readout.vectors()[:, :-1], made.readout.table.detach())
    exclude = RowLists(bags.indices, bags.offsets)
    queries = readout.queries(made.encode(bags).point.detach())
    filled = torch.tensor([row for row in range(ROWS) if row != 3])
    found = FaissSearcher.build(readout.vectors()).search(queries, 5, exclude=exclude)
    expected = rank(AutoencoderRanker(made), bags, 5, exclude=exclude)
    assert torch.equal(found.rows[filled], expected.rows[filled])
    torch.testing.assert_close(found.scores, expected.scores)


def test_similar_columns_are_near_rows() -> None:
    made = model()
    near = SimilarColumns(made).search(torch.tensor([4]), 3)
    cosines = made.readout.table.detach() @ made.readout.table.detach()[4]
    cosines[4] = -2
    assert near.rows[0].tolist() == cosines.topk(3).indices.tolist()


def test_the_error_is_one_of_bags() -> None:
    with pytest.raises(SettingError, match="Values"):
        CosineError()(UnitNormReadout(3, 2, generator=generator()), torch.zeros(1, 2), Values(torch.ones(1, 3)))

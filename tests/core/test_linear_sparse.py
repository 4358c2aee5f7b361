"""A sparse linear autoencoder against its dense matrix."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nearness import assert_near
from scipy.sparse import csr_array
from torch import Tensor

from isthmus.batch import Bags
from isthmus.bundle.tensors import load_state, state_of
from isthmus.core.linear import sparse
from isthmus.core.linear.dense import LinearAutoencoder
from isthmus.core.linear.sparse import SparseLinear
from isthmus.errors import SettingError
from isthmus.protocols import LinearRanker, Ranker
from isthmus.sources import BagSource
from isthmus.tasks.explain import contributions
from isthmus.tasks.similar import SimilarColumns
from isthmus.testing.ranker import RankerContract

WIDTH, SLOTS = 17, 4


def filled(seed: int = 0) -> SparseLinear:
    """Random neighbours, one of them the column itself in places."""
    random = torch.Generator().manual_seed(seed)
    model = SparseLinear(WIDTH, SLOTS)
    chosen = torch.rand(WIDTH, WIDTH, generator=random).topk(SLOTS, 1).indices.int()
    model.assign(chosen, torch.randn(WIDTH, SLOTS, generator=random))
    return model


def matrix(model: SparseLinear) -> Tensor:
    """B, dense."""
    return torch.zeros(WIDTH, WIDTH).scatter_(1, model.neighbours.long(), model.weights).T


def some_bags() -> Bags:
    random = np.random.default_rng(1)
    rows = (random.random((7, WIDTH)) < 0.3) * random.uniform(-1, 2, (7, WIDTH))
    rows[3] = 0
    inputs = BagSource.from_csr(csr_array(rows.astype(np.float32))).batch(torch.arange(7)).inputs
    assert isinstance(inputs, Bags)
    return inputs


def dense(bags: Bags) -> Tensor:
    return torch.zeros(bags.size, WIDTH).index_put((bags.rows(), bags.indices), bags.weights)


class TestSparseLinear(RankerContract):
    """What every ranker must do."""

    def ranker(self) -> Ranker:
        return filled()

    def bags(self) -> Bags:
        return some_bags()


@pytest.mark.parametrize("products", [1, 3, 1 << 20])
def test_scores_are_those_of_the_dense_matrix(products: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse, "PRODUCTS", products)
    model, bags = filled(), some_bags()
    expected, state = dense(bags) @ matrix(model), model.prepare(bags)
    torch.testing.assert_close(model.scores(state), expected)
    for columns in (
        slice(3, 9),
        slice(0, 0),
        slice(9, 3),
        slice(10, None),
        torch.tensor([16, 2, 2, 0]),
        torch.tensor([], dtype=torch.int64),
    ):
        torch.testing.assert_close(
            model.scores(state, columns), expected[:, columns if isinstance(columns, Tensor) else range(WIDTH)[columns]]
        )


def test_no_rows_and_empty_rows_have_scores_too() -> None:
    model, bags = filled(), some_bags()
    nothing = bags.take(torch.tensor([], dtype=torch.int64))
    assert model.scores(nothing).shape == (0, WIDTH)
    assert (model.scores(bags.take(torch.tensor([3, 3]))) == 0).all()


def test_new_tensors_are_seen() -> None:
    """Weights change by assigning, by loading and by moving; what was sorted before is not asked again."""
    model, other, bags = filled(0), filled(1), some_bags()
    before = model.scores(bags)
    load_state(model, state_of(other))
    torch.testing.assert_close(model.scores(bags), other.scores(bags))
    model.assign(filled(0).neighbours, filled(0).weights)
    torch.testing.assert_close(model.scores(bags), before)
    assert_near(model.double().scores(bags), before)


def test_a_column_can_be_read_off() -> None:
    model = filled()
    assert isinstance(model, LinearRanker)
    for column in range(WIDTH):
        torch.testing.assert_close(model.weights_for(column), matrix(model)[:, column])


def test_tasks_treat_it_as_they_treat_the_dense_one() -> None:
    model, twin, bags = filled(), LinearAutoencoder(WIDTH), some_bags()
    twin.weights.copy_(matrix(model))
    one = bags.take(torch.tensor([0]))
    for column in (0, 5):
        torch.testing.assert_close(contributions(model, one, column), contributions(twin, one, column))
    asked = torch.tensor([2, 9, 0])
    near, expected = SimilarColumns(model).search(asked, 3), SimilarColumns(twin).search(asked, 3)
    assert torch.equal(near.rows, expected.rows)
    torch.testing.assert_close(near.scores, expected.scores)


def test_what_has_no_weights_to_read_off_has_no_similar_columns() -> None:
    assert not isinstance(torch.nn.Identity(), LinearRanker)
    with pytest.raises(SettingError, match="no vectors"):
        SimilarColumns(torch.nn.Identity())

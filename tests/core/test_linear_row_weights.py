"""Rows weighed by their length, against weighted least squares written out densely."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from isthmus.batch import Bag
from isthmus.core.linear.row_weights import RowWeights, row_weights
from isthmus.errors import SettingError
from isthmus.models import ease, edlae, rdlae, sparse_linear
from isthmus.models.linear import gram_of
from isthmus.sources import BagSource
from isthmus.training.run import Run

WIDTH, LAMBDA, DROPOUT = 8, 2.0, 0.3
RUN = Run(device="cpu")


@pytest.fixture(scope="module")
def data() -> csr_array:
    """Rows of every length, one of them empty."""
    draws = np.random.default_rng(3)
    dense = draws.random((40, WIDTH)) < np.linspace(0.1, 0.9, 40)[:, None]
    dense[0] = False
    return csr_array(dense.astype(np.float32))


def expected(data: csr_array, power: float, dropout: float) -> Any:
    """min Σ_u w_u ‖x_u − x_u B‖² + ‖Λ^½ B‖² column by column, with w_u = c · n_u^−a and mean 1 over all entries."""
    x = data.toarray().astype(np.float64)
    lengths = x.sum(1)
    weights = np.array([n**-power if n else 0.0 for n in lengths])
    weights *= lengths.sum() / (weights * lengths).sum()
    gram = x.T @ np.diag(weights) @ x
    ridge = dropout / (1 - dropout) * np.diag(gram) + LAMBDA
    found = np.zeros((WIDTH, WIDTH))
    for column in range(WIDTH):
        others = np.delete(np.arange(WIDTH), column)
        inner = gram[np.ix_(others, others)] + np.diag(ridge[others])
        found[others, column] = np.linalg.solve(inner, gram[others, column])
    return found


BUILDERS: dict[Any, dict[str, Any]] = {
    ease: {},
    edlae: {"dropout": DROPOUT},
    rdlae: {"dropout": DROPOUT, "xi": 0.0},
    sparse_linear: {"dropout": DROPOUT, "neighbours": WIDTH},
}


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
@pytest.mark.parametrize("power", [0.0, 0.25, 0.5])
def test_the_weights_are_those_of_weighted_least_squares(data: csr_array, builder: Any, power: float) -> None:
    settings = BUILDERS[builder]
    generator = torch.Generator().manual_seed(0)
    recipe = builder(Bag(WIDTH), generator=generator, regularisation=LAMBDA, length_power=power, **settings)
    recipe.fit(BagSource.from_csr(data), RUN)
    found = torch.stack([recipe.model.weights_for(column) for column in range(WIDTH)], 1).numpy()
    np.testing.assert_allclose(found, expected(data, power, settings.get("dropout", 0.0)), atol=1e-5)


def test_a_power_changes_the_weights_but_not_the_sum_of_squares(data: csr_array) -> None:
    source = BagSource.from_csr(data)
    plain, weighed = gram_of(source, WIDTH).upper, gram_of(source, WIDTH, RowWeights(0.5)).upper
    assert np.trace(weighed) == pytest.approx(np.trace(plain), rel=1e-5)
    assert not np.allclose(weighed, plain, rtol=0.05)


def test_empty_matrices_have_no_weight_to_share() -> None:
    assert row_weights(np.zeros(3, np.int64), 0.5).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
@pytest.mark.parametrize("power", [-0.1, 2.1, float("nan")])
def test_powers_without_meaning_are_refused(builder: Any, power: float) -> None:
    with pytest.raises(SettingError, match="length_power"):
        builder(Bag(5), generator=torch.Generator(), length_power=power)

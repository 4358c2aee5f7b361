"""Columns solved from their neighbours alone, against regressions written out and against the closed form."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.sparse import csr_array

from isthmus.core.linear import columnwise
from isthmus.core.linear import dense as linear
from isthmus.core.linear.sparse import SparseLinear
from isthmus.errors import SettingError

Matrix = npt.NDArray[np.float64]
LAMBDA = 3.0
WIDTH = 12


@pytest.fixture(scope="module")
def data() -> csr_array:
    """Eighty rows with weights; item 0 is in most of them, the last item in none."""
    random = np.random.default_rng(0)
    dense = (random.random((80, WIDTH)) < np.linspace(0.8, 0.1, WIDTH)) * random.uniform(0.5, 2, (80, WIDTH))
    dense[:, -1] = 0
    return csr_array(dense.astype(np.float32))


def solved(data: csr_array, neighbours: int, dropout: float = 0.0, xi: float = 0.0) -> tuple[Matrix, Matrix]:
    """B, and where it may be other than 0."""
    model = SparseLinear(data.shape[1], neighbours + (xi > 0))
    places = torch.zeros(data.shape[1], data.shape[1])
    for part in columnwise.solutions(data, neighbours, LAMBDA, dropout, xi):
        own = slice(part.first, part.first + len(part.weights))
        model.neighbours[own], model.weights[own] = part.neighbours, part.weights
        places.T[own].scatter_(1, part.neighbours, 1.0)
    columns = [model.weights_for(column) for column in range(data.shape[1])]
    return torch.stack(columns, 1).double().numpy(), places.double().numpy()


def problem(data: csr_array, dropout: float) -> tuple[Matrix, Matrix]:
    """XᵀX and the diagonal of Λ."""
    dense = data.toarray().astype(np.float64)
    gram = dense.T @ dense
    return gram, dropout / (1 - dropout) * np.diag(gram) + LAMBDA


@pytest.mark.parametrize("xi", [0.0, 0.2])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_with_all_others_as_neighbours_it_is_the_closed_form(data: csr_array, dropout: float, xi: float) -> None:
    """EASE, EDLAE and RDLAE, to the last digit of float32."""
    weights, _ = solved(data, WIDTH - 1, dropout, xi)
    np.testing.assert_allclose(weights, linear.inverse(data, LAMBDA, dropout).weights(xi), atol=2e-6)


@pytest.mark.parametrize("neighbours", [1, 4])
def test_each_column_is_ridge_regression_on_its_neighbours(data: csr_array, neighbours: int) -> None:
    (weights, places), (gram, ridge) = solved(data, neighbours, 0.3), problem(data, 0.3)
    for column in range(WIDTH):
        chosen = np.flatnonzero(places[:, column])
        assert len(chosen) == neighbours
        assert column not in chosen
        inner = gram[np.ix_(chosen, chosen)] + np.diag(ridge[chosen])
        np.testing.assert_allclose(weights[chosen, column], np.linalg.solve(inner, gram[chosen, column]), atol=1e-6)
        assert np.count_nonzero(np.delete(weights[:, column], chosen)) == 0


def test_neighbours_are_those_of_the_largest_shrunk_cosine(data: csr_array) -> None:
    (_, places), (gram, _) = solved(data, 3, 0.3), problem(data, 0.3)
    for column in range(WIDTH - 1):
        nearness = gram[:, column] / (np.diag(gram) + 50) ** 0.65
        nearness[column] = -1
        assert set(np.flatnonzero(places[:, column])) == set(np.argsort(-nearness)[:3])


def test_an_item_of_a_single_row_is_not_the_nearest() -> None:
    """Item 2 has one row and item 1 two; they share one. Their cosine is 0.71, that of 0 and 1 only 0.32."""
    dense = np.zeros((20, 3), np.float32)
    dense[:, 0], dense[:2, 1], dense[0, 2] = 1, 1, 1
    (part,) = columnwise.solutions(csr_array(dense), 1, 30.0)
    assert part.neighbours[1].tolist() == [0]


@pytest.mark.parametrize("xi", [0.05, 0.3])
def test_a_relaxed_diagonal_meets_the_conditions_of_the_optimum(data: csr_array, xi: float) -> None:
    """Karush, Kuhn and Tucker, on the places of the weights."""
    (weights, places), (gram, ridge) = solved(data, 4, 0.3, xi), problem(data, 0.3)
    gradient = (gram @ weights - gram + ridge[:, None] * weights) * places
    diagonal, slope = np.diag(weights), np.diag(gradient)
    np.testing.assert_allclose(gradient - np.diag(slope), 0, atol=1e-4)
    assert ((diagonal >= 0) & (diagonal <= xi + 1e-6)).all()
    bound = diagonal > xi - 1e-6
    np.testing.assert_allclose(slope[~bound], 0, atol=1e-4)
    assert (slope[bound] <= 1e-4).all()
    assert bound.any()


def test_blocks_change_nothing(data: csr_array, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = solved(data, 4, 0.3, 0.2)[0]
    monkeypatch.setattr(columnwise, "ROW_BYTES", 4 * WIDTH * 5)
    monkeypatch.setattr(columnwise, "KEPT_BYTES", 300)
    monkeypatch.setattr(columnwise, "LOCAL_BYTES", 4 * 16 * 7)
    monkeypatch.setattr(columnwise, "SOLVED_BYTES", 8 * 16 * 3)
    parts = list(columnwise.solutions(data, 4, LAMBDA, 0.3, 0.2))
    assert [len(part.weights) for part in parts] == [3, 3, 1, 3, 2]
    np.testing.assert_allclose(solved(data, 4, 0.3, 0.2)[0], whole, atol=1e-6)


def test_the_share_that_is_left_is_that_of_the_objective(data: csr_array) -> None:
    """‖x_j − X_N b‖² + bᵀ Λ b at its minimum, over ‖x_j‖²."""
    (weights, _), (gram, ridge) = solved(data, 4), problem(data, 0.0)
    dense = data.toarray().astype(np.float64)
    left = ((dense - dense @ weights) ** 2).sum(0) + (ridge[:, None] * weights**2).sum(0)
    parts = list(columnwise.solutions(data, 4, LAMBDA))
    shares = torch.cat([part.unexplained for part in parts]).numpy()
    np.testing.assert_allclose(shares[:-1], left[:-1] / np.diag(gram)[:-1], rtol=1e-4)


@pytest.mark.parametrize("width", [1, 2])
def test_hardly_any_columns_are_no_special_case(width: int) -> None:
    weights, _ = solved(csr_array(np.ones((4, width), np.float32)), width - 1)
    expected = 4 / (4 + LAMBDA) * (1 - np.eye(width))
    np.testing.assert_allclose(weights, expected, atol=1e-6)


def test_an_item_that_nobody_has_says_nothing_and_is_told_nothing(data: csr_array) -> None:
    weights, _ = solved(data, WIDTH - 1, 0.5)
    assert (weights[-1] == 0).all()
    assert (weights[:, -1] == 0).all()


def test_too_little_regularisation_is_refused() -> None:
    with pytest.raises(SettingError, match="larger"):
        list(columnwise.solutions(csr_array(np.ones((16, 3), np.float32)), 2, 1e-30))


def test_the_memory_grows_with_the_columns_and_not_with_their_square() -> None:
    """A million columns: what is told is the result, the data and a few GB of work."""
    entries = 20_000_000
    told = columnwise.memory(1_000_000, 1_000_000, entries, 100)
    assert 8 * 10**8 < told - 24 * entries < 8 * 10**8 + 4 * 2**30

"""The closed forms against the problems that they solve: regressions by column, and the conditions of an optimum."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import numpy.typing as npt
import pytest
from scipy.sparse import csr_array

from isthmus.core.linear import dense as linear
from isthmus.errors import SettingError

Matrix = npt.NDArray[np.float64]
LAMBDA = 3.0
WIDTH = 9


@pytest.fixture(scope="module")
def data() -> csr_array:
    """Sixty rows; item 0 is in most of them, the last item in none."""
    random = np.random.default_rng(0)
    dense = (random.random((60, WIDTH)) < np.linspace(0.8, 0.1, WIDTH)).astype(np.float32)
    dense[:, -1] = 0
    return csr_array(dense)


def solved(data: csr_array, dropout: float = 0.0, xi: float = 0.0) -> Matrix:
    return linear.inverse(data, LAMBDA, dropout).weights(xi).astype(np.float64)


def problem(data: csr_array, dropout: float) -> tuple[Matrix, Matrix]:
    """XᵀX and the diagonal of Λ."""
    dense = data.toarray().astype(np.float64)
    gram = dense.T @ dense
    return gram, dropout / (1 - dropout) * np.diag(gram) + LAMBDA


@pytest.mark.parametrize("dropout", [0.0, 0.3, 0.75])
def test_a_zero_diagonal_is_ridge_regression_of_each_item_on_all_others(data: csr_array, dropout: float) -> None:
    """EASE without dropout, EDLAE with it."""
    weights, (gram, ridge) = solved(data, dropout), problem(data, dropout)
    for column in range(WIDTH):
        others = np.delete(np.arange(WIDTH), column)
        inner = gram[np.ix_(others, others)] + np.diag(ridge[others])
        np.testing.assert_allclose(weights[others, column], np.linalg.solve(inner, gram[others, column]), atol=1e-5)
    assert (np.diag(weights) == 0).all()


def test_the_ridge_is_what_dropout_costs_in_the_mean() -> None:
    """E ‖x − (m ∘ x) B / (1 − p)‖² = ‖x − x B‖² + Σ_i p / (1 − p) x_i² ‖B_i‖², over every mask m there is."""
    x, p = np.array([1.0, 2.0, 1.0]), 0.3
    b = np.random.default_rng(1).normal(size=(3, 3))
    mean = 0.0
    for mask in itertools.product((0.0, 1.0), repeat=3):
        kept = np.array(mask)
        chance = np.prod(np.where(kept == 1, 1 - p, p))
        mean += chance * ((x - (kept * x) @ b / (1 - p)) ** 2).sum()
    inverse = linear.inverse(csr_array(x[None].astype(np.float32)), LAMBDA, p)
    np.testing.assert_allclose(mean, ((x - x @ b) ** 2).sum() + ((inverse.ridge - LAMBDA) @ b**2).sum())


@pytest.mark.parametrize("xi", [0.05, 0.2, 0.4])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_a_relaxed_diagonal_meets_the_conditions_of_the_optimum(data: csr_array, dropout: float, xi: float) -> None:
    """Karush, Kuhn and Tucker: the gradient is 0 off the diagonal and where it is free, and −2 μ ≤ 0 at the bound."""
    weights, (gram, ridge) = solved(data, dropout, xi), problem(data, dropout)
    gradient = 2 * (gram @ weights - gram) + 2 * ridge[:, None] * weights
    diagonal, slope = np.diag(weights), np.diag(gradient)
    off = gradient - np.diag(slope)
    np.testing.assert_allclose(off, 0, atol=1e-4)
    assert (diagonal <= xi + 1e-6).all()
    bound = diagonal > xi - 1e-6
    assert 0 < bound.sum() < WIDTH, "both kinds of columns are tried"
    np.testing.assert_allclose(slope[~bound], 0, atol=1e-4)
    assert (slope[bound] <= 1e-4).all()


def test_a_relaxed_diagonal_scales_the_columns_of_edlae(data: csr_array) -> None:
    """B_ij = (1 − B_jj) B⁰_ij off the diagonal, so that items which hardly predict themselves gain."""
    relaxed, strict = solved(data, 0.3, 0.2), solved(data, 0.3)
    expected = strict * (1 - np.diag(relaxed))
    np.testing.assert_allclose(relaxed - np.diag(np.diag(relaxed)), expected, atol=1e-6)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_ends_of_the_bound_are_edlae_and_ridge_regression(data: csr_array, dropout: float) -> None:
    gram, ridge = problem(data, dropout)
    free = np.linalg.solve(gram + np.diag(ridge), gram)
    np.testing.assert_allclose(solved(data, dropout, 1.0), free, atol=1e-6)
    np.testing.assert_allclose(solved(data, dropout, float(np.diag(free).max())), free, atol=1e-6)
    inverse = np.linalg.inv(gram + np.diag(ridge))
    zero = -inverse / np.diag(inverse)
    np.fill_diagonal(zero, 0)
    np.testing.assert_allclose(solved(data, dropout, 0.0), zero, atol=1e-6)


def test_blocks_and_tiles_change_nothing(data: csr_array, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = solved(data, 0.3, 0.2)
    monkeypatch.setattr(linear, "TILE", 4)
    monkeypatch.setattr(linear, "BLOCK_BYTES", 12 * WIDTH * 2)
    np.testing.assert_array_equal(solved(data, 0.3, 0.2), whole)


def test_an_item_that_nobody_has_says_nothing_and_is_told_nothing(data: csr_array) -> None:
    weights = solved(data, 0.5, 0.3)
    assert (weights[-1] == 0).all()
    assert (weights[:, -1] == 0).all()


def test_one_inverse_serves_every_bound_and_writes_where_it_is_told(data: csr_array) -> None:
    inverse, out = linear.inverse(data, LAMBDA, 0.3), np.full((WIDTH, WIDTH), np.nan, np.float32)
    for xi in (0.3, 0.0):
        assert inverse.weights(xi, out) is out
        np.testing.assert_array_equal(out, solved(data, 0.3, xi))


def test_the_memory_is_told_before_it_is_taken(data: csr_array, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "isthmus.core.linear.dense"):
        linear.inverse(data, LAMBDA)
    assert "9 columns takes about 0.00 GB" in caplog.text


def test_too_little_regularisation_is_refused() -> None:
    twice = np.ones((16, 2), np.float32)
    with pytest.raises(SettingError, match="larger"):
        linear.inverse(csr_array(twice), 1e-30)


def test_one_gram_matrix_serves_every_ridge(data: csr_array) -> None:
    gram = linear.Gram.of(data)
    for regularisation, dropout in ((LAMBDA, 0.0), (7.0, 0.3), (LAMBDA, 0.0)):
        expected = linear.inverse(data, regularisation, dropout)
        shared = gram.inverse(regularisation, dropout)
        np.testing.assert_array_equal(shared.weights(0.2), expected.weights(0.2))

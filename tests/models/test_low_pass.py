"""Low-pass filters against their published formulas, written out with dense matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from isthmus.batch import Bag
from isthmus.bundle.tensors import state_of
from isthmus.core.linear.spectrum import leading
from isthmus.core.rankers import AutoencoderRanker
from isthmus.errors import SettingError
from isthmus.models.low_pass import LowPassRecipe, low_pass
from isthmus.models.recipes.rebuild import rebuild
from isthmus.sources import BagSource
from isthmus.tasks.explain import contributions
from isthmus.training.run import Run

ROWS, WIDTH = 50, 12
RUN = Run(device="cpu")


@pytest.fixture(scope="module")
def data() -> csr_array:
    """Rows of three groups, so that there is a gap after three singular values; nobody has the last column."""
    draws = np.random.default_rng(5)
    group = np.arange(ROWS) % 3
    dense = draws.random((ROWS, WIDTH)) < np.where(np.arange(WIDTH)[None] % 3 == group[:, None], 0.8, 0.1)
    dense[:, -1] = False
    return csr_array(dense.astype(np.float32))


def recipe(**settings: Any) -> LowPassRecipe:
    return low_pass(Bag(WIDTH), generator=torch.Generator().manual_seed(0), **settings)


def weights(data: csr_array, **settings: Any) -> Any:
    """The matrix B of scores = x B: the scores of single columns."""
    fitted = recipe(**settings)
    fitted.fit(BagSource.from_csr(data), RUN)
    return scores_of(fitted, csr_array(np.eye(WIDTH, dtype=np.float32)))


def scores_of(fitted: LowPassRecipe, histories: csr_array) -> Any:
    ranker = AutoencoderRanker(fitted.model)
    bags = BagSource.from_csr(histories).batch(torch.arange(histories.shape[0])).inputs
    return ranker.scores(ranker.prepare(bags)).numpy()


def decomposed(data: csr_array, a: float, b: float) -> Any:
    """Σ and V of D_u^−a X D_i^−b, and the degrees of columns."""
    x = data.toarray().astype(np.float64)
    rows, columns = np.maximum(x.sum(1), 1), np.maximum(x.sum(0), 1)
    _, sigma, vt = np.linalg.svd(np.diag(rows**-a) @ x @ np.diag(columns**-b))
    return sigma, vt.T, columns


def test_pure_svd(data: csr_array) -> None:
    """r V Vᵀ with the singular vectors of the matrix itself."""
    _, v, _ = decomposed(data, 0, 0)
    found = weights(data, vectors=3, user_power=0.0, item_power=0.0, degree_power=0.0, linear=0.0)
    np.testing.assert_allclose(found, v[:, :3] @ v[:, :3].T, atol=1e-4)


def test_the_ideal_filter_of_gf_cf(data: csr_array) -> None:
    """r D_i^−½ V Vᵀ D_i^½ with the singular vectors of D_u^−½ X D_i^−½."""
    _, v, degrees = decomposed(data, 0.5, 0.5)
    found = weights(data, vectors=3, degree_power=0.5, linear=0.0)
    expected = np.diag(degrees**-0.5) @ v[:, :3] @ v[:, :3].T @ np.diag(degrees**0.5)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_with_all_vectors_the_linear_filter_is_that_of_gf_cf(data: csr_array) -> None:
    """r R̃ᵀR̃ up to a factor, for R̃ = D_u^−½ X D_i^−½."""
    x = data.toarray().astype(np.float64)
    rows, columns = np.maximum(x.sum(1), 1), np.maximum(x.sum(0), 1)
    normal = np.diag(rows**-0.5) @ x @ np.diag(columns**-0.5)
    gram = normal.T @ normal
    found = weights(data, vectors=WIDTH, degree_power=0.0, linear=1.0)
    np.testing.assert_allclose(found, gram / np.linalg.eigvalsh(gram)[-1], atol=1e-4)


def test_the_flattened_filter_of_cheby_cf_beside_an_ideal_one(data: csr_array) -> None:
    sigma, v, degrees = decomposed(data, 0.5, 0.3)
    share, flatness, power = 0.6, 3.0, 0.2
    centred = 2 * sigma**2 / sigma[0] ** 2 - 1
    response = 0.4 + share * (0.5 + 0.5 * np.sign(centred) * np.abs(centred) ** flatness)
    expected = np.diag(degrees**-power) @ v @ np.diag(response) @ v.T @ np.diag(degrees**power)
    settings = {"item_power": 0.3, "degree_power": power, "linear": share, "flatness": flatness}
    # A column without entries has no direction of its own: all of its subspace passes alike.
    np.testing.assert_allclose(weights(data, vectors=WIDTH, **settings), expected, atol=2e-3)


def test_fewer_vectors_of_a_known_spectrum_are_those_computed_anew(data: csr_array) -> None:
    spectrum = leading(data, WIDTH, 0.5, 0.5, seed=0)
    given, own = recipe(vectors=3), recipe(vectors=3)
    given = LowPassRecipe(given.model, given.filter, given.encoder, given.readout, spectrum)
    for one in (given, own):
        one.fit(BagSource.from_csr(data), RUN)
    np.testing.assert_allclose(scores_of(given, data), scores_of(own, data), atol=1e-4)
    assert not own.chooses_epoch


def test_contributions_of_a_history_add_up_to_the_score(data: csr_array) -> None:
    fitted = recipe(vectors=3)
    fitted.fit(BagSource.from_csr(data), RUN)
    bags: Any = BagSource.from_csr(data).batch(torch.arange(1)).inputs
    parts = contributions(AutoencoderRanker(fitted.model), bags, 4)
    assert float(parts.sum()) == pytest.approx(float(scores_of(fitted, data)[0, 4]), abs=1e-5)


def test_a_saved_model_is_rebuilt_from_settings_and_tensors(data: csr_array) -> None:
    fitted = recipe(vectors=40)
    fitted.fit(BagSource.from_csr(data), RUN)
    again: Any = rebuild(low_pass, Bag(WIDTH), {"vectors": 40}, state_of(fitted.model))
    found = LowPassRecipe(again, fitted.filter, again.encoder, again.readout)
    np.testing.assert_array_equal(scores_of(found, data), scores_of(fitted, data))


def test_the_likelihood_is_the_squared_error(data: csr_array) -> None:
    fitted = recipe(vectors=5)
    fitted.fit(BagSource.from_csr(data), RUN)
    bags = BagSource.from_csr(data).batch(torch.arange(ROWS)).inputs
    decoded = fitted.model.decode(fitted.model.encode(bags).point)
    found = fitted.model.likelihood(fitted.readout, decoded, bags)
    apart = data.toarray() - scores_of(fitted, data)
    np.testing.assert_allclose(found.detach().numpy(), -0.5 * np.square(apart).sum(1), rtol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [{"vectors": 0}, {"user_power": -0.1}, {"item_power": 1.1}, {"degree_power": float("nan")}, {"linear": 2.0},
     {"flatness": 0.0}],
)  # fmt: skip
def test_settings_without_meaning_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(settings))):
        recipe(**settings)

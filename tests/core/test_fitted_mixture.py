"""A mixture kept as tensors is the one that scikit-learn fitted."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from isthmus.core.priors.fitted_mixture import WIDEST, FittedMixture
from isthmus.errors import BundleError, MissingLibraryError, SettingError, ValueRangeError

mixtures = pytest.importorskip("sklearn.mixture", reason="scikit-learn is not installed")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def codes():
    """Two clouds, 1 to 3, one of them slanted."""
    g = generator(7)
    slanted = torch.randn(600, 3, generator=g) @ torch.tensor([[1.0, 0.8, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 2.0]])
    return torch.cat([torch.randn(200, 3, generator=g) * 0.3 + 6, slanted])


def theirs(codes, covariance, seed):
    fitted = mixtures.GaussianMixture(2, covariance_type=covariance, random_state=seed)
    return fitted.fit(codes.double().numpy())


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_density_is_that_of_scikit_learn(codes, covariance):
    ours = FittedMixture.fit(codes, 2, generator=generator(3), covariance=covariance)
    seed = int(torch.randint(2**31, (), generator=generator(3)))
    z = codes[::5] * 1.3 - 0.2
    expected = theirs(codes, covariance, seed).score_samples(z.double().numpy())
    np.testing.assert_allclose(ours.log_prob(z).numpy(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_draws_have_the_moments_of_the_mixture(codes, covariance):
    fitted = FittedMixture.fit(codes, 2, generator=generator(), covariance=covariance)
    drawn = fitted.sample(40_000, generator(5))
    assert drawn.dtype == torch.float32
    torch.testing.assert_close(drawn.mean(0), codes.mean(0), atol=0.05, rtol=0)
    near = drawn[(drawn - 6).norm(dim=1) < 3]
    assert len(near) / len(drawn) == pytest.approx(0.25, abs=0.02)
    slanted = drawn[(drawn - 6).norm(dim=1) >= 3].double().T.cov()
    expected = codes[200:].double().T.cov()
    if covariance == "diag":
        expected = expected.diagonal().diag()
    torch.testing.assert_close(slanted, expected, atol=0.12, rtol=0)


def test_a_seed_decides_everything(codes):
    first, again = (FittedMixture.fit(codes, 3, generator=generator(1)) for _ in range(2))
    before = torch.get_rng_state()
    assert torch.equal(first.sample(9, generator(2)), again.sample(9, generator(2)))
    assert not torch.equal(first.sample(9, generator(2)), first.sample(9, generator(3)))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_tensors_there_and_back(codes, covariance, tmp_path):
    from safetensors.torch import load_file, save_file

    fitted = FittedMixture.fit(codes, 2, generator=generator(), covariance=covariance)
    save_file(fitted.tensors(), tmp_path / "mixture.safetensors")
    back = FittedMixture.from_tensors(load_file(tmp_path / "mixture.safetensors"))
    assert torch.equal(back.log_prob(codes), fitted.log_prob(codes))
    assert torch.equal(back.sample(5, generator()), fitted.sample(5, generator()))


def test_one_component_is_the_gaussian_of_the_codes(codes):
    fitted = FittedMixture.fit(codes, 1, generator=generator(), floor=0.0)
    spread = torch.cov(codes.double().T, correction=0)
    exact = torch.distributions.MultivariateNormal(codes.double().mean(0), spread)
    torch.testing.assert_close(fitted.log_prob(codes), exact.log_prob(codes.double()))


def test_too_few_iterations_are_said(codes, caplog):
    FittedMixture.fit(codes, 6, generator=generator(), iterations=1)
    assert "not converged after 1" in caplog.text


def test_what_cannot_be_fitted(codes):
    with pytest.raises(SettingError, match="801 components"):
        FittedMixture.fit(codes, 801, generator=generator())
    with pytest.raises(SettingError, match="covariance 'tied'"):
        FittedMixture.fit(codes, 2, generator=generator(), covariance="tied")
    broken = codes.clone()
    broken[3, 1] = torch.inf
    with pytest.raises(ValueRangeError, match="not finite"):
        FittedMixture.fit(broken, 2, generator=generator())


def test_without_the_library(codes, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.mixture", None)
    with pytest.raises(MissingLibraryError, match="pip install scikit-learn"):
        FittedMixture.fit(codes, 2, generator=generator())


def test_tensors_of_something_else(codes):
    tensors = FittedMixture.fit(codes, 2, generator=generator()).tensors()
    with pytest.raises(BundleError, match="weights, means and factors"):
        FittedMixture.from_tensors({"weights": tensors["weights"]})
    for name, wrong in [("factors", torch.zeros(2, 3, 4)), ("weights", torch.zeros(3)), ("means", torch.zeros(2))]:
        with pytest.raises(BundleError, match="fit each other"):
            FittedMixture.from_tensors(tensors | {name: wrong})


@pytest.mark.parametrize(("rows", "width", "ndim"), [(400, 3, 3), (90, 3, 2), (6000, WIDEST + 1, 2)])
def test_full_covariances_need_codes_enough_and_not_too_wide(rows: int, width: int, ndim: int) -> None:
    codes = torch.randn(rows, width, generator=generator())
    assert FittedMixture.fit(codes, 8, generator=generator(), iterations=1).factors.ndim == ndim

"""The estimators at work: in pipelines and grids, copied, moved, over sparse rows, and with PyOD."""

from __future__ import annotations

import inspect
import pickle
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array, random_array
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import isthmus_vectors
from isthmus.errors import InputError, MissingLibraryError, SettingError
from isthmus_vectors import (
    Autoencoder,
    ContractiveAutoencoder,
    DenoisingAutoencoder,
    SparseAutoencoder,
    VariationalAutoencoder,
    as_pyod,
)

SMALL = {"hidden": 16, "epochs": 30, "batch_size": 32, "learning_rate": 1e-2}
ALL = [Autoencoder, VariationalAutoencoder, DenoisingAutoencoder, SparseAutoencoder, ContractiveAutoencoder]


def plane(rows: int = 200, seed: int = 0) -> np.ndarray:
    """Rows near a plane in six dimensions, whose columns have very different units."""
    draw = np.random.default_rng(seed)
    flat = draw.normal(size=(rows, 2)) @ np.random.default_rng(99).normal(size=(2, 6))
    return (flat + 0.05 * draw.normal(size=(rows, 6))) * np.logspace(-2, 3, 6) + 7


@pytest.fixture(scope="module")
def fitted() -> Autoencoder:
    return Autoencoder(2, **SMALL).fit(plane())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ALL)
def test_each_kind_reconstructs_samples_and_scores(kind: type) -> None:
    rows = plane()
    estimator = kind(16 if kind is SparseAutoencoder else 2, **SMALL).fit(rows)
    codes = estimator.transform(rows)
    back = estimator.inverse_transform(codes)
    assert back.shape == rows.shape
    assert np.square((back - rows) / rows.std(0)).mean() < 0.6
    assert estimator.sample(4).shape == (4, 6)
    assert np.array_equal(estimator.sample(4), estimator.sample(4))
    assert not np.array_equal(estimator.sample(4), estimator.sample(4, random_state=1))
    far = rows[:5] + 40 * rows.std(0) * np.array([1, -1, 1, -1, 1, -1])
    assert (estimator.score_samples(far) < estimator.score_samples(rows).min()).all()
    assert (estimator.predict(far) == -1).all()


def test_keywords_are_those_of_the_kind() -> None:
    assert VariationalAutoencoder(2, beta=4.0, **SMALL).fit(plane(60)).model_.settings["beta"] == 4.0
    assert DenoisingAutoencoder(2, noise="dropout", **SMALL).fit(plane(60)).model_.settings["noise"] == "dropout"
    codes = SparseAutoencoder(16, k=3, **SMALL).fit(plane(60)).transform(plane(60))
    assert ((codes != 0).sum(1) <= 3).all()
    for kind in ALL:
        assert {"code", "random_state", "contamination"} <= inspect.signature(kind).parameters.keys()


@pytest.mark.slow
def test_in_a_pipeline_and_a_grid() -> None:
    rows = plane(120)
    labels = (rows[:, 0] > np.median(rows[:, 0])).astype(int)
    pipeline = make_pipeline(Autoencoder(**SMALL, mixture=False), LogisticRegression())
    grid = GridSearchCV(pipeline, {"autoencoder__code": [1, 3]}, cv=2).fit(rows, labels)
    assert grid.best_score_ > 0.8
    assert grid.best_params_["autoencoder__code"] in (1, 3)


@pytest.mark.slow
def test_a_clone_is_fitted_to_the_same(fitted: Autoencoder) -> None:
    again = clone(fitted).fit(plane())
    assert np.array_equal(again.transform(plane()), fitted.transform(plane()))
    other = clone(fitted).set_params(random_state=1).fit(plane())
    assert not np.array_equal(other.transform(plane()), fitted.transform(plane()))


def test_what_travels_is_no_network(fitted: Autoencoder) -> None:
    sent = pickle.dumps(fitted)
    assert b"torch.nn" not in sent
    assert np.array_equal(pickle.loads(sent).score_samples(plane()), fitted.score_samples(plane()))
    assert np.array_equal(pickle.loads(sent).sample(3), fitted.sample(3))


def test_a_row_alone_is_the_row_among_others(fitted: Autoencoder) -> None:
    rows = plane(40)
    alone = np.concatenate([fitted.transform(row[None]) for row in rows])
    np.testing.assert_allclose(fitted.transform(rows), alone, rtol=1e-12)


def test_sparse_rows_are_never_made_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_array((80, 5000), density=0.002, format="csr", rng=0)
    monkeypatch.setattr(csr_array, "toarray", None)
    estimator = Autoencoder(4, **SMALL | {"epochs": 2}).fit(rows)
    assert estimator.transform(rows).shape == (80, 4)
    assert estimator.score_samples(rows).shape == (80,)
    assert set(estimator.predict(rows)) == {-1, 1}


def test_a_sparse_model_reads_dense_rows_too() -> None:
    rows = random_array((60, 20), density=0.2, format="csr", rng=0)
    estimator = Autoencoder(4, **SMALL).fit(rows)
    np.testing.assert_allclose(estimator.transform(rows.toarray()), estimator.transform(rows), atol=1e-12)
    dense = Autoencoder(4, **SMALL).fit(rows.toarray())
    np.testing.assert_allclose(dense.transform(rows), dense.transform(rows.toarray()), atol=1e-12)


@pytest.mark.parametrize("kind", ALL)
def test_sparse_numbers_of_any_sign_have_a_gaussian_likelihood(kind: type) -> None:
    rows = random_array((60, 20), density=0.2, format="csr", rng=0, data_sampler=np.random.default_rng(0).normal)
    estimator = kind(16, **SMALL | {"epochs": 2}).fit(rows)
    assert estimator.model_.settings["likelihood"] == "gaussian"
    assert np.isfinite([*estimator.score_samples(rows), *estimator.sample(3).ravel()]).all()
    told = kind(16, likelihood="multinomial", **SMALL | {"epochs": 1}).fit(abs(rows))
    assert told.model_.settings["likelihood"] == "multinomial"


def test_names_of_columns() -> None:
    table = pd.DataFrame(plane(60), columns=list("abcdef"))
    estimator = Autoencoder(2, **SMALL).set_output(transform="pandas").fit(table)
    assert list(estimator.feature_names_in_) == list("abcdef")
    assert list(estimator.transform(table).columns) == ["autoencoder0", "autoencoder1"]


def test_a_share_that_is_none() -> None:
    for share in [0.0, 0.6, -0.1]:
        with pytest.raises(SettingError, match="contamination"):
            Autoencoder(2, contamination=share).fit(plane(20))


def test_codes_of_another_width(fitted: Autoencoder) -> None:
    with pytest.raises(InputError, match="codes of 3"):
        fitted.inverse_transform(np.zeros((2, 3)))


def test_pyod_asks_it() -> None:
    from pyod.models.base import BaseDetector
    from pyod.utils.utility import precision_n_scores

    rows = plane()
    wild = rows[:10] + 30 * rows.std(0) * np.array([1, -1, 1, -1, 1, -1])
    estimator = Autoencoder(2, contamination=0.05, **SMALL)
    detector = as_pyod(estimator).fit(rows)
    assert isinstance(detector, BaseDetector)
    assert not hasattr(estimator, "model_")
    assert detector.labels_.sum() == 10
    np.testing.assert_array_equal(detector.labels_, detector.predict(rows))
    np.testing.assert_array_equal(detector.labels_ == 1, detector.estimator_.predict(rows) == -1)
    asked = np.concatenate([rows, wild])
    truth = np.r_[np.zeros(200), np.ones(10)]
    assert precision_n_scores(truth, detector.decision_function(asked)) == 1
    assert detector.predict(wild).tolist() == [1] * 10
    np.testing.assert_array_equal(detector.decision_function(rows), -detector.estimator_.score_samples(rows))
    np.testing.assert_array_equal(detector.predict_proba(wild)[:, 1], np.ones(10))
    assert clone(detector).estimator.code == 2


def test_without_pyod(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyod.models.base", None)
    monkeypatch.delitem(sys.modules, "isthmus_vectors.estimators.pyod", raising=False)
    with pytest.raises(MissingLibraryError, match="pip install pyod"):
        isthmus_vectors.as_pyod  # noqa: B018

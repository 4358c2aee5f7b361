"""Columns on one scale: robust against wild rows, invertible, and as sparse as before."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, random_array

from isthmus.errors import BundleError, SettingError, ValueRangeError
from isthmus_vectors import Vectors
from isthmus_vectors.scaling import LIMIT, Scaling


def fitted(values: object) -> Scaling:
    return Scaling.fit(Vectors.read(values))


def test_normal_columns_get_mean_0_and_deviation_1() -> None:
    rows = np.random.default_rng(0).normal(size=(20_000, 3)) * [0.01, 1, 1000] + [5, 0, -1e6]
    scaled = fitted(rows).dense(rows)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=0.03)
    np.testing.assert_allclose(scaled.std(0), 1, atol=0.03)


def test_wild_rows_move_nothing() -> None:
    rows = np.random.default_rng(0).normal(size=(1000, 1))
    wild = rows.copy()
    wild[:10] = 1e9
    np.testing.assert_allclose(fitted(wild).scale, fitted(rows).scale, rtol=0.05)
    scaled = fitted(wild).dense(np.array([[4.0], [1e3], [1e9]]))[:, 0]
    assert scaled[0] < LIMIT < scaled[1] < scaled[2] < 30


def test_columns_that_hardly_vary() -> None:
    rows = np.array([[7.0, 0.0, 1e8, 0.0]] * 9 + [[7.0, 1.0, 1e8 + 1e-7, 0.0]])
    scaling = fitted(rows)
    np.testing.assert_allclose(scaling.scale, [1, np.sqrt(0.1), 1, 1])
    assert np.isfinite(scaling.dense(rows)).all()
    assert fitted(np.array([[3.0, 4.0]])).dense(np.array([[3.0, 4.0]])).tolist() == [[0, 0]]


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e12, 1e12), min_size=4, max_size=20), st.floats(-1e12, 1e12))
def test_there_and_back(column: list[float], other: float) -> None:
    scaling = fitted(np.array(column)[:, None])
    given_ = np.array([[other], [column[0]]])
    far = max(1.0, abs(other), *map(abs, column))
    np.testing.assert_allclose(scaling.inverse(scaling.dense(given_)), given_, rtol=1e-6, atol=1e-6 * far)


def test_sparse_rows_keep_their_zeros() -> None:
    rows = random_array((200, 30), density=0.1, format="csr", rng=0)
    scaling = fitted(rows)
    scaled = scaling.sparse(rows)
    assert (scaled.indices == rows.indices).all()
    for column in range(30):
        assert np.median(np.abs(scaled.tocsc()[:, [column]].data)) == pytest.approx(1)
    np.testing.assert_allclose(scaling.inverse(scaled.toarray()), rows.toarray(), atol=1e-12)
    assert fitted(csr_array((3, 2))).scale.tolist() == [1, 1]


def test_none_leaves_numbers_alone() -> None:
    rows = np.array([[1.0, 1e6], [3.0, -1e6]])
    scaling = Scaling.fit(Vectors.read(rows), "none")
    assert np.array_equal(scaling.dense(rows), rows)
    assert np.array_equal(scaling.inverse(rows), rows)
    assert np.array_equal(scaling.sparse(csr_array(rows)).toarray(), rows)


def test_it_is_one_document() -> None:
    scaling = fitted(np.random.default_rng(0).normal(size=(9, 2)) / 3)
    again = Scaling.from_json(scaling.to_json())
    assert np.array_equal(again.scale, scaling.scale)
    assert np.array_equal(again.centre, scaling.centre)


def test_documents_that_are_none() -> None:
    for document in [
        "[]",
        "no",
        '{"method": "robust"}',
        '{"method": "other", "centre": [1], "scale": [1]}',
        '{"method": "robust", "centre": [1], "scale": [1, 2]}',
        '{"method": "robust", "centre": [1], "scale": [0]}',
        '{"method": "robust", "centre": ["a"], "scale": [1]}',
        json.dumps({"method": "robust", "centre": [float("nan")], "scale": [1]}),
    ]:
        with pytest.raises(BundleError):
            Scaling.from_json(document)


def test_what_cannot_be_scaled() -> None:
    with pytest.raises(SettingError, match="scaling='other'"):
        Scaling.fit(Vectors.read([[1.0]]), "other")
    with pytest.raises(ValueRangeError, match="column 1"):
        fitted(np.array([[0.0, 1e300], [0.0, -1e300], [1.0, 1e300], [0.0, 1e300], [0.0, 1e300]]))


def test_far_from_a_column_of_tiny_numbers_and_back() -> None:
    """Once 1 came back as 4e-8, beside a column of 2e-33."""
    for small in [2e-33, 1e-90, 1e-120, 1e-300]:
        scaling = fitted(np.array([[0.0], [0.0], [small], [small]]))
        rows = np.array([[1.0], [-1e12], [0.0]])
        np.testing.assert_allclose(scaling.inverse(scaling.dense(rows)), rows, rtol=1e-6)

"""Vectors through FAISS's product quantiser."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus.errors import InputError, SettingError
from isthmus.index.faiss.product_quantiser import product_quantised


def test_more_bytes_are_nearer() -> None:
    vectors = np.random.default_rng(0).normal(size=(600, 8)).astype(np.float32)
    errors = [float(np.square(product_quantised(vectors, vectors, size) - vectors).mean()) for size in (1, 2, 8)]
    assert errors[0] > errors[1] > errors[2]
    assert np.array_equal(
        product_quantised(vectors, vectors[:5], 2, seed=1), product_quantised(vectors, vectors[:5], 2, seed=1)
    )


def test_what_cannot_be_quantised() -> None:
    vectors = np.zeros((600, 8), np.float32)
    with pytest.raises(SettingError, match="3 bytes"):
        product_quantised(vectors, vectors, 3)
    with pytest.raises(InputError, match="256"):
        product_quantised(vectors[:100], vectors, 2)
    with pytest.raises(InputError, match=r"\(600, 7\)"):
        product_quantised(vectors, vectors[:, :7], 2)

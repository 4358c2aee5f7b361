"""The adapter keeps every adapter's contract, dense and sparse."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import random_array

from isthmus.batch import Bag, Vector
from isthmus.errors import BundleError, ColumnError, InputError, ValueRangeError
from isthmus.testing.adapter import AdapterContract
from isthmus_vectors import VectorAdapter, Vectors


class TestDense(AdapterContract):
    adapter = VectorAdapter

    def records(self) -> Vectors:
        return Vectors.read(pd.DataFrame(np.random.default_rng(0).normal(size=(5, 3)), columns=["a", "b", "c"]))

    def foreign(self) -> Vectors:
        return Vectors.read(pd.DataFrame({"a": [1.0], "b": [1.0], "d": [1.0]}))


class TestSparse(AdapterContract):
    adapter = VectorAdapter

    def records(self) -> Vectors:
        return Vectors.read(random_array((6, 8), density=0.4, format="csr", rng=1))

    def foreign(self) -> Vectors:
        return Vectors.read(random_array((6, 9), density=0.4, format="csr", rng=1))


def test_signals_are_widths() -> None:
    assert VectorAdapter.fit(Vectors.read([[1.0, 2.0]])).signal == Vector(2)
    assert VectorAdapter.fit(Vectors.read(random_array((2, 7), format="csr", rng=0))).signal == Bag(7)


def test_columns_are_found_by_name() -> None:
    table = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [10.0, 30.0, 20.0]})
    adapter = VectorAdapter.fit(Vectors.read(table))
    mixed = Vectors.read(table.assign(extra=0.0)[["b", "extra", "a"]])
    assert adapter.prepare(mixed).values.equal(adapter.prepare(Vectors.read(table)).values)
    assert adapter.prepare(Vectors.read(table.to_numpy())).values.equal(adapter.prepare(Vectors.read(table)).values)
    with pytest.raises(ColumnError, match="no column 'b'"):
        adapter.prepare(Vectors.read(table[["a"]]))
    with pytest.raises(InputError, match="3 numbers"):
        adapter.prepare(Vectors.read(np.zeros((1, 3))))


def test_numbers_beyond_fp32() -> None:
    adapter = VectorAdapter.fit(Vectors.read([[1.0], [1e300]]), "none")
    with pytest.raises(ValueRangeError, match="fp32"):
        adapter.prepare(Vectors.read([[1e300]]))
    sparse = VectorAdapter.fit(Vectors.read(random_array((2, 2), density=1, format="csr", rng=0)), "none")
    with pytest.raises(ValueRangeError, match="fp32"):
        sparse.prepare(Vectors.read(random_array((2, 2), density=1, format="csr", rng=0) * 1e300))


def test_states_that_are_none() -> None:
    for table in [
        "[]",
        "no",
        '{"columns": null}',
        '{"columns": ["a"], "is_sparse": 1}',
        '{"columns": [], "is_sparse": false}',
        '{"columns": [1], "is_sparse": false}',
    ]:
        state = dict(VectorAdapter.fit(Vectors.read([[1.0]])).state())
        assert json.loads(state["table.json"]) == {"columns": None, "is_sparse": False}
        with pytest.raises(BundleError):
            VectorAdapter.restore(state | {"table.json": table})

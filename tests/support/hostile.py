"""Odd values for the arguments of public functions, as strategies of hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import torch
from hypothesis import strategies as st
from scipy import sparse

Maker = Callable[[Any], Any]


class Text(str):
    """A text of another class."""


SCALARS: Sequence[Any] = (
    *(None, True, False, 0, 1, 2, -1, 3.0, 2.5, -0.0, float("nan"), float("inf"), -float("inf"), 1e-320, 1e300),
    *(2**31, 2**32, 2**53, 2**62, 2**63, 2**64, 2**70, -(2**63), -(2**70)),
    *(
        np.int64(3),
        np.uint8(2),
        np.bool_(True),
        np.float32(0.25),
        np.float64(2),
        np.int32(-1),
        np.datetime64("2024-01-01"),
    ),
    *("", "a", "3", "\0", "é" * 300, "\ud800", "auto", "cpu", "no/such/file.csv", b"x", bytearray(b"xy")),
    *(1j, Decimal("1.5"), Fraction(1, 2), Text("1"), Path("no-such-file"), Path(), ..., object(), int, len),
    *(np.array(3), np.array([3]), torch.tensor(3), torch.tensor([True]), torch.tensor(2.5, requires_grad=True)),
    *(pd.NA, pd.NaT, pd.Timestamp("2024-01-01"), range(3), slice(1, 2)),
)

CONTAINERS: Sequence[Maker] = (
    *(lambda _: [], lambda _: (), lambda _: {}, lambda _: set(), lambda _: [None], lambda _: [[]], lambda _: [[], [1]]),
    *(lambda _: [[None]], lambda _: [1, "a"], lambda _: {"a": [1]}, lambda _: [{1: float("nan")}], lambda _: [{}]),
    *(lambda _: iter([1, 2]), lambda _: (one for one in [[1], [2]]), lambda _: np.zeros((0, 6)), lambda _: np.zeros(0)),
    *(lambda _: np.zeros((2, 0)), lambda _: np.zeros((2, 3, 4, 5)), lambda _: np.full((2, 6), np.nan)),
    *(lambda _: np.full((2, 6), np.inf), lambda _: np.full((2, 6), 1e300), lambda _: np.full((2, 6), 1e38, np.float32)),
    *(lambda _: np.array(["a", "b"]), lambda _: np.array([{}, None], dtype=object), lambda _: np.zeros(3, "i4,f8")),
    *(
        lambda _: np.array([1, 2], "M8[s]"),
        lambda _: np.ones((2, 6), complex),
        lambda _: torch.ones(2, 6, dtype=torch.complex64),
    ),
    *(
        lambda _: torch.empty(2, 6, device="meta"),
        lambda _: torch.ones(2, 6).to_sparse(),
        lambda _: sparse.eye_array(6),
    ),
    *(lambda _: sparse.csr_array((0, 6)), lambda _: sparse.coo_array(([1j], ([0], [0])), shape=(2, 6))),
    *(lambda _: pd.DataFrame(), lambda _: pd.DataFrame({"a": ["x", None]}), lambda _: pd.Series([1, 2], dtype="Int64")),
    *(lambda _: pd.DataFrame({"a": pd.array([1, None], "Int64")}), lambda _: pd.Series(["a", "b"], dtype="category")),
    *(lambda _: pa.chunked_array([[1], [2, 3]]), lambda _: pa.table({"a": [1, None]}), lambda _: pa.array(["x"])),
    *(lambda _: pl.DataFrame({"a": [1, 2]}), lambda _: pl.Series([1.5, None]), lambda _: memoryview(b"abcdef")),
)

EQUAL: Sequence[Maker] = (
    np.asfortranarray,
    lambda given: given[::-1].copy()[::-1],
    lambda given: np.repeat(given, 2, axis=0)[::2],
    lambda given: given.astype(given.dtype.newbyteorder(">")),
    lambda given: _read_only(given),
    lambda given: given.astype(object),
    lambda given: given.tolist(),
    lambda given: np.ma.array(given),
    lambda given: torch.from_numpy(given.copy()),
    lambda given: torch.from_numpy(given.copy()).requires_grad_(given.dtype.kind == "f"),
    lambda given: torch.from_numpy(np.asfortranarray(given)),
)
"""Other forms of an array, which mean the same."""

UNLIKE: Sequence[Maker] = (
    lambda given: np.ma.masked_greater(given, given.mean()),
    lambda given: given.astype(complex),
    lambda given: given.astype("M8[s]"),
    lambda given: given.astype(bool),
    lambda given: given.astype(str),
    lambda given: given.astype(np.float16),
    lambda given: given.astype(np.longdouble) * 10,
    lambda given: torch.from_numpy(given.copy()).bfloat16(),
    lambda given: torch.from_numpy(given.copy()).to(torch.complex64),
    lambda given: given[0],
    lambda given: given[:, :-1],
    lambda given: given[:0],
    lambda given: given[None],
    lambda given: np.where(np.arange(given.size).reshape(given.shape) == 1, np.nan, given),
    lambda given: given * 1e30,
    lambda given: given * 0,
    lambda given: np.concatenate([given, given]),
    lambda given: pd.DataFrame(given.reshape(len(given), -1)),
    lambda given: pd.DataFrame(given.reshape(len(given), -1)).convert_dtypes(),
    lambda given: pd.DataFrame(given.reshape(len(given), -1)).astype("category"),
    lambda given: pl.DataFrame(given.reshape(len(given), -1)),
    lambda given: pa.table({str(place): column for place, column in enumerate(given.reshape(len(given), -1).T)}),
    lambda given: pa.chunked_array([given.reshape(len(given), -1)[:, 0]]),
    lambda given: sparse.csr_array(given.reshape(len(given), -1)),
    lambda given: sparse.coo_matrix(given.reshape(len(given), -1)),
)
"""Changed forms of an array: each is answered as what it is, or refused."""


def odd_values() -> st.SearchStrategy[Maker]:
    """From the usual value of an argument to an odd one."""
    return st.one_of(
        st.sampled_from(SCALARS).map(lambda value: lambda _: value),
        st.sampled_from(CONTAINERS),
        st.sampled_from(UNLIKE).map(_of_arrays),
    )


def equal_values() -> st.SearchStrategy[Maker]:
    """From an array to the same in another form; other values stay as they are."""
    return st.sampled_from(EQUAL).map(_of_arrays)


def _of_arrays(make: Maker) -> Maker:
    return lambda given: make(given) if isinstance(given, np.ndarray) and given.ndim > 1 else given


def _read_only(given: Any) -> Any:
    copied = given.copy()
    copied.flags.writeable = False
    return copied

"""The adapter contract catches adapters that break it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array

from isthmus.batch import Vector
from isthmus.errors import InputError
from isthmus.sources import VectorSource
from isthmus.testing._same import same
from isthmus.testing.adapter import AdapterContract
from isthmus.vocabulary import Vocabulary


class Columns:
    """Dense arrays, as they should be."""

    def __init__(self, width: int) -> None:
        self.width = width

    @property
    def signal(self) -> Vector:
        return Vector(self.width)

    @classmethod
    def read(cls, source: Any, **options: Any) -> Any:
        return np.asarray(source, dtype=np.float32)

    @classmethod
    def fit(cls, records: Any) -> Columns:
        return cls(records.shape[1])

    def prepare(self, records: Any) -> VectorSource:
        if records.shape[1] != self.width:
            raise InputError("another width")
        return VectorSource(torch.tensor(records))

    def state(self) -> Mapping[str, str]:
        return {"columns.json": json.dumps(self.width)}

    @classmethod
    def restore(cls, state: Mapping[str, str]) -> Columns:
        return cls(json.loads(state["columns.json"]))


class ColumnsContract(AdapterContract):
    adapter = Columns

    def records(self) -> Any:
        return np.arange(12, dtype=np.float32).reshape(4, 3)

    def foreign(self) -> Any:
        return np.zeros((2, 5), dtype=np.float32)


class TestColumns(ColumnsContract):
    pass


def changes_records(records: Any) -> VectorSource:
    records -= records.mean()
    return VectorSource(torch.tensor(records))


def is_random(records: Any) -> VectorSource:
    return VectorSource(torch.tensor(records) + torch.rand(1))


def holds_nan(records: Any) -> VectorSource:
    return VectorSource(torch.tensor(records) * float("nan"))


def takes_the_unknown(records: Any) -> VectorSource:
    return VectorSource(torch.tensor(records))


@dataclass(frozen=True)
class Centred(VectorSource):
    def batch(self, rows: torch.Tensor) -> Any:
        return VectorSource(self.values - self.values[rows].mean(0)).batch(rows)


def sees_other_rows(records: Any) -> VectorSource:
    return Centred(torch.tensor(records))


@pytest.mark.parametrize(
    ("prepare", "test"),
    [
        (changes_records, "test_leaves_records_as_they_were"),
        (is_random, "test_is_deterministic"),
        (is_random, "test_state_restores_the_adapter"),
        (holds_nan, "test_batches_match_the_signal"),
        (takes_the_unknown, "test_the_unknown_is_dropped_or_refused"),
        (sees_other_rows, "test_a_batch_is_its_rows"),
    ],
)
def test_breaches_are_found(prepare: Callable[[Any], VectorSource], test: str) -> None:
    broken = type("Broken", (Columns,), {"prepare": staticmethod(prepare)})
    contract = type("BrokenContract", (ColumnsContract,), {"adapter": broken})()
    with pytest.raises(AssertionError):
        getattr(contract, test)()


@dataclass
class Holder:
    cells: Any


class Plain:
    def __init__(self, cells: Any) -> None:
        self.cells = cells


@pytest.mark.parametrize(
    "wrap", [lambda value: value, lambda value: [value], lambda value: {"a": value}, Holder, Plain]
)
@pytest.mark.parametrize(
    ("make", "other"),
    [
        (lambda: np.array([1.0, np.nan]), np.array([1.0, 2.0])),
        (lambda: np.array(["a", None], dtype=object), np.array(["a", "b"], dtype=object)),
        (lambda: torch.tensor([1.0, float("nan")]), torch.tensor([1.0, 2.0])),
        (lambda: torch.tensor([True]), torch.tensor([False])),
        (lambda: csr_array(np.eye(2)), csr_array(np.ones((2, 2)))),
        (lambda: pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]})),
        (lambda: Vocabulary(["a"]), Vocabulary(["b"])),
        (lambda: 1, 1.0),
        (lambda: (1, "x"), (1, "x", 2)),
    ],
)
def test_same_looks_inside(wrap: Callable[[Any], Any], make: Callable[[], Any], other: Any) -> None:
    assert same(wrap(make()), wrap(make()))
    assert not same(wrap(make()), wrap(other))

"""Deep equality of anything a record may be made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse


def same(one: Any, other: Any) -> bool:
    """Whether two values hold the same, looking into arrays, tensors, containers and plain objects. NaN equals NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and _same_cells(one, other)
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and _same_tensors(one, other)
    if issparse(one):
        return _same_sparse(one, other)
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    state = _state(one)
    return same(state, _state(other)) if state is not None else _equal(one, other)


def _same_cells(one: Any, other: Any) -> bool:
    if one.dtype == object:
        return all(map(same, one.ravel().tolist(), other.ravel().tolist()))
    return np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()


def _same_sparse(one: Any, other: Any) -> bool:
    return bool(one.dtype == other.dtype and one.shape == other.shape and (one != other).nnz == 0)


def _same_tensors(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one.double(), other.double(), rtol=0, atol=0, equal_nan=True)


def _state(value: Any) -> dict[str, Any] | None:
    """What an object of a Python class is made of; None for anything that says itself what it equals."""
    kind: Any = type(value)
    if is_dataclass(kind):
        return {field.name: getattr(value, field.name) for field in fields(kind)}
    if kind.__eq__ is not object.__eq__ or not hasattr(value, "__dict__") or isinstance(value, type):
        return None
    # Something computed on first use and kept is not a change.
    return {name: kept for name, kept in vars(value).items() if not _is_cache(kind, name)}


def _is_cache(kind: type, name: str) -> bool:
    return isinstance(getattr(kind, name, None), cached_property)


def _equal(one: Any, other: Any) -> bool:
    try:
        return one is other or bool(one == other)
    except ValueError:
        # Data frames compare cell by cell; they have a method for the whole.
        return bool(one.equals(other))

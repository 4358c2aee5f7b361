"""Vectors as an index wants them: finite, normalised, centred or lifted."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.errors import InputError, SettingError, ValueRangeError
from isthmus.plugins import closest

Metric = Literal["ip", "cosine", "l2"]
"""Inner product, cosine, or negative squared Euclidean distance; higher is nearer in all three."""


def check_metric(metric: str) -> None:
    """Refuse an unknown metric.

    Raises:
        SettingError: none of "ip", "cosine", "l2".
    """
    if metric not in get_args(Metric):
        raise SettingError(f"metric {metric!r}", expected="ip, cosine or l2", remedy=closest(metric, get_args(Metric)))


def check_k(k: int) -> None:
    """Refuse to look for fewer than one.

    Raises:
        SettingError: ``k`` is below 1.
    """
    if k < 1:
        raise SettingError(f"k is {k}", expected="at least 1")


def check_vectors(vectors: Float[Tensor, "rows width"]) -> None:
    """Refuse what cannot be indexed.

    Raises:
        InputError: no vectors, or vectors of no numbers.
        ValueRangeError: a number is NaN or infinite.
    """
    if not vectors.numel():
        raise InputError(f"vectors of shape {tuple(vectors.shape)}", expected="at least one vector of one number")
    if not _finite(vectors):
        row = int((~vectors.isfinite()).any(1).nonzero()[0])
        raise ValueRangeError(f"vector {row} holds NaN or infinity", expected="finite numbers")


def check_queries(queries: Float[Tensor, "batch width"], width: int, device: torch.device) -> None:
    """Refuse queries that cannot be compared with the vectors.

    Args:
        queries: one a row.
        width: numbers of a vector.
        device: where the vectors are.

    Raises:
        InputError: queries of another width, or on another device, than the vectors.
        ValueRangeError: a number is NaN or infinite.
    """
    if queries.ndim != 2 or queries.shape[1] != width:
        raise InputError(f"queries of shape {tuple(queries.shape)}", expected=f"[batch, {width}]")
    if queries.device != device:
        raise InputError(f"queries on {queries.device}", expected=f"{device}", remedy="move them with queries.to(...)")
    if not _finite(queries):
        row = int((~queries.isfinite()).any(1).nonzero()[0])
        raise ValueRangeError(f"query {row} holds NaN or infinity", expected="finite numbers")


def _finite(numbers: Tensor) -> bool:
    # NaN and infinity reach the sum, which takes one pass; so does an overflow of finite numbers: hence a second look.
    return math.isfinite(float(numbers.sum())) or bool(numbers.isfinite().all())


def normalised(vectors: Float[Tensor, "rows width"]) -> Float[Tensor, "rows width"]:
    """Vectors of length one; a zero vector stays zero, so its cosine with anything is 0."""
    # In float64, because squares of float32 numbers overflow and vanish early.
    lengths = torch.linalg.vector_norm(vectors, dim=1, keepdim=True, dtype=torch.float64)
    return (vectors / torch.where(lengths > 0, lengths, 1.0)).to(vectors.dtype)


def lifted(vectors: Float[Tensor, "rows width"]) -> Float[Tensor, "rows width_plus_one"]:
    """``[v, √(R² − |v|²)]`` with R the greatest length: among these, the nearest to ``[q, 0]`` by Euclidean distance
    has the greatest inner product with q (Bachrach et al. 2014, "Speeding up the Xbox recommender system", section 3).
    """
    exact = vectors.double()
    squares = exact.square().sum(1, keepdim=True)
    rest = (squares.max() - squares).clamp_(min=0).sqrt()
    return torch.cat([exact, rest], 1).to(vectors.dtype)

"""Checks and transforms vectors for an index: finite, normalised or lifted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.checked.arguments import checked_k, choice
from isthmus.checked.sizes import check_memory
from isthmus.errors import InputError, ValueRangeError
from isthmus.machine.devices import where_double
from isthmus.plugins import closest

Metric = Literal["ip", "cosine", "l2"]
"""Inner product, cosine, or negative squared Euclidean distance; higher is nearer in all three."""


def check_metric(metric: str) -> None:
    """Check that a metric is known.

    Raises:
        SettingError: not "ip", "cosine" or "l2".
    """
    choice("metric", metric, get_args(Metric), closest)


def check_k(k: Any, queries: int = 0) -> int:
    """Check the number of results and return it as an ``int``.

    Args:
        k: number of results per query.
        queries: number of queries whose results are allocated.

    Raises:
        SettingError: not an integer, below 1, or so many results that they do not fit into free memory.
    """
    wanted = checked_k(k)
    check_memory(ANSWER_BYTES * wanted * queries, f"k is {wanted}")
    return wanted


ANSWER_BYTES = 12
"""Bytes of one result: a row number and its score."""


LONGEST = 1e15
"""Maximum norm of vectors that are compared by inner products or distances. Squares of longer vectors overflow float32,
and FAISS reacts to infinity with an exception in a thread, which ends the process."""

LONGEST_QUERY: Mapping[Metric, float] = {"ip": 1e22, "l2": 1e18, "cosine": math.inf}
"""Maximum norm of queries, so that products and squared distances fit into float32. Cosines are scaled in float64."""


def check_vectors(vectors: Float[Tensor, "rows width"], metric: Metric | None = None) -> None:
    """Check that vectors can be indexed.

    Args:
        vectors: one vector per row.
        metric: metric of the comparison, if known.

    Raises:
        InputError: no vectors, or vectors without numbers.
        ValueRangeError: a number is NaN or infinite, or the norm of a vector is too large for the metric.
    """
    if not vectors.numel():
        raise InputError(f"vectors of shape {tuple(vectors.shape)}", expected="at least one vector of one number")
    if not _finite(vectors):
        row = int((~vectors.isfinite()).any(1).nonzero()[0])
        raise ValueRangeError(f"vector {row} holds NaN or infinity", expected="finite numbers")
    if metric is not None:
        check_lengths(vectors, metric)


def check_lengths(vectors: Float[Tensor, "rows width"], metric: Metric) -> None:
    """Check the norms of vectors.

    Args:
        vectors: one vector per row, finite.
        metric: metric of the comparison.

    Raises:
        ValueRangeError: a norm is too large for float32; the message names the first such vector.
    """
    if metric != "cosine":
        _check_lengths(vectors, LONGEST, "vector")


def check_queries(
    queries: Float[Tensor, "batch width"], width: int, device: torch.device, metric: Metric = "cosine"
) -> None:
    """Check that queries can be compared with the vectors.

    Args:
        queries: one query per row.
        width: number of dimensions of the vectors.
        device: device of the vectors.
        metric: metric of the comparison; for "cosine" a query may have any norm.

    Raises:
        InputError: queries with another width, or on another device, than the vectors.
        ValueRangeError: a number is NaN or infinite, or the norm of a query is too large for the metric.
    """
    if queries.ndim != 2 or queries.shape[1] != width:
        raise InputError(f"queries of shape {tuple(queries.shape)}", expected=f"[batch, {width}]")
    if queries.device != device:
        raise InputError(f"queries on {queries.device}", expected=f"{device}", remedy="move them with queries.to(...)")
    if _are_short(queries, LONGEST_QUERY[metric]):
        return
    if not _finite(queries):
        row = int((~queries.isfinite()).any(1).nonzero()[0])
        raise ValueRangeError(f"query {row} holds NaN or infinity", expected="finite numbers")
    if math.isfinite(LONGEST_QUERY[metric]):
        _check_lengths(queries, LONGEST_QUERY[metric], "query")


def _are_short(vectors: Float[Tensor, "rows width"], longest: float) -> bool:
    """Whether one pass over all numbers shows that all are finite and no vector is too long, as it nearly always does:
    the sum of all squares bounds the length of each vector."""
    if vectors.dtype != torch.float32:
        return False
    every = vectors.flatten()
    squares = float(torch.dot(every, every))
    # Half of the length leaves room for the rounding of the sum.
    return math.isfinite(squares) and squares <= (longest / 2) ** 2


def _check_lengths(vectors: Float[Tensor, "rows width"], longest: float, name: str) -> None:
    # The norm of a vector is at most the square root of its width, times its largest absolute value.
    if not vectors.numel() or float(vectors.abs().amax()) * math.sqrt(vectors.shape[1]) <= longest:
        return
    here = where_double(vectors)
    lengths = torch.linalg.vector_norm(here, dim=1, dtype=torch.float64)
    long = (lengths > longest).nonzero()[:, 0]
    if len(long):
        row = int(long[0])
        raise ValueRangeError(
            f"{name} {row} is {float(lengths[row]):.3g} long, and its square is no number of float32",
            expected=f"lengths of at most {longest:g}",
            remedy="divide all by one number, or compare them by metric='cosine'",
        )


def _finite(numbers: Tensor) -> bool:
    # NaN and infinity show in the sum, which takes one pass. An overflow of finite numbers does too: hence the second
    # test.
    return math.isfinite(float(numbers.sum())) or bool(numbers.isfinite().all())


def normalised(vectors: Float[Tensor, "rows width"]) -> Float[Tensor, "rows width"]:
    """Vectors scaled to length one; a zero vector stays zero, so its cosine with any vector is 0."""
    # In float64, because squares of float32 numbers overflow and underflow early.
    here = where_double(vectors)
    lengths = torch.linalg.vector_norm(here, dim=1, keepdim=True, dtype=torch.float64)
    return (here / torch.where(lengths > 0, lengths, 1.0)).to(vectors)


def lifted(vectors: Float[Tensor, "rows width"]) -> Float[Tensor, "rows width_plus_one"]:
    """``[v, √(R² − |v|²)]`` with R the largest norm: the lifted vector nearest to ``[q, 0]`` by Euclidean distance has
    the largest inner product with q (Bachrach et al. 2014, "Speeding up the Xbox recommender system", section 3).
    """
    exact = vectors.double()
    squares = exact.square().sum(1, keepdim=True)
    rest = (squares.max() - squares).clamp_(min=0).sqrt()
    return torch.cat([exact, rest], 1).to(vectors.dtype)

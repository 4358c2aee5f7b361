"""Vectors and queries of many kinds, and the plainest search among them."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from isthmus.protocols import Neighbours
from isthmus.rowlists import RowLists


def naive(vectors: Tensor, queries: Tensor, k: int, exclude: RowLists | None) -> Neighbours:
    """Every column, summed in float64, rounded, sorted."""
    scores = torch.stack([(vectors.double() * query.double()).sum(1) for query in queries]).float()
    if exclude is not None:
        for row in range(len(queries)):
            scores[row, exclude.rows[exclude.offsets[row] : exclude.offsets[row + 1]]] = -torch.inf
    best, order = scores.sort(dim=1, descending=True, stable=True)
    rows = order.masked_fill(best == -torch.inf, -1)
    return Neighbours(rows[:, :k], best[:, :k])


def drawn(kind: str, rows: int, width: int, batch: int, generator: Generator) -> tuple[Tensor, Tensor]:
    vectors = torch.randn(rows, width, generator=generator)
    queries = torch.randn(batch, width, generator=generator)
    match kind:
        case "duplicates":
            vectors = vectors[torch.randint(0, max(1, rows // 20), (rows,), generator=generator)]
        case "whole numbers":
            vectors, queries = vectors.mul(2).round(), queries.mul(2).round()
        case "near ties":
            vectors = vectors[:1] + vectors * 1e-6
        case "spread lengths":
            vectors = vectors * torch.randn(rows, 1, generator=generator).mul(3).exp().clamp(1e-6, 1e6)
        case "zeros":
            vectors[torch.rand(rows, generator=generator) < 0.5] = 0
            queries[torch.rand(batch, generator=generator) < 0.3] = 0
        case "one side":
            vectors, queries = vectors.abs() + 1, -queries.abs()
        case "cut at halves":
            # Beside the middle between two numbers of bf16, all roundings of a vector push its scores one way.
            vectors = vectors.sign() * (1 + 2.0**-8 * (1 + 0.01 * torch.randn(rows, 1, generator=generator)))
            vectors[1:] = vectors[:1].sign() * vectors[1:].abs()
            queries = vectors[:1].sign() * (1 + 0.1 * queries.abs())
    return vectors, queries


def with_exclusions(
    kind: str, seed: int, rows: int, width: int, batch: int, seen: int, scales: tuple[int, int]
) -> tuple[Tensor, Tensor, RowLists | None]:
    """Vectors and queries of a kind, multiplied by powers of two, and lists of columns to exclude, ``seen`` random ones
    for each query; None for 0."""
    generator = Generator().manual_seed(seed)
    vectors, queries = drawn(kind, rows, width, batch, generator)
    vectors, queries = vectors * 2.0 ** scales[0], queries * 2.0 ** scales[1]
    # The best columns are among those excluded, or the filter would hardly be tried.
    tempting = naive(vectors, queries, 4, None).rows.clamp(min=0)
    lists = torch.cat([tempting, torch.randint(0, rows, (batch, seen), generator=generator)], 1)
    exclude = RowLists(lists.flatten(), torch.arange(0, lists.numel() + 1, lists.shape[1])) if seen else None
    return vectors, queries, exclude


KINDS = (
    "normal",
    "duplicates",
    "whole numbers",
    "near ties",
    "spread lengths",
    "zeros",
    "one side",
    "cut at halves",
)

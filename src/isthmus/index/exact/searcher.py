"""Exact search over the columns of a ranker or over vectors, the reference for all other searchers.

At most ``block_bytes`` of scores are in memory at a time, for any number of queries and columns. Ties are ordered by
ascending row. Columns with a score of -inf are never returned. If fewer than k columns remain, the results are padded
with row -1 and score -inf.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, final

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from isthmus.batch import Tensors
from isthmus.core.placement import Rows
from isthmus.index.exact.bf16 import Bf16Table, Fallback, pays, suits
from isthmus.index.exact.blocks import Score, joined, search_blocks, spans
from isthmus.index.exact.filters import Allow, Filters
from isthmus.index.exact.int8 import Int8Table
from isthmus.index.exact.int8 import pays as few_pay
from isthmus.index.exact.int8 import suits as int8_suits
from isthmus.index.vectors import Metric, check_k, check_metric, check_queries, check_vectors, normalised
from isthmus.machine.devices import block_bytes as suited_bytes
from isthmus.machine.devices import where_double as wide
from isthmus.protocols import Columns, Neighbours, Ranker, RankingReadout
from isthmus.rowlists import RowLists, check_rows


@torch.no_grad()
def rank(
    ranker: Ranker,
    inputs: Tensors,
    k: int,
    *,
    exclude: RowLists | None = None,
    allow: Allow = None,
    block_bytes: int | None = None,
) -> Neighbours:
    """The ``k`` best columns of a ranker for each row of ``inputs``, best first.

    Args:
        ranker: scores the columns.
        inputs: one row (a bag, or a sequence) for each query.
        k: number of results per query.
        exclude: columns to exclude, for each query.
        allow: the only columns that may be returned: for all queries (a tensor) or for each (lists).
        block_bytes: maximum size of one block of scores; by default a size that suits the device.

    Returns:
        Columns and scores, best first, ties by ascending column; padded with -1 and -inf where fewer than ``k`` pass.

    Raises:
        SettingError: ``k`` below 1.
        InputError: filters that do not match the number of queries.
        ValueRangeError: a filter names a column that does not exist, or a score is NaN.
    """
    k = check_k(k, inputs.size)
    if (rows := _cut(ranker)) is not None:
        parts = spans(inputs.size, rows.width, block_bytes or suited_bytes(inputs.device))
        states = [ranker.prepare(inputs.part(start, stop)) for start, stop in parts]
        return _rank_in_parts(ranker, rows, torch.cat(states), k, exclude, allow)
    filters = Filters.checked(ranker.width, inputs.size, exclude, allow, inputs.device)
    found, size = [], block_bytes or suited_bytes(inputs.device)
    for start, stop in spans(inputs.size, ranker.width, size):
        score = _scores_of(ranker, ranker.prepare(inputs.part(start, stop)))
        found.append(search_blocks(score, filters.part(start, stop), stop - start, k, size))
    return joined(found)


@torch.no_grad()
def rank_prepared(
    ranker: Ranker,
    state: Any,
    queries: int,
    k: int,
    *,
    exclude: RowLists | None = None,
    allow: Allow = None,
    device: torch.device | None = None,
    block_bytes: int | None = None,
) -> Neighbours:
    """``rank`` for a given ``state = ranker.prepare(...)``; its queries share their blocks.

    Args:
        ranker: scores the columns.
        state: result of ``ranker.prepare``.
        queries: number of queries in ``state``.
        k: number of results per query.
        exclude: columns to exclude, for each query.
        allow: the only columns that may be returned: for all queries (a tensor) or for each (lists).
        device: device on which the scores are computed; by default the CPU.
        block_bytes: maximum size of one block of scores; by default a size that suits the device.

    Returns:
        The results of ``rank``.

    Raises:
        The errors of ``rank``.
    """
    k = check_k(k, queries)
    if (rows := _cut(ranker)) is not None:
        return _rank_in_parts(ranker, rows, state, k, exclude, allow)
    place = device or torch.device("cpu")
    filters = Filters.checked(ranker.width, queries, exclude, allow, place)
    return search_blocks(_scores_of(ranker, state), filters, queries, k, block_bytes or suited_bytes(place))


@final
class ExactSearcher:
    """Compares every vector with every query. Created by ``build``; immutable."""

    def __init__(self, vectors: Tensor, metric: Metric, centre: Tensor, bf16: bool) -> None:
        self._vectors, self._metric, self._centre, self._may_use_bf16 = vectors, metric, centre, bf16

    @classmethod
    def build(cls, vectors: Float[Tensor, "rows width"], metric: Metric = "ip", *, bf16: bool = True) -> ExactSearcher:
        """A searcher on the device of the vectors; float64 vectors stay float64, others become float32.

        Args:
            vectors: one vector for each row.
            metric: "ip", the inner product; "cosine", 0 for a zero vector; "l2", the negative squared distance.
            bf16: use bf16 for large searches by "ip" and "cosine", and int8 for single queries to large tables, if the
                processor multiplies them fast (``isthmus.index.exact.bf16`` and ``int8``). The results are still exact,
                but scores may differ in their last bits. The first such search makes a copy of the vectors, of half
                their size (bf16) or a quarter (int8).

        Raises:
            SettingError: an unknown metric.
            InputError: no vectors.
            ValueRangeError: a number is NaN or infinite.
        """
        check_metric(metric)
        check_vectors(vectors, metric)
        # A copy, so that further training of the table does not change the results.
        vectors = vectors.detach().to(torch.promote_types(vectors.dtype, torch.float32), copy=metric == "ip")
        return cls.over(vectors, metric, bf16=bf16)

    @classmethod
    def over(cls, vectors: Float[Tensor, "rows width"], metric: Metric, *, bf16: bool = True) -> ExactSearcher:
        """``build`` over checked vectors that will not change: they are shared, not copied, if the metric compares them
        unchanged.

        Args:
            vectors: one vector per row, float32 or float64.
            metric: "ip", "cosine" or "l2".
            bf16: as for ``build``.
        """
        centre = vectors.new_zeros(vectors.shape[1])
        if metric == "cosine":
            vectors = normalised(vectors)
        elif metric == "l2":
            # Distances do not change, and their expansion into products loses less near the origin.
            centre = wide(vectors).mean(0, dtype=torch.float64).to(vectors)
            vectors = vectors - centre
        return cls(vectors, metric, centre, bf16)

    @property
    def width(self) -> int:
        """The number of dimensions of a vector."""
        return self._vectors.shape[1]

    @property
    def metric(self) -> Metric:
        """The metric of the comparison."""
        return self._metric

    @property
    def centre(self) -> Float[Tensor, " width"]:
        """The vector that was subtracted from all vectors; zero except for "l2"."""
        return self._centre

    @property
    def compared(self) -> Float[Tensor, "rows width"]:
        """The vectors as they are compared: normalised for "cosine", centred for "l2". Do not modify them."""
        return self._vectors

    def __len__(self) -> int:
        return self._vectors.shape[0]

    @torch.no_grad()
    def search(
        self,
        queries: Float[Tensor, "batch width"],
        k: int,
        *,
        exclude: RowLists | None = None,
        allow: Allow = None,
        block_bytes: int | None = None,
    ) -> Neighbours:
        """The ``k`` nearest rows of each query.

        Args:
            queries: one query per row.
            k: number of results per query.
            exclude: rows to exclude, for each query.
            allow: the only rows that may be returned: for all queries (a tensor) or for each (lists).
            block_bytes: maximum size of one block of scores; by default a size that suits the device.

        Returns:
            Rows and scores, nearest first, ties by ascending row; padded with -1 and -inf where fewer than ``k`` pass.

        Raises:
            SettingError: ``k`` below 1.
            InputError: queries of another width or device; filters that do not match the number of queries.
            ValueRangeError: a query holds NaN or infinity; a filter names a row that does not exist.
        """
        check_queries(queries, self.width, self._vectors.device, self._metric)
        return self.search_checked(queries, k, exclude, allow, block_bytes)[0]

    def search_checked(
        self,
        queries: Float[Tensor, "batch width"],
        k: int,
        exclude: RowLists | None,
        allow: Allow,
        block_bytes: int | None = None,
    ) -> tuple[Neighbours, Bool[Tensor, " batch"]]:
        """``search`` for checked queries.

        Args:
            queries: one query per row.
            k: number of results per query.
            exclude: rows to exclude, for each query.
            allow: the only rows that may be returned: for all queries (a tensor) or for each (lists).
            block_bytes: maximum size of one block of scores; by default a size that suits the device.

        Returns:
            The results, and a mask of the queries for which the scores are float64 sums rounded to float32 and the
            results are the best by these scores.
        """
        k = check_k(k, len(queries))
        filters = Filters.checked(len(self), len(queries), exclude, allow, queries.device)
        queries = self.prepared(queries)
        size = block_bytes or suited_bytes(queries.device)

        def in_full(some: Tensor, filters: Filters) -> Neighbours:
            found = []
            for start, stop in spans(len(some), len(self), size):
                score = self.scorer(some[start:stop])
                found.append(search_blocks(score, filters.part(start, stop), stop - start, k, size))
            return joined(found)

        if self._may_use_bf16 and pays(len(self), len(queries), k, filters) and self._bf16_table is not None:
            return self._bf16_table.search(queries, k, filters, in_full, size)
        if self._may_use_bf16 and few_pay(len(self), self.width, len(queries), k, filters):
            table = self._int8_table
            if table is not None:
                return _one_by_one(table, queries, k, filters, in_full)
        return in_full(queries, filters), torch.zeros(len(queries), dtype=torch.bool, device=queries.device)

    @torch.no_grad()
    def scores(self, queries: Float[Tensor, "batch width"], rows: Int64[Tensor, "batch k"]) -> Float[Tensor, "batch k"]:
        """The scores of some rows for each query, in the order given; queries are checked as by ``search``.

        Raises:
            InputError: queries of another width or device.
            ValueRangeError: a query holds NaN or infinity, or a row does not exist.
        """
        check_queries(queries, self.width, self._vectors.device, self._metric)
        check_rows(rows.flatten(), len(self), "rows")
        return self.scores_of_prepared(self.prepared(queries), rows)

    def scores_of_prepared(
        self, queries: Float[Tensor, "batch width"], rows: Int64[Tensor, "batch k"]
    ) -> Float[Tensor, "batch k"]:
        """``scores`` of prepared queries, without checks."""
        vectors = self._vectors.index_select(0, rows.flatten()).view(*rows.shape, self.width)
        if self._metric == "l2":
            return vectors.sub_(queries[:, None]).square_().sum(2).neg_()
        return torch.bmm(vectors, queries[:, :, None])[:, :, 0]

    @cached_property
    def _squares(self) -> Float[Tensor, " rows"]:
        return wide(self._vectors).square().sum(1, dtype=torch.float64).to(self._vectors)

    @cached_property
    def _bf16_table(self) -> Bf16Table | None:
        return Bf16Table(self._vectors) if self._metric != "l2" and suits(self._vectors) else None

    @cached_property
    def _int8_table(self) -> Int8Table | None:
        return Int8Table(self._vectors) if self._metric != "l2" and int8_suits(self._vectors) else None

    def prepared(self, queries: Float[Tensor, "batch width"]) -> Float[Tensor, "batch width"]:
        """Queries as they are compared."""
        queries = queries.to(self._vectors.dtype)
        if self._metric == "cosine":
            return normalised(queries)
        return queries - self._centre if self._metric == "l2" else queries

    def scorer(self, queries: Float[Tensor, "batch width"]) -> Score:
        """A function from columns to the scores of prepared queries."""
        if self._metric != "l2":
            return lambda columns: queries @ self._vectors[columns].T
        own = queries.square().sum(1, keepdim=True)

        def negative_squared_distance(columns: Columns) -> Tensor:
            scores = torch.addmm(-self._squares[columns], queries, self._vectors[columns].T, alpha=2)
            return scores.sub_(own).clamp_(max=0)

        return negative_squared_distance


def _one_by_one(
    table: Int8Table, queries: Float[Tensor, "batch width"], k: int, filters: Filters, in_full: Fallback
) -> tuple[Neighbours, Bool[Tensor, " batch"]]:
    found, by_int8 = [], torch.zeros(len(queries), dtype=torch.bool)
    for row in range(len(queries)):
        one, own = queries[row : row + 1], filters.part(row, row + 1)
        answer = table.search(one, k, own)
        by_int8[row] = answer is not None
        found.append(in_full(one, own) if answer is None else answer)
    return joined(found), by_int8


def _cut(ranker: Ranker) -> Rows | None:
    """The rows of a ranker of which other processes have some; None if all are here."""
    rows: Rows | None = getattr(ranker, "rows", None)
    return None if rows is None or rows.whole else rows


def _rank_in_parts(
    ranker: Any, rows: Rows, state: Tensor, k: int, exclude: RowLists | None, allow: Allow
) -> Neighbours:
    """The best of the rows here, by the vectors and queries of the readout, and then the best of all processes'."""
    readout: RankingReadout = ranker.readout
    if isinstance(allow, Tensor):
        ends = torch.tensor([0, len(allow)], device=allow.device)
        only: Allow = rows.own_lists(RowLists(allow, ends)).rows
    else:
        only = None if allow is None else rows.own_lists(allow)
    out = None if exclude is None else rows.own_lists(exclude)
    searcher = ExactSearcher.over(readout.vectors(), "ip", bf16=False)
    return rows.merged(searcher.search(readout.queries(state), k, exclude=out, allow=only))


def _scores_of(ranker: Ranker, state: Any) -> Score:
    return lambda columns: ranker.scores(state, columns)

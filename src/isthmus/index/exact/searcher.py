"""Exact search, the reference for every other, over a ranker's columns or over vectors.

At most ``block_bytes`` of scores exist at a time, whatever the numbers of queries and columns. Equal scores come in
ascending order of row. A column that scores -inf does not answer. Where fewer than k may answer, the rest is row -1
with score -inf.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, final

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from isthmus.batch import Tensors
from isthmus.core.placement import Rows
from isthmus.index.exact.bf16 import Bf16Table, pays, suits
from isthmus.index.exact.blocks import Score, joined, search_blocks, spans
from isthmus.index.exact.filters import Allow, Filters
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
        k: answers a query.
        exclude: columns that must not answer, for each query.
        allow: the only columns that may answer: for all queries (a tensor) or for each (lists).
        block_bytes: what one block of scores may take; by default what suits the device.

    Returns:
        Columns and scores, best first, equal scores by rising column; -1 and -inf where fewer than ``k`` may answer.

    Raises:
        SettingError: ``k`` below 1.
        InputError: filters that do not fit the queries.
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
    """``rank`` where ``state = ranker.prepare(...)`` is at hand; its queries share their blocks.

    Args:
        ranker: scores the columns.
        state: what it prepared.
        queries: how many there are in ``state``.
        k: answers a query.
        exclude: columns that must not answer, for each query.
        allow: the only columns that may answer: for all queries (a tensor) or for each (lists).
        device: where the scores are computed: the CPU, if not given.
        block_bytes: what one block of scores may take; by default what suits the device.

    Returns:
        What ``rank`` returns.

    Raises:
        What ``rank`` raises.
    """
    k = check_k(k, queries)
    if (rows := _cut(ranker)) is not None:
        return _rank_in_parts(ranker, rows, state, k, exclude, allow)
    place = device or torch.device("cpu")
    filters = Filters.checked(ranker.width, queries, exclude, allow, place)
    return search_blocks(_scores_of(ranker, state), filters, queries, k, block_bytes or suited_bytes(place))


@final
class ExactSearcher:
    """Every vector is compared with every query. Made by ``build``; immutable."""

    def __init__(self, vectors: Tensor, metric: Metric, centre: Tensor, bf16: bool) -> None:
        self._vectors, self._metric, self._centre, self._may_use_bf16 = vectors, metric, centre, bf16

    @classmethod
    def build(cls, vectors: Float[Tensor, "rows width"], metric: Metric = "ip", *, bf16: bool = True) -> ExactSearcher:
        """A searcher on the device of the vectors; float64 stays so, everything else becomes float32.

        Args:
            vectors: one vector for each row.
            metric: "ip" inner product; "cosine", 0 with a zero vector; "l2" the negative squared distance.
            bf16: large searches by "ip" and "cosine" may go through bf16 where the processor multiplies it
                (``isthmus.index.exact.bf16``). The answers are as exact, scores may differ in their last bits; the
                first such search makes a copy of half the size of the vectors.

        Raises:
            SettingError: an unknown metric.
            InputError: no vectors.
            ValueRangeError: a number is NaN or infinite.
        """
        check_metric(metric)
        check_vectors(vectors, metric)
        # A copy, so that training the table on does not change the answers.
        vectors = vectors.detach().to(torch.promote_types(vectors.dtype, torch.float32), copy=metric == "ip")
        return cls.over(vectors, metric, bf16=bf16)

    @classmethod
    def over(cls, vectors: Float[Tensor, "rows width"], metric: Metric, *, bf16: bool = True) -> ExactSearcher:
        """``build`` over checked vectors that nobody will change: they are shared, not copied, where the metric
        compares them as they are.

        Args:
            vectors: one a row, float32 or float64.
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
        """How many numbers a vector has."""
        return self._vectors.shape[1]

    @property
    def metric(self) -> Metric:
        """By which it compares."""
        return self._metric

    @property
    def centre(self) -> Float[Tensor, " width"]:
        """What was taken from the vectors; zero, but for "l2"."""
        return self._centre

    @property
    def compared(self) -> Float[Tensor, "rows width"]:
        """The vectors as they are compared: normalised for "cosine", centred for "l2". Not to be changed."""
        return self._vectors

    def __len__(self) -> int:
        return len(self._vectors)

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
            queries: one a row.
            k: answers a query.
            exclude: rows that must not answer, for each query.
            allow: the only rows that may answer: for all queries (a tensor) or for each (lists).
            block_bytes: what one block of scores may take; by default what suits the device.

        Returns:
            Rows and scores, nearest first, equal scores by rising row; -1 and -inf where fewer than ``k`` may answer.

        Raises:
            SettingError: ``k`` below 1.
            InputError: queries of another width or device; filters that do not fit the queries.
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
        """``search`` with queries that are checked.

        Args:
            queries: one a row.
            k: answers a query.
            exclude: rows that must not answer, for each query.
            allow: the only rows that may answer: for all queries (a tensor) or for each (lists).
            block_bytes: what one block of scores may take; by default what suits the device.

        Returns:
            The answers, and for which queries their scores are float64 sums rounded to float32 and the answers the best
            by these.
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
        """``scores`` of what ``prepared`` returned, unchecked."""
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

    def prepared(self, queries: Float[Tensor, "batch width"]) -> Float[Tensor, "batch width"]:
        """Queries as they are compared."""
        queries = queries.to(self._vectors.dtype)
        if self._metric == "cosine":
            return normalised(queries)
        return queries - self._centre if self._metric == "l2" else queries

    def scorer(self, queries: Float[Tensor, "batch width"]) -> Score:
        """From columns to the scores of what ``prepared`` returned."""
        if self._metric != "l2":
            return lambda columns: queries @ self._vectors[columns].T
        own = queries.square().sum(1, keepdim=True)

        def negative_squared_distance(columns: Columns) -> Tensor:
            scores = torch.addmm(-self._squares[columns], queries, self._vectors[columns].T, alpha=2)
            return scores.sub_(own).clamp_(max=0)

        return negative_squared_distance


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

"""Contract tests for searchers. Derive from ``SearcherContract`` and supply ``build``; or call ``check`` in a test."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.errors import InputError, SettingError, ValueRangeError
from isthmus.index.vectors import Metric
from isthmus.protocols import Neighbours, Searcher
from isthmus.rowlists import RowLists


def row_lists(lists: Sequence[Sequence[int]]) -> RowLists:
    """Row lists from plain ones."""
    rows = [row for one in lists for row in one]
    ends = [0]
    for one in lists:
        ends.append(ends[-1] + len(one))
    return RowLists(torch.tensor(rows, dtype=torch.int64), torch.tensor(ends))


def brute_force(
    scores: Float[Tensor, "batch width"],
    k: int,
    exclude: Sequence[Sequence[int]] | None = None,
    allow: Sequence[Sequence[int]] | None = None,
) -> tuple[list[list[int]], list[list[float]]]:
    """The defined answer, in plain Python.

    Args:
        scores: of all rows for each query; higher is nearer.
        k: number of results per query.
        exclude: rows that must not answer, a list for each query.
        allow: the only rows that may, a list for each query.

    Returns:
        Rows and scores by falling score, ties by ascending row, -1 and -inf to fill up.
    """
    rows, values = [], []
    for query, line in enumerate(scores.tolist()):
        open_rows = set(range(len(line)) if allow is None else allow[query])
        open_rows -= set() if exclude is None else set(exclude[query])
        best = sorted(open_rows, key=lambda row: (-line[row], row))[:k]
        rows.append(best + [-1] * (k - len(best)))
        values.append([line[row] for row in best] + [float("-inf")] * (k - len(best)))
    return rows, values


def similarity(queries: Float[Tensor, "batch width"], vectors: Float[Tensor, "rows width"], metric: Metric) -> Tensor:
    """All scores in float64, by the definition of the metric; a zero vector has cosine 0 with everything.

    Args:
        queries: one query per row.
        vectors: one vector per row.
        metric: "ip" inner product, "cosine", or "l2" the negative squared distance.

    Returns:
        Scores ``[batch, rows]``; higher is nearer.
    """
    queries, vectors = queries.double(), vectors.double()
    if metric == "l2":
        return -(queries[:, None] - vectors[None]).square().sum(2)
    if metric == "cosine":
        queries, vectors = (x / x.norm(dim=1, keepdim=True).clamp(min=1e-300) for x in (queries, vectors))
    return queries @ vectors.T


class SearcherContract(ABC):
    """The tests that a searcher passes.

    Attributes:
        metrics: those that the searcher offers.
        recall: the least share of the true neighbours that must be found; 1 for an exact searcher, whose answers must
            then be equal to the reference, ties included.
        rows, width: the size of the test's vectors.
    """

    metrics: tuple[Metric, ...] = ("ip", "cosine", "l2")
    recall = 1.0
    rows = 400
    width = 8

    @abstractmethod
    def build(self, vectors: Float[Tensor, "rows width"], metric: Metric) -> Searcher:
        """The searcher under test, over some vectors."""

    def data(self, batch: int = 6) -> tuple[Tensor, Tensor]:
        """Vectors of unlike lengths, one of them zero, and queries."""
        generator = torch.Generator().manual_seed(7)
        vectors = torch.randn(self.rows, self.width, generator=generator)
        vectors *= 0.2 + torch.rand(self.rows, 1, generator=generator) * 3
        vectors[3] = 0
        return vectors, torch.randn(batch, self.width, generator=generator)

    def check(self) -> None:
        """Run every test of the contract, where one test for a whole searcher is enough."""
        for name in sorted(vars(SearcherContract)):
            if name.startswith("test_"):
                getattr(self, name)()

    def check_answers(
        self,
        found: Neighbours,
        scores: Float[Tensor, "batch rows"],
        k: int,
        exclude: Sequence[Sequence[int]] | None = None,
        allow: Sequence[Sequence[int]] | None = None,
        recall: float | None = None,
    ) -> None:
        """Every answer may answer, once, with its own score, in order; and they are the reference's, or enough of them.

        Args:
            found: what the searcher answered.
            scores: all of them, by the definition of the metric.
            k: how many neighbours were asked for.
            exclude: rows that must not answer, a list for each query.
            allow: the only ones that may, a list for each query.
            recall: the least share of the true neighbours that must be found; that of the contract, if not given.
        """
        rows = brute_force(scores, k, exclude, allow)[0]
        assert found.rows.shape == found.scores.shape == (len(rows), k)
        assert found.rows.dtype == torch.int64
        hits = 0
        for query, (answered, expected) in enumerate(zip(found.rows.tolist(), rows, strict=True)):
            there = [row for row in answered if row != -1]
            open_rows = set(range(scores.shape[1]) if allow is None else allow[query])
            assert set(there) <= open_rows - set(() if exclude is None else exclude[query])
            assert len(set(there)) == len(there), "a row answers twice"
            # No answer is short while rows may answer, and what is missing is marked.
            assert answered == there + [-1] * (k - len(there))
            assert len(there) == sum(row >= 0 for row in expected)
            own = found.scores[query].double()
            assert own[len(there) :].tolist() == [float("-inf")] * (k - len(there))
            torch.testing.assert_close(own[: len(there)], scores[query, there].double(), atol=1e-4, rtol=1e-4)
            pairs = list(zip((-own).tolist(), there, strict=False))
            assert pairs == sorted(pairs), "best first, ties by ascending row"
            hits += len(set(there) & set(expected))
        if self.recall == 1.0:
            assert found.rows.tolist() == rows
        least = self.recall if recall is None else recall
        assert hits >= least * sum(row >= 0 for line in rows for row in line)

    def test_neighbours_are_those_of_brute_force(self) -> None:
        vectors, queries = self.data()
        for metric in self.metrics:
            found = self.build(vectors, metric).search(queries, 10)
            self.check_answers(found, similarity(queries, vectors, metric), 10)

    def test_k_is_kept(self) -> None:
        vectors, queries = self.data(2)
        for metric in self.metrics:
            searcher, scores = self.build(vectors, metric), similarity(queries, vectors, metric)
            for k in (1, 2, self.rows // 3):
                # One neighbour is found or not: that is not a measure of recall.
                self.check_answers(searcher.search(queries, k), scores, k, recall=0.0)

    def test_excluded_rows_do_not_answer(self) -> None:
        vectors, queries = self.data()
        for metric in self.metrics:
            scores = similarity(queries, vectors, metric)
            lists = [scores[q].argsort(descending=True)[: 4 * q].tolist() for q in range(len(queries))]
            found = self.build(vectors, metric).search(queries, 10, exclude=row_lists(lists))
            self.check_answers(found, scores, 10, exclude=lists)

    def test_only_allowed_rows_answer(self) -> None:
        vectors, queries = self.data()
        shuffled = torch.randperm(self.rows, generator=torch.Generator().manual_seed(1))
        for metric in self.metrics:
            searcher, scores = self.build(vectors, metric), similarity(queries, vectors, metric)
            for share in (0.02, 0.5):
                chosen = shuffled[: int(share * self.rows)]
                found = searcher.search(queries, 5, allow=chosen)
                self.check_answers(found, scores, 5, allow=[chosen.tolist()] * len(queries))

    def test_both_filters_hold_together(self) -> None:
        vectors, queries = self.data()
        allow = [list(range(query, self.rows, query + 2)) for query in range(len(queries))]
        exclude = [list(range(0, self.rows, 3))] * len(queries)
        for metric in self.metrics:
            scores = similarity(queries, vectors, metric)
            found = self.build(vectors, metric).search(queries, 7, exclude=row_lists(exclude), allow=row_lists(allow))
            self.check_answers(found, scores, 7, exclude, allow)

    def test_fewer_than_k_are_filled_up(self) -> None:
        vectors, queries = self.data(2)
        for metric in self.metrics:
            found = self.build(vectors, metric).search(
                queries, 4, allow=torch.tensor([9, 3]), exclude=row_lists([[], [3]])
            )
            assert found.rows[0, 2:].tolist() == [-1, -1]
            assert sorted(found.rows[0, :2].tolist()) == [3, 9]
            assert found.rows[1].tolist() == [9, -1, -1, -1]
            assert found.scores[1, 1:].tolist() == [float("-inf")] * 3

    def test_nothing_allowed_finds_nothing(self) -> None:
        vectors, queries = self.data(2)
        nobody = torch.empty(0, dtype=torch.int64)
        for metric in self.metrics:
            found = self.build(vectors, metric).search(queries, 3, allow=nobody)
            assert found.rows.tolist() == [[-1] * 3] * 2
            assert found.scores.tolist() == [[float("-inf")] * 3] * 2

    def test_k_beyond_the_rows_returns_every_row(self) -> None:
        vectors, queries = self.data(2)
        for metric in self.metrics:
            found = self.build(vectors[:5], metric).search(queries, 8)
            assert [sorted(line) for line in found.rows.tolist()] == [[-1, -1, -1, 0, 1, 2, 3, 4]] * 2

    def test_equal_scores_come_in_rising_order_of_row(self) -> None:
        generator = torch.Generator().manual_seed(2)
        distinct = torch.randint(-2, 3, (20, self.width), generator=generator).float()
        vectors = distinct.repeat(5, 1)
        queries = torch.randint(-2, 3, (4, self.width), generator=generator).float()
        for metric in self.metrics:
            found = self.build(vectors, metric).search(queries, 12)
            for rows, scores in zip(found.rows.tolist(), found.scores.tolist(), strict=True):
                pairs = list(zip([-score for score in scores], rows, strict=True))
                assert pairs == sorted(pairs)
            # Products of whole numbers are exact, and so are the ties.
            if self.recall == 1.0 and metric == "ip":
                assert found.rows.tolist() == brute_force(similarity(queries, vectors, metric), 12)[0]

    def test_higher_is_nearer(self) -> None:
        vectors = torch.eye(self.width) * torch.arange(1, self.width + 1)
        query = torch.zeros(1, self.width)
        query[0, self.width - 1] = float(self.width)
        for metric in self.metrics:
            found = self.build(vectors, metric).search(query, 2)
            assert int(found.rows[0, 0]) == self.width - 1
            assert float(found.scores[0, 0]) > float(found.scores[0, 1])

    def test_a_search_repeated_gives_the_same_and_changes_nothing(self) -> None:
        vectors, queries = self.data()
        kept = vectors.clone(), queries.clone()
        for metric in self.metrics:
            searcher = self.build(vectors, metric)
            exclude, allow = row_lists([[1, 2]] * len(queries)), torch.arange(self.rows - 1, 2, -1)
            first, second = (searcher.search(queries, 9, exclude=exclude, allow=allow) for _ in range(2))
            assert torch.equal(first.rows, second.rows)
            assert torch.equal(first.scores, second.scores)
            assert exclude.rows.tolist() == [1, 2] * len(queries)
            assert torch.equal(allow, torch.arange(self.rows - 1, 2, -1))
        assert torch.equal(vectors, kept[0])
        assert torch.equal(queries, kept[1])

    def test_one_query_is_answered_as_among_others(self) -> None:
        vectors, queries = self.data()
        for metric in self.metrics:
            searcher = self.build(vectors, metric)
            together, alone = searcher.search(queries, 5), searcher.search(queries[2:3], 5)
            assert alone.rows[0].tolist() == together.rows[2].tolist()
            torch.testing.assert_close(alone.scores[0], together.scores[2], atol=1e-5, rtol=1e-5)

    def test_no_queries_have_no_answers(self) -> None:
        vectors, _ = self.data()
        for metric in self.metrics:
            found = self.build(vectors, metric).search(torch.empty(0, self.width), 3)
            assert found.rows.shape == found.scores.shape == (0, 3)

    def test_what_cannot_be_asked_is_refused(self) -> None:
        vectors, queries = self.data()
        searcher = self.build(vectors, self.metrics[0])
        with pytest.raises(SettingError):
            searcher.search(queries, 0)
        with pytest.raises(InputError):
            searcher.search(queries[:, 1:], 3)
        with pytest.raises(ValueRangeError, match="2"):
            searcher.search(queries.index_fill(0, torch.tensor([2]), float("nan")), 3)
        with pytest.raises(InputError, match="exclude"):
            searcher.search(queries, 3, exclude=row_lists([[1]]))
        with pytest.raises(ValueRangeError, match="allow"):
            searcher.search(queries, 3, allow=torch.tensor([0, self.rows]))

    def test_what_cannot_be_indexed_is_refused(self) -> None:
        vectors, _ = self.data()
        with pytest.raises(ValueRangeError, match="1"):
            self.build(vectors.index_fill(0, torch.tensor([1]), float("nan")), self.metrics[0])
        with pytest.raises(InputError):
            self.build(vectors[:0], self.metrics[0])

"""Contract tests for rankers. Derive from ``RankerContract`` and supply a ranker and bags."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from isthmus.batch import Bags
from isthmus.index.exact.searcher import rank
from isthmus.protocols import Neighbours, Ranker
from isthmus.rowlists import RowLists
from isthmus.testing.searcher import brute_force


class RankerContract(ABC):
    """Tests for one ranker.

    Attributes:
        tolerance: tolerance between the scores of two equivalent calls, absolute and relative.
        reads_weights: whether the weights of a bag matter; some rankers only use its columns.
    """

    tolerance = 1e-4
    reads_weights = True

    @abstractmethod
    def ranker(self) -> Ranker:
        """The ranker under test, always the same."""

    @abstractmethod
    def bags(self) -> Bags:
        """At least three rows that it can read, not all alike, one of them empty, one with several columns."""

    def best(
        self, bags: Bags, k: int, *, exclude: RowLists | None = None, allow: Tensor | None = None, block_bytes: int
    ) -> Neighbours:
        """Ask the ranker for its best columns. Override this if the ranker is not queried through ``rank``.

        Args:
            bags: the queries.
            k: how many columns.
            exclude: columns to leave out of the answer, for each query.
            allow: the only columns that the answer may contain.
            block_bytes: memory limit for a block of scores; only ``rank`` uses it.

        Returns:
            Rows and scores, best first; equal scores in ascending order of row.
        """
        return rank(self.ranker(), bags, k, exclude=exclude, allow=allow, block_bytes=block_bytes)

    def scores(self) -> Tensor:
        """The scores of all columns for all rows."""
        ranker = self.ranker()
        with torch.no_grad():
            return ranker.scores(ranker.prepare(self.bags()))

    def close(self, given: Tensor, expected: Tensor) -> None:
        """Check that two ways of computing the same scores agree."""
        torch.testing.assert_close(given, expected, atol=self.tolerance, rtol=self.tolerance)

    def test_there_is_one_score_for_each_column_and_it_is_finite(self) -> None:
        scores = self.scores()
        assert scores.shape == (self.bags().size, self.ranker().width)
        assert scores.is_floating_point()
        assert bool(scores.isfinite().all())

    def test_rows_are_scored_by_what_they_hold(self) -> None:
        scores = self.scores()
        assert not torch.allclose(scores, scores[:1].expand_as(scores))

    def test_some_columns_score_as_among_all(self) -> None:
        ranker, full = self.ranker(), self.scores()
        state = ranker.prepare(self.bags())
        middle = slice(ranker.width // 3, ranker.width)
        ids = torch.tensor([ranker.width - 1, 0, ranker.width // 2])
        with torch.no_grad():
            self.close(ranker.scores(state, middle), full[:, middle])
            self.close(ranker.scores(state, ids), full[:, ids])

    def test_rows_do_not_see_each_other(self) -> None:
        bags, full = self.bags(), self.scores()
        ranker = self.ranker()
        with torch.no_grad():
            order = torch.arange(bags.size).flip(0)
            self.close(ranker.scores(ranker.prepare(bags.take(order))), full[order])
            self.close(ranker.scores(ranker.prepare(bags.take(order[:1]))), full[order[:1]])

    def test_the_order_of_a_bag_does_not_count(self) -> None:
        bags = self.bags()
        backwards = torch.cat([torch.arange(a, b).flip(0) for a, b in _ranges(bags)])
        turned = Bags(bags.indices[backwards], bags.offsets, bags.weights[backwards])
        with torch.no_grad():
            self.close(self.ranker().scores(self.ranker().prepare(turned)), self.scores())

    def test_the_weights_of_a_bag_count(self) -> None:
        if not self.reads_weights:
            return
        bags, full = self.bags(), self.scores()
        # Different factors inside a row, as a model may bring rows to one length first.
        factors = 1.0 + 3.0 * (torch.arange(len(bags.weights), device=bags.weights.device) % 2)
        heavier = Bags(bags.indices, bags.offsets, bags.weights * factors)
        with torch.no_grad():
            assert not torch.allclose(self.ranker().scores(self.ranker().prepare(heavier)), full)

    def test_asking_changes_nothing(self) -> None:
        ranker, bags, full = self.ranker(), self.bags(), self.scores()
        kept = bags.indices.clone(), bags.offsets.clone(), bags.weights.clone()
        with torch.no_grad():
            state = ranker.prepare(bags)
            rank(ranker, bags, 1, exclude=RowLists(bags.indices, bags.offsets))
            # Last, so that a ranker which only remembers what it prepared last is found.
            ranker.prepare(bags.take(torch.tensor([0])))
            assert torch.equal(ranker.scores(state), full)
            assert torch.equal(ranker.scores(ranker.prepare(bags)), full)
        for before, after in zip(kept, (bags.indices, bags.offsets, bags.weights), strict=True):
            assert torch.equal(before, after)

    def test_the_caller_may_overwrite_scores(self) -> None:
        ranker, full = self.ranker(), self.scores()
        with torch.no_grad():
            state = ranker.prepare(self.bags())
            for columns in (None, slice(0, ranker.width), torch.arange(ranker.width)):
                ranker.scores(state, columns).fill_(-1e9)
            self.close(ranker.scores(state), full)
            self.close(ranker.scores(ranker.prepare(self.bags())), full)

    @pytest.mark.parametrize("block_bytes", [64, 1 << 20])
    def test_the_ranking_is_that_of_the_scores(self, block_bytes: int) -> None:
        bags, full = self.bags(), self.scores()
        k = min(5, self.ranker().width)
        seen = [part.tolist() for part in bags.indices.split(bags.lengths().tolist())]
        found = self.best(bags, k, exclude=RowLists(bags.indices, bags.offsets), block_bytes=block_bytes)
        self._check(found, full, k, exclude=seen)

    def test_only_what_is_allowed_is_ranked(self) -> None:
        bags, full, width = self.bags(), self.scores(), self.ranker().width
        allowed = torch.arange(0, width, 2)
        found = self.best(bags, width, allow=allowed.to(bags.indices.device), block_bytes=1 << 20)
        self._check(found, full, width, allow=[allowed.tolist()] * bags.size)

    def _check(self, found: Neighbours, full: Tensor, k: int, **filters: list[list[int]]) -> None:
        """Rows with the scores that they have, the best of those that may be answered, equal ones by rising row."""
        _, values = brute_force(full, k, **filters)
        self.close(found.scores, torch.tensor(values, dtype=found.scores.dtype, device=found.scores.device))
        rows, scores = found.rows.cpu(), found.scores.cpu()
        filled = rows >= 0
        assert torch.equal(filled, scores > -torch.inf)
        own = full.cpu().gather(1, rows.clamp(min=0))
        self.close(own[filled], scores[filled].to(own.dtype))
        for query, line in enumerate(rows.tolist()):
            answered = [row for row in line if row >= 0]
            assert len(set(answered)) == len(answered)
            assert not set(answered) & set(filters["exclude"][query] if "exclude" in filters else [])
            assert set(answered) <= set(filters["allow"][query] if "allow" in filters else answered)
        equal = (scores[:, 1:] == scores[:, :-1]) & filled[:, 1:]
        assert bool((rows[:, 1:] > rows[:, :-1])[equal].all())


def _ranges(bags: Bags) -> list[tuple[int, int]]:
    ends = bags.offsets.tolist()
    return list(pairwise(ends))

"""What every ``Ranker`` must do. Subclass ``RankerContract`` and supply a ranker and bags."""

from __future__ import annotations

from abc import ABC, abstractmethod

import pytest
import torch
from torch import Tensor

from isthmus.batch import Bags
from isthmus.index.exact.searcher import rank
from isthmus.protocols import Ranker
from isthmus.rowlists import RowLists
from isthmus.testing.searcher import brute_force


class RankerContract(ABC):
    """The tests that a ranker passes.

    Attributes:
        tolerance: how far the scores of two ways of asking may be apart, absolutely and relatively.
    """

    tolerance = 1e-4

    @abstractmethod
    def ranker(self) -> Ranker:
        """The ranker under test, always the same."""

    @abstractmethod
    def bags(self) -> Bags:
        """At least three rows that it can read, not all alike, one of them empty."""

    def scores(self) -> Tensor:
        """All scores."""
        ranker = self.ranker()
        with torch.no_grad():
            return ranker.scores(ranker.prepare(self.bags()))

    def close(self, given: Tensor, expected: Tensor) -> None:
        """Two ways of asking agree."""
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

    def test_asking_changes_nothing(self) -> None:
        ranker, bags, full = self.ranker(), self.bags(), self.scores()
        kept = bags.indices.clone(), bags.offsets.clone(), bags.weights.clone()
        with torch.no_grad():
            state = ranker.prepare(bags)
            ranker.prepare(bags.take(torch.tensor([0])))
            rank(ranker, bags, 1, exclude=RowLists(bags.indices, bags.offsets))
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
        ranker, bags = self.ranker(), self.bags()
        k = min(5, ranker.width)
        found = rank(ranker, bags, k, exclude=RowLists(bags.indices, bags.offsets), block_bytes=block_bytes)
        seen = [part.tolist() for part in bags.indices.split(bags.lengths().tolist())]
        assert not any(set(a) & set(b) for a, b in zip(found.rows.tolist(), seen, strict=True))
        values = brute_force(self.scores(), k, exclude=seen)[1]
        self.close(found.scores, torch.tensor(values, dtype=found.scores.dtype))

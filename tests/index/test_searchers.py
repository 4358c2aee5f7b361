"""The searcher of those who keep their ids elsewhere."""

from __future__ import annotations

import pytest
import torch

from isthmus.errors import InputError, ValueRangeError
from isthmus.index import searchers
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.faiss import FaissSearcher
from isthmus.index.registry import find
from isthmus.index.searchers import kind_for, searcher_over
from isthmus.index.tuning.measure import HeldOutQueries


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact search counts as too slow."""
    monkeypatch.setattr(searchers, "SMALL_ENOUGH", 0)
    monkeypatch.setattr(searchers, "EXACT_SECONDS", 1e-12)
    monkeypatch.setattr("isthmus.index.tuning.budget.SMALL", 0)
    monkeypatch.setattr("isthmus.index.tuning.budget.FAST_ENOUGH", 1e-12)


def test_what_is_read_quickly_is_searched_exactly_and_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.index.tuning.budget.bandwidth", lambda: pytest.fail("measured"))
    vectors, queries = numbers(300, 8), numbers(5, 8, seed=1)
    found = searcher_over(vectors, "l2", lambda: pytest.fail("asked")).search(queries, 7)
    assert found.rows.tolist() == ExactSearcher.build(vectors, "l2").search(queries, 7).rows.tolist()
    assert kind_for(300, 8) == "exact"


def test_the_patience_is_bytes_over_bandwidth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.index.tuning.budget.bandwidth", lambda: 1e10)
    assert kind_for(3_900_000, 32) == "exact"
    assert kind_for(4_000_000, 32) == "auto"


def test_above_it_another_kind_is_chosen_by_its_recall_on_the_queries_given(
    impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.index.tuning.choose.tried", lambda metric: [find("ivf")])
    monkeypatch.setattr(HeldOutQueries, "throughput", lambda self, searcher, most=0: float(searcher is not None))
    vectors, queries, asked = numbers(3000, 8), numbers(64, 8, seed=1), []

    def some() -> torch.Tensor:
        asked.append(1)
        return queries

    searcher = searcher_over(vectors, "ip", some)
    assert asked == [1]
    assert isinstance(searcher, FaissSearcher)
    assert HeldOutQueries.of(ExactSearcher.build(vectors, "ip"), queries[1::2], 10).recall(searcher) >= 0.95


def test_exact_is_kept_where_nothing_is_faster_or_the_numbers_are_others(
    impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.index.tuning.choose.tried", lambda metric: [])
    assert isinstance(searcher_over(numbers(100, 4), "cosine"), ExactSearcher)
    monkeypatch.setattr("isthmus.index.searchers.choose", lambda *given: pytest.fail("chosen"))
    assert isinstance(searcher_over(numbers(100, 4).double(), "cosine"), ExactSearcher)


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(InputError):
        searcher_over(torch.empty(0, 3))
    with pytest.raises(ValueRangeError):
        searcher_over(torch.full((2, 2), torch.nan))

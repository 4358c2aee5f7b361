"""Searching through bf16 finds exactly what scoring every column finds."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from searches import KINDS, drawn, naive, with_exclusions
from torch import Generator, Tensor

from isthmus.index.exact import bf16
from isthmus.index.exact.bf16 import Bf16Table, pays, suits
from isthmus.index.exact.filters import Filters
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.protocols import Neighbours
from isthmus.rowlists import RowLists, take

BLOCK_BYTES = 1 << 20


class Searched:
    """One search, with the queries that were left to the search in float32."""

    def __init__(self, vectors: Tensor, queries: Tensor, k: int, exclude: RowLists | None = None) -> None:
        self.left = 0
        filters = Filters.checked(len(vectors), len(queries), exclude, None, vectors.device)

        def fallback(rest: Tensor, filters: Filters) -> Neighbours:
            self.left += len(rest)
            return naive(vectors, rest, k, filters.exclude)

        self.found, mine = Bf16Table(vectors).search(queries, k, filters, fallback, BLOCK_BYTES)
        assert int((~mine).sum()) == self.left
        self.wanted = naive(vectors, queries, k, exclude)

    def check(self) -> None:
        assert torch.equal(self.found.rows, self.wanted.rows)
        assert torch.equal(self.found.scores, self.wanted.scores)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=some.sampled_from(KINDS),
    seed=some.integers(0, 2**31),
    rows=some.integers(400, 3000),
    width=some.integers(1, 70),
    batch=some.integers(1, 80),
    k=some.integers(1, 3),
    seen=some.integers(0, 40),
    scales=some.tuples(some.integers(-22, 22), some.integers(-22, 22)),
)
def test_rows_and_scores_are_those_of_scoring_every_column(
    kind: str, seed: int, rows: int, width: int, batch: int, k: int, seen: int, scales: tuple[int, int]
) -> None:
    vectors, queries, exclude = with_exclusions(kind, seed, rows, width, batch, seen, scales)
    Searched(vectors, queries, k, exclude).check()


def test_hardly_a_query_is_left_to_the_search_in_float32() -> None:
    vectors, queries = drawn("normal", 20_000, 64, 200, Generator().manual_seed(0))
    searched = Searched(vectors, queries, 10)
    searched.check()
    assert not searched.left


def test_order_that_bf16_gets_wrong_is_put_right() -> None:
    vectors, queries = drawn("cut at halves", 3000, 64, 20, Generator().manual_seed(1))
    estimated = (queries.bfloat16().float() @ vectors.bfloat16().float().T).argmax(1)
    searched = Searched(vectors, queries, 1)
    assert (estimated != searched.wanted.rows[:, 0]).any()
    searched.check()


@pytest.mark.parametrize("kind", ["normal", "near ties", "spread lengths", "cut at halves"])
def test_the_error_bound_holds(kind: str) -> None:
    vectors, queries = drawn(kind, 1000, 48, 30, Generator().manual_seed(2))
    table, halves = Bf16Table(vectors), queries.bfloat16()
    slope, level = table._error_bound(queries, halves)
    estimates = (halves @ vectors.bfloat16().T).double()
    wrong = (queries.double() @ vectors.double().T - estimates).abs()
    lengths = vectors.double().norm(dim=1)
    assert (wrong <= torch.outer(slope.double(), lengths) + level[:, None] + estimates.abs() * bf16.ROUNDING).all()


def test_what_gains_nothing_is_left_to_the_search_in_float32() -> None:
    vectors, queries = drawn("normal", 3000, 16, 60, Generator().manual_seed(3))
    queries[0], queries[1], queries[2] = 0, queries[1] * 1e30, queries[2] * 1e-30
    searched = Searched(vectors, queries, 3)
    assert 3 <= searched.left < 30
    assert torch.equal(searched.found.rows, searched.wanted.rows)
    # Only equal columns: the bound leaves all of them.
    alike = Searched(vectors[:1].expand(3000, -1).contiguous(), queries, 3)
    alike.check()
    assert alike.left == 60


def test_fewer_than_k_columns_may_answer() -> None:
    vectors, queries = drawn("normal", 600, 16, 4, Generator().manual_seed(4))
    everything = torch.arange(600).repeat(4)
    kept = everything % 599 != 5
    exclude = RowLists(everything[kept], torch.arange(0, 5) * int(kept.sum() // 4))
    searched = Searched(vectors, queries, 3, exclude)
    searched.check()
    assert (searched.found.rows[:, 1:] == -1).all()


@pytest.mark.parametrize("metric", ["ip", "cosine"])
def test_a_searcher_answers_alike_with_and_without_bf16(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bf16, "multiplies_bf16", lambda device: True)
    generator = Generator().manual_seed(5)
    vectors, queries = drawn("normal", 30_000, 32, 700, generator)
    rows = torch.randint(0, 30_000, (700 * 20,), generator=generator)
    exclude = RowLists(rows, torch.arange(0, 700 * 20 + 1, 20))
    with_bf16 = ExactSearcher.build(vectors, metric).search(queries, 10, exclude=exclude)
    without = ExactSearcher.build(vectors, metric, bf16=False).search(queries, 10, exclude=exclude)
    torch.testing.assert_close(with_bf16.scores, without.scores, rtol=1e-5, atol=1e-6)
    # Where two scores are apart by more than rounding, so are their places.
    apart = (without.scores.diff(dim=1) < -1e-4).all(1)
    assert apart.float().mean() > 0.5
    assert torch.equal(with_bf16.rows[apart], without.rows[apart])
    some = torch.tensor([3, 600])
    few = ExactSearcher.build(vectors, metric).search(queries[some], 10, exclude=take(exclude, some))
    assert torch.equal(few.rows, without.rows[some])


def test_which_tables_suit(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = torch.ones(300, 4)
    monkeypatch.setattr(bf16, "multiplies_bf16", lambda device: False)
    assert not suits(vectors)
    monkeypatch.setattr(bf16, "multiplies_bf16", lambda device: True)
    assert suits(vectors) == torch.backends.mkldnn.is_available()
    assert not suits(vectors.double())
    assert not suits(vectors * 1e-12)
    assert not suits(vectors * 1e12)
    assert not suits(vectors * 0)


def test_which_searches_pay() -> None:
    open_ = Filters(100_000, None, None, None)
    assert pays(100_000, 1000, 10, open_)
    assert not pays(100_000, 10, 10, open_)
    assert not pays(10_000, 1000, 10, open_)
    assert not pays(100_000, 1000, 1000, open_)
    assert not pays(100_000, 1000, 10, Filters(100_000, None, None, torch.arange(50_000)))
    lists = RowLists(torch.arange(1000), torch.arange(1001))
    assert not pays(100_000, 1000, 10, Filters(100_000, None, lists, None))
    assert pays(100_000, 1000, 10, Filters(100_000, lists, None, None))

"""Searching through int8 finds exactly what scoring every column finds."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from searches import KINDS, drawn, naive, with_exclusions
from torch import Generator, Tensor

from isthmus.index.exact import int8
from isthmus.index.exact.filters import Filters
from isthmus.index.exact.int8 import Int8Table, pays, suits, sums_exactly
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.machine import hardware
from isthmus.protocols import Neighbours
from isthmus.rowlists import RowLists

exact_sums = pytest.mark.skipif(not sums_exactly(), reason="this build of PyTorch has no exact product of int8")


def searched(vectors: Tensor, queries: Tensor, k: int, exclude: RowLists | None = None) -> int:
    """Check one search after another; returns the number of queries that were left to the search in float32."""
    wanted, table, left = naive(vectors, queries, k, exclude), Int8Table(vectors), 0
    filters = Filters.checked(len(vectors), len(queries), exclude, None, vectors.device)
    for row in range(len(queries)):
        found = table.search(queries[row : row + 1], k, filters.part(row, row + 1))
        left += found is None
        if found is not None:
            same(found, Neighbours(wanted.rows[row : row + 1], wanted.scores[row : row + 1]))
    return left


def same(found: Neighbours, wanted: Neighbours) -> None:
    assert torch.equal(found.rows, wanted.rows)
    assert torch.equal(found.scores, wanted.scores)


@exact_sums
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    kind=some.sampled_from(KINDS),
    seed=some.integers(0, 2**31),
    rows=some.integers(400, 3000),
    width=some.integers(1, 70),
    batch=some.integers(1, 5),
    k=some.integers(1, 3),
    seen=some.integers(0, 40),
    scales=some.tuples(some.integers(-22, 22), some.integers(-22, 22)),
)
def test_rows_and_scores_are_those_of_scoring_every_column(
    kind: str, seed: int, rows: int, width: int, batch: int, k: int, seen: int, scales: tuple[int, int]
) -> None:
    vectors, queries, exclude = with_exclusions(kind, seed, rows, width, batch, seen, scales)
    searched(vectors, queries, k, exclude)


@exact_sums
def test_hardly_a_query_is_left_to_the_search_in_float32() -> None:
    assert not searched(*drawn("normal", 20_000, 64, 20, Generator().manual_seed(0)), 10)


@exact_sums
def test_order_that_int8_gets_wrong_is_put_right() -> None:
    vectors, queries = drawn("normal", 3000, 64, 40, Generator().manual_seed(1))
    table = Int8Table(vectors)
    estimated = torch.stack([table._estimates(query[None])[0] for query in queries]).argmax(1)
    assert (estimated != (queries @ vectors.T).argmax(1)).any()
    assert not searched(vectors, queries, 1)


@exact_sums
@pytest.mark.parametrize("kind", ["normal", "near ties", "spread lengths", "cut at halves", "zeros"])
def test_the_error_bound_holds(kind: str) -> None:
    vectors, queries = drawn(kind, 1000, 48, 30, Generator().manual_seed(2))
    table = Int8Table(vectors)
    for query in queries:
        estimates, wrong, level = table._estimates(query[None])
        exact = (vectors.double() * query.double()).sum(1)
        assert ((exact - estimates.double()).abs() <= wrong.double() + level).all()


@exact_sums
def test_what_gains_nothing_is_left_to_the_search_in_float32() -> None:
    vectors, queries = drawn("normal", 3000, 16, 3, Generator().manual_seed(3))
    queries[0], queries[1], queries[2] = 0, queries[1] * 1e30, queries[2] * 1e-30
    assert searched(vectors, queries, 3) == 3
    # Only equal columns: the bound leaves all of them.
    assert searched(vectors[:1].expand(3000, -1).contiguous(), torch.ones(2, 16), 3) == 2
    # Fewer than k columns are left.
    assert searched(vectors, torch.ones(1, 16), 3, RowLists(torch.arange(2998), torch.tensor([0, 2998]))) == 1


@exact_sums
@pytest.mark.parametrize("metric", ["ip", "cosine"])
def test_a_searcher_answers_alike_with_and_without_int8(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "multiplies_int8", lambda: True)
    generator = Generator().manual_seed(5)
    vectors, queries = drawn("normal", 70_000, 32, 3, generator)
    exclude = RowLists(torch.randint(0, 70_000, (60,), generator=generator), torch.arange(0, 61, 20))
    fast, slow = ExactSearcher.build(vectors, metric), ExactSearcher.build(vectors, metric, bf16=False)
    found, exactly = fast.search_checked(queries, 10, exclude, None)
    assert exactly.all()
    wanted = slow.search(queries, 10, exclude=exclude)
    torch.testing.assert_close(found.scores, wanted.scores, rtol=1e-5, atol=1e-6)
    apart = (wanted.scores.diff(dim=1) < -1e-4).all(1)
    assert apart.any()
    assert torch.equal(found.rows[apart], wanted.rows[apart])
    for start, stop in pairwise(range(4)):
        some_ = RowLists(exclude.rows[20 * start : 20 * stop], torch.tensor([0, 20]))
        alone = fast.search(queries[start:stop], 10, exclude=some_)
        same(alone, Neighbours(found.rows[start:stop], found.scores[start:stop]))


def test_a_searcher_without_int8_answers_all_queries_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8, "multiplies_int8", lambda: False)
    vectors, queries = drawn("normal", 70_000, 32, 3, Generator().manual_seed(6))
    found, exactly = ExactSearcher.build(vectors).search_checked(queries, 10, None, None)
    assert not exactly.any()
    same(found, ExactSearcher.build(vectors, bf16=False).search(queries, 10))


@exact_sums
def test_which_tables_suit(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = torch.ones(300, 4)
    monkeypatch.setattr(int8, "multiplies_int8", lambda: False)
    assert not suits(vectors)
    monkeypatch.setattr(int8, "multiplies_int8", lambda: True)
    assert suits(vectors)
    assert not suits(vectors.double())
    assert not suits(vectors * 1e-12)
    assert not suits(vectors * 1e12)
    assert not suits(vectors * 0)
    assert not suits(torch.ones(2, int8.WIDEST + 1))


def test_which_searches_pay() -> None:
    open_ = Filters(100_000, None, None, None)
    assert pays(100_000, 64, 1, 10, open_)
    assert not pays(100_000, 64, 50, 10, open_)
    assert not pays(10_000, 64, 1, 10, open_)
    assert not pays(100_000, 64, 1, 10_000, open_)
    assert not pays(100_000, 64, 1, 10, Filters(100_000, None, None, torch.arange(50_000)))
    lists = RowLists(torch.arange(10), torch.tensor([0, 10]))
    assert not pays(100_000, 64, 1, 10, Filters(100_000, None, lists, None))
    assert pays(100_000, 64, 1, 10, Filters(100_000, lists, None, None))


def test_which_processors_multiply_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in hardware.LIMITS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(hardware, "_onednn", lambda: True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_vnni": True})
    assert hardware.multiplies_int8()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert not hardware.multiplies_int8()
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert not hardware.multiplies_int8()

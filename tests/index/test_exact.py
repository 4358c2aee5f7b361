from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from isthmus.batch import Bags
from isthmus.errors import InputError, SettingError, ValueRangeError
from isthmus.index.exact.searcher import ExactSearcher, rank, rank_prepared
from isthmus.index.vectors import Metric, check_metric
from isthmus.protocols import Columns
from isthmus.rowlists import RowLists
from isthmus.testing.ranker import RankerContract
from isthmus.testing.searcher import SearcherContract, brute_force, row_lists


class TestExactSearcher(SearcherContract):
    def build(self, vectors: Tensor, metric: Metric) -> ExactSearcher:
        return ExactSearcher.build(vectors, metric)


@dataclass(frozen=True)
class Given:
    """Scores that are given; the state is which of them."""

    table: Tensor

    @property
    def width(self) -> int:
        return self.table.shape[1]

    def prepare(self, inputs: Bags) -> Tensor:
        return inputs.weights[inputs.offsets[:-1]].long()

    def scores(self, state: Tensor, columns: Columns = None) -> Tensor:
        return self.table[state][:, slice(None) if columns is None else columns]


@dataclass(frozen=True)
class Sum:
    """The sum of the vectors of a bag against every vector."""

    table: Tensor

    @property
    def width(self) -> int:
        return len(self.table)

    def prepare(self, inputs: Bags) -> Tensor:
        zero = torch.zeros(inputs.size, self.table.shape[1])
        return zero.index_add(0, inputs.rows(), self.table[inputs.indices] * inputs.weights[:, None])

    def scores(self, state: Tensor, columns: Columns = None) -> Tensor:
        return state @ self.table[slice(None) if columns is None else columns].T


class TestRankingOfSums(RankerContract):
    def ranker(self) -> Sum:
        return Sum(torch.randn(30, 4, generator=torch.Generator().manual_seed(0)))

    def bags(self) -> Bags:
        return Bags(torch.tensor([3, 4, 29, 0]), torch.tensor([0, 2, 2, 3, 4]), torch.tensor([1.0, 0.5, 2.0, 1.0]))


def ids(queries: int) -> Bags:
    """Bags that tell ``Given`` which row is which."""
    return Bags(torch.zeros(queries, dtype=torch.int64), torch.arange(queries + 1), torch.arange(queries).float())


@st.composite
def filtered(draw: st.DrawFn) -> tuple[Tensor, int, list[list[int]] | None, object, int]:
    """Scores with many ties, k, filters of each form, and a block size."""
    queries, width = draw(st.integers(1, 5)), draw(st.integers(1, 17))
    values = draw(st.lists(st.integers(-2, 2), min_size=queries * width, max_size=queries * width))
    table = torch.tensor(values, dtype=torch.float32).view(queries, width)
    rows = st.lists(st.integers(0, width - 1), max_size=2 * width)
    lists = st.lists(rows, min_size=queries, max_size=queries)
    exclude = draw(st.none() | lists)
    allow = draw(st.none() | lists | rows.map(tuple))
    return table, draw(st.integers(1, width + 2)), exclude, allow, draw(st.sampled_from([1, 40, 100, 1 << 20]))


@given(filtered())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_ranking_is_that_of_brute_force_whatever_the_filters_and_blocks(case: tuple[Tensor, int, list, object, int]):
    table, k, exclude, allow, block_bytes = case
    queries = len(table)
    each = [list(allow)] * queries if isinstance(allow, tuple) else allow
    given_allow = torch.tensor(allow, dtype=torch.int64) if isinstance(allow, tuple) else allow and row_lists(allow)
    given_exclude = None if exclude is None else row_lists(exclude)
    found = rank(Given(table), ids(queries), k, exclude=given_exclude, allow=given_allow, block_bytes=block_bytes)
    rows, scores = brute_force(table, k, exclude, each)
    assert found.rows.tolist() == rows
    assert found.scores.tolist() == scores


def test_prepared_states_rank_as_inputs_do():
    ranker = Given(torch.randn(3, 9, generator=torch.Generator().manual_seed(0)))
    state = ranker.prepare(ids(3))
    exclude = row_lists([[1], [], [2, 3]])
    expected = rank(ranker, ids(3), 4, exclude=exclude)
    found = rank_prepared(ranker, state, 3, 4, exclude=exclude)
    assert torch.equal(found.rows, expected.rows)
    assert torch.equal(found.scores, expected.scores)


def test_many_queries_are_ranked_in_parts():
    table = torch.randn(1300, 7, generator=torch.Generator().manual_seed(0))
    lists = [[query % 7] for query in range(1300)]
    found = rank(Given(table), ids(1300), 3, exclude=row_lists(lists), block_bytes=4 * 512 * 2)
    assert found.rows.tolist() == brute_force(table, 3, lists)[0]


def test_no_block_holds_more_than_its_bytes():
    sizes = []

    class Watched(Given):
        def scores(self, state: Tensor, columns: Columns = None) -> Tensor:
            scores = super().scores(state, columns)
            sizes.append(scores.numel() * 4)
            return scores

    table = torch.randn(600, 50, generator=torch.Generator().manual_seed(0))
    rank(Watched(table), ids(600), 3, block_bytes=10_000)
    assert len(sizes) > 10
    assert max(sizes) <= 10_000


@pytest.mark.parametrize("queries", [1, 3])
def test_a_table_that_is_shown_is_not_written_to(queries: int):
    """A ranker that scores everybody alike may answer with a view of what it keeps."""

    class Shown(Given):
        def scores(self, state: Tensor, columns: Columns = None) -> Tensor:
            return self.table[0, slice(None) if columns is None else columns].expand(len(state), -1)

    table = torch.tensor([[1.0, 3.0, 2.0]])
    found = rank(Shown(table), ids(queries), 1, exclude=row_lists([[1]] * (queries - 1) + [[0, 1]]))
    assert found.rows.tolist() == [[2]] * queries
    assert table.tolist() == [[1.0, 3.0, 2.0]]


def test_columns_of_minus_infinity_do_not_answer():
    table = torch.tensor([[float("-inf"), 1.0, float("-inf"), 0.0]])
    found = rank(Given(table), ids(1), 3)
    assert found.rows.tolist() == [[1, 3, -1]]


def test_a_score_that_is_no_number_is_refused():
    table = torch.tensor([[0.0, float("nan"), 1.0]])
    for k in (1, 3):
        with pytest.raises(ValueRangeError, match="NaN"):
            rank(Given(table), ids(1), k)
    # Where nobody may see it, it does no harm.
    assert rank(Given(table), ids(1), 1, exclude=row_lists([[1]])).rows.tolist() == [[2]]


def test_filters_that_do_not_fit_are_refused():
    ranker = Given(torch.zeros(2, 4))
    with pytest.raises(SettingError, match="k is 0"):
        rank(ranker, ids(2), 0)
    with pytest.raises(SettingError, match="k is -1"):
        rank_prepared(ranker, ids(2), 2, -1)
    with pytest.raises(InputError, match="allow holds 3 lists"):
        rank(ranker, ids(2), 1, allow=row_lists([[], [], []]))
    with pytest.raises(ValueRangeError, match="exclude holds row -1"):
        rank(ranker, ids(2), 1, exclude=row_lists([[-1], []]))
    with pytest.raises(InputError, match="do not span"):
        rank(ranker, ids(2), 1, exclude=RowLists(torch.tensor([1, 2]), torch.tensor([0, 1, 1])))


def test_an_unknown_metric_is_refused():
    with pytest.raises(SettingError, match="'dot'"):
        check_metric("dot")


def test_a_zero_vector_has_cosine_zero_with_everything():
    vectors = torch.tensor([[-1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    searcher = ExactSearcher.build(vectors, "cosine")
    assert searcher.search(torch.tensor([[2.0, 0.0]]), 3).rows.tolist() == [[2, 1, 0]]
    lost = searcher.search(torch.zeros(1, 2), 3)
    assert lost.rows.tolist() == [[0, 1, 2]]
    assert lost.scores.tolist() == [[0.0, 0.0, 0.0]]


def test_tiny_and_huge_vectors_keep_their_direction():
    vectors = torch.tensor([[1e-30, 0.0], [0.0, 1e30], [1.0, 1.0]])
    found = ExactSearcher.build(vectors, "cosine").search(torch.tensor([[1e-30, 0.0]]), 3)
    assert found.rows.tolist() == [[0, 2, 1]]
    torch.testing.assert_close(found.scores, torch.tensor([[1.0, 0.5**0.5, 0.0]]))


def test_distances_stay_exact_far_from_the_origin():
    vectors = torch.tensor([[1000.0, 1000.0], [1000.25, 1000.0], [1001.0, 1000.0]])
    found = ExactSearcher.build(vectors, "l2").search(torch.tensor([[1000.0, 1000.0]]), 3)
    torch.testing.assert_close(found.scores, torch.tensor([[0.0, -0.0625, -1.0]]), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("metric", ["ip", "cosine", "l2"])
def test_scores_of_given_rows_are_those_of_the_search(metric: Metric):
    generator = torch.Generator().manual_seed(3)
    searcher = ExactSearcher.build(torch.randn(50, 6, generator=generator, dtype=torch.float64), metric)
    queries = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    found = searcher.search(queries, 5)
    assert found.scores.dtype == torch.float64
    torch.testing.assert_close(searcher.scores(queries, found.rows), found.scores)
    with pytest.raises(ValueRangeError, match="row 50"):
        searcher.scores(queries[:1], torch.tensor([[50]]))


def test_a_searcher_keeps_its_own_copy():
    vectors = torch.eye(3)
    searcher = ExactSearcher.build(vectors, "ip")
    vectors.zero_()
    assert searcher.search(torch.tensor([[0.0, 1.0, 0.0]]), 1).scores.tolist() == [[1.0]]


@pytest.mark.gpu
@pytest.mark.parametrize("metric", ["ip", "cosine", "l2"])
def test_a_gpu_finds_what_the_processor_finds(metric: Metric):
    generator = torch.Generator().manual_seed(4)
    vectors, queries = torch.randn(3000, 16, generator=generator), torch.randn(700, 16, generator=generator)
    exclude = row_lists([[query, 2 * query] for query in range(700)])
    here = ExactSearcher.build(vectors, metric).search(queries, 10, exclude=exclude)
    there = ExactSearcher.build(vectors.cuda(), metric).search(queries.cuda(), 10, exclude=exclude)
    assert there.rows.is_cuda
    torch.testing.assert_close(there.scores.cpu(), here.scores, atol=1e-4, rtol=1e-4)
    assert float((there.rows.cpu() == here.rows).float().mean()) > 0.999
    with pytest.raises(InputError, match="queries on cpu"):
        ExactSearcher.build(vectors.cuda(), metric).search(queries, 1)

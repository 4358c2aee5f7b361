from __future__ import annotations

import subprocess
import sys
from typing import get_args

import faiss
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from isthmus.errors import SettingError
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.faiss import FaissSearcher, FaissSettings, Kind, SearchSettings, check_kind, hnsw, ivf
from isthmus.index.faiss.candidates import nearer
from isthmus.index.faiss.hnsw import spatial_order
from isthmus.index.faiss.hnsw_pca import axes
from isthmus.index.vectors import Metric, lifted
from isthmus.testing.searcher import SearcherContract, brute_force, row_lists, similarity

KINDS: tuple[Kind, ...] = get_args(Kind)


class TestFlat(SearcherContract):
    def build(self, vectors: Tensor, metric: Metric) -> FaissSearcher:
        return FaissSearcher.build(vectors, "flat", metric)


class Approximate(SearcherContract):
    """One kind with the settings that find enough of the test's vectors."""

    def __init__(self, kind: Kind, recall: float, rows: int, width: int, **settings: int) -> None:
        self.kind, self.recall, self.rows, self.width, self.settings = kind, recall, rows, width, settings

    def build(self, vectors: Tensor, metric: Metric) -> FaissSearcher:
        return FaissSearcher.build(vectors, self.kind, metric, **self.settings)


KEPT = [
    Approximate("ivf", 0.7, 2000, 8),
    # All lists visited: as right as a flat index, but for ties that are cut.
    Approximate("ivf", 0.999, 1000, 8, lists=16, probes=16),
    Approximate("ivf-lifted", 0.999, 1000, 8, lists=16, probes=16),
    Approximate("ivf-bf16", 0.98, 1000, 8, lists=16, probes=16),
    Approximate("ivf-sq8", 0.98, 1000, 8, lists=16, probes=16, widen=2),
    Approximate("ivf-pq", 0.7, 1000, 8, lists=8, probes=8, widen=9),
    Approximate("rabitq", 0.6, 1000, 32, lists=8, probes=8, widen=9),
    Approximate("hnsw", 0.9, 800, 8, links=16, breadth=64),
    Approximate("hnsw-short", 0.8, 800, 8, links=16, breadth=64, widen=2),
    Approximate("fp16", 0.999, 400, 8, widen=2),
    Approximate("bf16", 0.99, 400, 8, widen=2),
    Approximate("sq8", 0.99, 400, 8, widen=2),
]


@pytest.mark.slow
@pytest.mark.parametrize("contract", KEPT, ids=lambda contract: f"{contract.kind}-{contract.recall}")
def test_an_approximate_kind_keeps_the_contract(contract: Approximate):
    contract.check()


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_flat_over_weights_and_bias_ranks_as_the_logits_do():
    """The identity that lets an index stand in for a decoder: logit_i = [d, 1] · [w_i, b_i]."""
    weight, bias, decoded = numbers(700, 12), numbers(700, seed=1) * 2, numbers(9, 12, seed=2)
    searcher = FaissSearcher.build(torch.cat([weight, bias[:, None]], 1), "flat", "ip")
    found = searcher.search(torch.cat([decoded, torch.ones(9, 1)], 1), 50)
    logits = decoded @ weight.T + bias
    expected = logits.topk(50)
    assert torch.equal(found.rows, expected.indices)
    torch.testing.assert_close(found.scores, expected.values, atol=1e-5, rtol=1e-5)


SEARCHERS = {
    (kind, metric): FaissSearcher.build(numbers(150, 5), kind, metric, lists=3, probes=1, links=4, breadth=8)
    for kind in KINDS
    for metric in ("ip", "cosine", "l2")
}


@st.composite
def questions(draw: st.DrawFn) -> tuple[int, list[list[int]], object]:
    rows = st.lists(st.integers(0, 149), max_size=40)
    many = st.integers(1, 7).map(lambda step: tuple(range(0, 150, step)))
    lists = st.lists(rows, min_size=4, max_size=4)
    return draw(st.integers(1, 20)), draw(lists), draw(st.none() | rows.map(tuple) | many | lists)


@given(question=questions(), which=st.sampled_from(sorted(SEARCHERS)))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_no_filter_leaks_and_no_answer_is_short(question: tuple, which: tuple[Kind, Metric]):
    k, exclude, allow = question
    each = [list(range(150)) if allow is None else list(allow)] * 4 if not isinstance(allow, list) else allow
    given_allow = torch.tensor(allow, dtype=torch.int64) if isinstance(allow, tuple) else allow and row_lists(allow)
    queries = numbers(4, 5, seed=9)
    found = SEARCHERS[which].search(queries, k, exclude=row_lists(exclude), allow=given_allow)
    true = similarity(queries, numbers(150, 5), which[1])
    for query, rows in enumerate(found.rows.tolist()):
        open_rows = set(each[query]) - set(exclude[query])
        answered = [row for row in rows if row >= 0]
        assert len(set(answered)) == len(answered) == min(k, len(open_rows))
        assert set(answered) <= open_rows
        assert rows == answered + [-1] * (k - len(answered))
        expected = [true[query, row].item() for row in answered]
        assert found.scores[query, : len(answered)].tolist() == pytest.approx(expected, abs=1e-4)
        assert found.scores[query, len(answered) :].tolist() == [float("-inf")] * (k - len(answered))


def test_long_lists_of_one_query_leave_the_others_alone():
    vectors, queries = numbers(900, 6), numbers(3, 6, seed=1)
    exclude = [[], list(range(700)), [5]]
    expected = brute_force(similarity(queries, vectors, "ip"), 8, exclude)[0]
    for kind in ("ivf", "hnsw", "sq8"):
        searcher = FaissSearcher.build(vectors, kind, "ip", lists=4, probes=4)
        found = searcher.search(queries, 8, exclude=row_lists(exclude)).rows.tolist()
        assert found[1] == expected[1]
        assert sum(len(set(a) & set(b)) for a, b in zip(found, expected, strict=True)) >= 22


def test_a_graph_finds_inner_products_where_a_few_vectors_win_most():
    """All vectors lean one way, so the longest win nearly everything, and a graph of raw inner products is lost."""
    vectors, queries = numbers(3000, 32) + 2, numbers(100, 32, seed=3)
    expected = brute_force(similarity(queries, vectors, "ip"), 10)[0]

    def recall(rows: Tensor) -> float:
        return sum(len(set(a) & set(b)) for a, b in zip(rows.tolist(), expected, strict=True)) / 1000

    raw = faiss.IndexHNSWFlat(32, 16, faiss.METRIC_INNER_PRODUCT)
    raw.add(vectors.numpy())
    lost = recall(torch.from_numpy(raw.search(queries.numpy(), 10)[1]))
    found = recall(FaissSearcher.build(vectors, "hnsw", "ip", links=16).search(queries, 10).rows)
    assert found >= 0.85
    assert found > lost + 0.2


def test_among_lifted_vectors_the_nearest_has_the_greatest_inner_product():
    vectors, queries = numbers(40, 3) * 5, numbers(4, 3, seed=1)
    distances = torch.cdist(torch.cat([queries, torch.zeros(4, 1)], 1), lifted(vectors))
    assert torch.equal(distances.argsort(1), (queries @ vectors.T).argsort(1, descending=True))
    torch.testing.assert_close(lifted(vectors).norm(dim=1), vectors.norm(dim=1).max().expand(40))


def test_a_vector_added_later_or_changed_does_not_show():
    vectors = torch.eye(4)
    searcher = FaissSearcher.build(vectors)
    vectors[2] = 9
    assert searcher.search(torch.ones(1, 4), 1).scores.tolist() == [[1.0]]
    assert len(searcher) == searcher.width == 4


def test_the_seed_decides_the_lists():
    build = lambda seed: FaissSearcher.build(numbers(2000, 8), "ivf", lists=20, probes=1, seed=seed)  # noqa: E731
    queries = numbers(20, 8, seed=1)
    first, second, third = (build(seed).search(queries, 10).rows for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_settings_outside_their_range_are_refused():
    wrong = {"lists": 0, "probes": 0, "links": 1, "widen": 0, "seed": -1, "depth": 3, "breadth": -1, "building": "many"}
    for name, value in wrong.items():
        with pytest.raises(SettingError, match=name):
            FaissSearcher.build(numbers(10, 2), **{name: value})


def test_an_unknown_kind_is_refused():
    with pytest.raises(SettingError, match="kind 'tree'"):
        check_kind("tree")


@pytest.mark.slow
@pytest.mark.parametrize("order", ["torch, faiss", "faiss, torch"])
def test_faiss_and_torch_live_together_in_any_order(order: str):
    code = f"""import {order}
import torch
from isthmus.index.faiss import FaissSearcher
vectors = torch.randn(2000, 32) @ torch.randn(32, 32)
for kind in ("flat", "ivf", "hnsw"):
    FaissSearcher.build(vectors, kind).search(torch.randn(64, 32) @ torch.randn(32, 32), 5)
print("done")"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "done"), done.stderr


@pytest.mark.parametrize("kind", ["ivf", "ivf-pq", "rabitq", "hnsw", "hnsw-short"])
def test_a_structure_that_is_known_is_not_looked_for_again(kind: Kind):
    # Of three numbers, codes and rotations are padded.
    width = 3
    exact = ExactSearcher.build(numbers(700, width))
    settings = FaissSettings.checked(700, lists=8, probes=2, links=4)
    made = FaissSearcher.over(exact, kind, settings)
    again = FaissSearcher.over(exact, kind, settings, made.structure)
    held = made.structure.keys() - {"lists"}  # read out of FAISS's index where they are saved
    assert all(again.structure[name] is made.structure[name] for name in held)
    assert ("lists" in made.structure) == (kind == "ivf")
    queries = numbers(20, width, seed=1)
    first, second = made.search(queries, 5), again.search(queries, 5)
    assert torch.equal(first.rows, second.rows)
    assert torch.equal(first.scores, second.scores)
    assert made.nbytes >= sum(made.structure[name].nbytes for name in held)


def test_saved_lists_are_filled_as_they_were_and_wrong_ones_are_not_believed():
    exact = ExactSearcher.build(numbers(700, 6))
    settings = FaissSettings.checked(700, lists=8, probes=1)
    made, queries = FaissSearcher.over(exact, "ivf", settings), numbers(20, 6, seed=1)
    turned = {**made.structure, "lists": (made.structure["lists"] + 1).astype(np.int32) % 8}
    moved = FaissSearcher.over(exact, "ivf", settings, turned)
    assert not torch.equal(moved.search(queries, 5).rows, made.search(queries, 5).rows)
    for wrong in (turned["lists"] + 8, turned["lists"] - 1, turned["lists"][1:], turned["lists"].astype(np.int64)):
        again = FaissSearcher.over(exact, "ivf", settings, {**made.structure, "lists": wrong})
        assert torch.equal(again.search(queries, 5).rows, made.search(queries, 5).rows)


def spoilt(structure: dict[str, np.ndarray], generator: np.random.Generator) -> dict[str, np.ndarray]:
    """The structure with one thing wrong."""
    name = generator.choice(sorted(structure))
    part = structure[name].copy()
    match generator.integers(5):
        case 0:
            return {key: value for key, value in structure.items() if key != name}
        case 1:
            part = part[:-1]
        case 2:
            part = part.astype(np.float64)
        case 3:
            part = np.concatenate([part, part[:1]])
        case 4:
            wrong = np.nan if part.dtype == np.float32 else generator.choice([-7, 1 << 30, len(structure[name])])
            part.reshape(-1)[generator.integers(part.size)] = wrong
    return {**structure, name: part}


@pytest.mark.parametrize("kind", ["ivf", "hnsw-short"])
def test_a_spoilt_structure_is_looked_for_again(kind: Kind):
    exact = ExactSearcher.build(numbers(400, 4))
    settings = FaissSettings.checked(400, lists=4, links=4)
    made = FaissSearcher.over(exact, kind, settings)
    generator = np.random.default_rng(0)
    for _ in range(30):
        again = FaissSearcher.over(exact, kind, settings, spoilt(dict(made.structure), generator))
        for name, part in made.structure.items():
            assert np.array_equal(again.structure[name], part)


def test_a_link_to_a_node_that_is_not_on_that_level_is_seen():
    exact = ExactSearcher.build(numbers(400, 4), "l2")
    settings = FaissSettings.checked(400, links=4)
    made = FaissSearcher.over(exact, "hnsw", settings)
    levels, links = made.structure["levels"], made.structure["links"].copy()
    high, low = int(np.flatnonzero(levels > 1)[0]), int(np.flatnonzero(levels == 1)[0])
    start = int(((levels[:high] + 1) * 4).sum())
    links[start + 8] = low
    again = FaissSearcher.over(exact, "hnsw", settings, {**made.structure, "links": links})
    assert np.array_equal(again.structure["links"], made.structure["links"])


def test_the_leading_axes_hold_nearly_all_the_variance():
    vectors = (numbers(3000, 5) @ numbers(5, 60, seed=1) + 0.02 * numbers(3000, 60, seed=2) + 7).numpy()
    found = axes(vectors)
    assert found.shape == (60, 8)
    np.testing.assert_allclose(found.T @ found, np.eye(8), atol=1e-5)
    spread = np.cov(vectors.astype(np.float64).T)
    assert np.trace(found.T @ spread @ found) >= 0.95 * np.trace(spread)
    assert axes(numbers(3000, 60).numpy()).shape[1] > 50


@pytest.mark.parametrize("metric", ["ip", "l2"])
def test_a_walk_along_few_axes_finds_what_lies_along_them(metric: Metric):
    vectors = numbers(2000, 5) @ numbers(5, 60, seed=1) + 0.02 * numbers(2000, 60, seed=2)
    queries = vectors[::40] + 0.02 * numbers(50, 60, seed=3)
    searcher = FaissSearcher.build(vectors, "hnsw-short", metric, breadth=64, widen=3)
    assert searcher.structure["axes"].shape[1] < 20
    expected = ExactSearcher.build(vectors, metric).search(queries, 10)
    found = searcher.search(queries, 10)
    assert float((found.scores >= expected.scores[:, -1:] - 1e-3).float().mean()) > 0.9


def test_spoilt_axes_are_looked_for_again():
    exact = ExactSearcher.build(numbers(400, 6), "l2")
    settings = FaissSettings.checked(400, links=4)
    made = FaissSearcher.over(exact, "hnsw-short", settings)
    right = dict(made.structure)
    for wrong in (right["axes"][:-1], right["axes"].astype(np.float64), right["axes"] * np.nan, right["axes"][:, :0]):
        again = FaissSearcher.over(exact, "hnsw-short", settings, {**right, "axes": wrong})
        assert np.array_equal(again.structure["axes"], right["axes"])


def test_rows_lie_near_their_neighbours():
    centres = numbers(20, 6) * 50
    vectors = (centres.repeat(200, 1) + numbers(4000, 6, seed=1)).numpy()
    order = spatial_order(vectors, 0)
    assert np.array_equal(np.sort(order), np.arange(4000))
    steps = np.linalg.norm(np.diff(vectors[order], axis=0), axis=1)
    assert np.median(steps) < np.median(np.linalg.norm(np.diff(vectors, axis=0), axis=1)) / 5


def test_the_nearer_candidates_are_kept_and_nobody_is_none():
    vectors, queries = numbers(300, 7), numbers(5, 7, seed=1)
    candidates = np.random.default_rng(0).permuted(np.tile(np.arange(300), (5, 1)), axis=1)[:, :40]
    candidates[:, ::9] = -1
    for metric in ("ip", "cosine", "l2"):
        exact = ExactSearcher.build(vectors, metric)
        kept = nearer(exact, exact.prepared(queries), candidates, 6)
        true = similarity(queries, vectors, metric).numpy()
        for query, own in enumerate(candidates):
            there = own[own >= 0]
            assert set(kept[query]) == set(there[np.argsort(-true[query, there])][:6])


def test_other_settings_ask_the_same_index():
    searcher = FaissSearcher.build(numbers(2000, 8), "ivf", lists=40, probes=1)
    queries = numbers(30, 8, seed=1)
    exact = ExactSearcher.build(numbers(2000, 8)).search(queries, 5)
    few, many = searcher.search(queries, 5), searcher.with_search_settings(SearchSettings(probes=40)).search(queries, 5)
    assert torch.equal(many.rows, exact.rows)
    assert not torch.equal(few.rows, exact.rows)
    with pytest.raises(SettingError, match="widen is 0"):
        searcher.with_search_settings(SearchSettings(widen=0))


@pytest.mark.parametrize("kind", ["hnsw", "hnsw-short"])
def test_the_order_in_which_queries_are_asked_does_not_show(kind: Kind, monkeypatch: pytest.MonkeyPatch):
    queries = numbers(50, 8, seed=1)
    usual = FaissSearcher.build(numbers(500, 8), kind, "l2", links=4, breadth=16)
    monkeypatch.setattr(hnsw, "MANY_NODES", 100)
    monkeypatch.setattr(hnsw, "MANY_QUERIES", 2)
    ordered = FaissSearcher.build(numbers(500, 8), kind, "l2", links=4, breadth=16)
    assert (usual._query_order, ordered._query_order is None) == (None, False)
    found, expected = ordered.search(queries, 5), usual.search(queries, 5)
    assert torch.equal(found.rows, expected.rows)
    assert torch.equal(found.scores, expected.scores)
    rows, same = ordered.unfiltered_candidates(queries, 5), usual.unfiltered_candidates(queries, 5)
    assert rows is not None
    assert np.array_equal(rows, same)


def test_neighbouring_queries_are_asked_one_after_the_other(monkeypatch: pytest.MonkeyPatch):
    centres = numbers(10, 8) * 50
    nodes = (centres.repeat(100, 1) + numbers(1000, 8, seed=1)).numpy()
    graph = faiss.IndexFlatL2(8)
    graph.add(nodes[spatial_order(nodes, 0)])
    monkeypatch.setattr(hnsw, "MANY_NODES", 1000)
    order = hnsw.query_order(graph)
    assert order is not None
    turns = order((centres.repeat(20, 1) + numbers(200, 8, seed=2)).numpy())
    assert sorted(turns.tolist()) == list(range(200))
    assert (np.diff(turns % 10) != 0).sum() == 9  # each cluster once


def test_narrow_vectors_have_fewer_lists():
    assert [ivf.defaults(250_000, width, 0).lists for width in (64, 65)] == [1000, 2000]
    assert ivf.defaults(390, 64, 0).lists == 10  # no more than the rows can train
    searcher = FaissSearcher.build(numbers(2000, 8), "ivf", lists=40, probes=10)
    assert searcher.rebuilt(ExactSearcher.build(numbers(4000, 8))).settings["lists"] == 102


def test_many_queries_find_their_lists_by_products_and_the_process_keeps_its_threshold(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(faiss.cvar, "distance_compute_blas_threshold", 777)
    many, seen = ivf.PRODUCTS_FROM, []
    for queries in (many, many - 1):
        with ivf.products(queries):
            seen.append(faiss.cvar.distance_compute_blas_threshold)
    assert seen == [1, 777]
    with ivf.products(many), ivf.products(many):  # as in two threads
        pass
    assert faiss.cvar.distance_compute_blas_threshold == 777
    vectors = torch.randn(400, 8, generator=torch.Generator().manual_seed(0))
    searcher = FaissSearcher.build(vectors, "ivf", "l2", lists=8, probes=2)
    together = searcher.search(vectors[: 2 * many], 3).rows
    assert together.tolist() == [searcher.search(one[None], 3).rows[0].tolist() for one in vectors[: 2 * many]]
    assert faiss.cvar.distance_compute_blas_threshold == 777

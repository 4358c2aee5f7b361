"""Which kind an index gets, and why."""

from __future__ import annotations

import logging
import math
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

import isthmus.index
from isthmus.errors import BudgetError
from isthmus.index import Budget, Index, build_each, threads
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.index.faiss import FaissSearcher
from isthmus.index.registry import tried
from isthmus.index.tuning import budget, measure
from isthmus.index.tuning import choose as choosing
from isthmus.index.tuning.choose import choose
from isthmus.index.tuning.measure import HeldOutQueries, exact_segment, held_out
from isthmus.index.tuning.trials import IndexRequest

ORDER = [kind.name for kind in tried("ip")]


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_small_is_exact_without_measuring(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(budget, "bandwidth", lambda: pytest.fail("measured"))
    told = Index.build(numbers(1000, 8)).info()
    assert (told["kind"], told["recall"], told["trials"]) == ("exact", 1.0, [])
    assert told["reason"] == "comparing with every vector is fast enough"


def test_the_fastest_is_looked_for_however_fast_exact_search_is(monkeypatch: pytest.MonkeyPatch):
    timed(monkeypatch, {"exact": 10.0, "ivf": 30.0})
    told = Index.build(numbers(500, 4), kind="fastest").info()
    assert told["kind"] == "ivf"
    assert len(told["trials"]) > len(ORDER)


def test_the_rule_is_bytes_over_bandwidth(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(budget, "bandwidth", lambda: 1e10)
    assert Budget().allows_exact(390_000, 32)
    assert not Budget().allows_exact(400_000, 32)
    assert Budget(seconds=0.1).allows_exact(7_800_000, 32)
    assert not Budget(seconds=1e-6).allows_exact(1000, 32)


def test_a_bandwidth_is_measured():
    assert 1e8 < budget.bandwidth() < 1e13


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact search counts as too slow, and a measurement is short."""
    monkeypatch.setattr(budget, "SMALL", 0)
    monkeypatch.setattr(budget, "FAST_ENOUGH", 0.0)
    monkeypatch.setattr(measure, "QUERIES", 64)


def timed(monkeypatch: pytest.MonkeyPatch, speeds: dict[str, float]) -> None:
    """Speeds as given, by kind."""

    def of(held_out_queries: HeldOutQueries, searcher: object, most: int = 0) -> float:
        return speeds.get(getattr(searcher, "kind", "exact"), 1.0)

    monkeypatch.setattr(HeldOutQueries, "throughput", of)


@pytest.mark.usefixtures("impatient")
def test_every_kind_is_tried_in_order_and_the_fastest_that_finds_enough_is_kept(monkeypatch: pytest.MonkeyPatch):
    timed(monkeypatch, {"exact": 100.0, "ivf": 300.0, "hnsw": 500.0, "ivf-sq8": 400.0, "rabitq": 120.0, "sq8": 400.0})
    told = Index.build(numbers(2000, 8), target_recall=0.8).info()
    kinds = list(dict.fromkeys(trial["kind"] for trial in told["trials"]))
    assert kinds == ["exact", *ORDER]
    assert told["kind"] == "hnsw"
    assert told["recall"] >= 0.8
    outcomes = {trial["kind"]: trial["outcome"] for trial in told["trials"]}
    assert outcomes["exact"] == "the reference"
    assert outcomes["ivf"] == outcomes["ivf-sq8"] == outcomes["hnsw"] == "best so far"
    assert outcomes["sq8"] == outcomes["fp16"] == "slower"


@pytest.mark.usefixtures("impatient")
def test_exact_is_kept_where_nothing_is_faster(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    timed(monkeypatch, {"exact": 1e6})
    told = Index.build(numbers(1000, 4)).info()
    assert (told["kind"], told["reason"]) == ("exact", "exact search is the fastest here")
    assert not [line for line in caplog.records if line.levelno >= logging.WARNING]


@pytest.mark.usefixtures("impatient")
def test_exact_is_kept_with_a_warning_where_nothing_finds_enough(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(HeldOutQueries, "recall", lambda held_out_queries, searcher: 0.5)
    timed(monkeypatch, dict.fromkeys(ORDER, 1000000.0))
    told = Index.build(numbers(1000, 4)).info()
    assert (told["kind"], told["recall"]) == ("exact", 1.0)
    # Random numbers need all their axes.
    outcomes = {trial["outcome"] for trial in told["trials"] if trial["kind"] != "hnsw-short"}
    assert outcomes == {"the reference", "below the target"}
    assert "no index reached recall 0.95" in caplog.text


@pytest.mark.usefixtures("impatient")
def test_it_refuses_only_where_the_budget_rules_exact_search_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(HeldOutQueries, "recall", lambda held_out_queries, searcher: 0.5)
    monkeypatch.setattr(HeldOutQueries, "latency", lambda held_out_queries, searcher: 0.01)
    timed(monkeypatch, dict.fromkeys(ORDER, 1000000.0))
    monkeypatch.setattr(budget, "bandwidth", lambda: 1.0)
    with pytest.raises(BudgetError, match=r"recall 0.95 in 0.005 s"):
        Index.build(numbers(1000, 4), budget=Budget(seconds=0.005))
    assert Index.build(numbers(1000, 4), budget=Budget(seconds=0.02)).info()["kind"] == "exact"
    monkeypatch.setattr(HeldOutQueries, "recall", lambda held_out_queries, searcher: 1.0)
    with pytest.raises(BudgetError):
        Index.build(numbers(1000, 4), budget=Budget(seconds=0.005))


@pytest.mark.usefixtures("impatient")
def test_bytes_rule_kinds_out(monkeypatch: pytest.MonkeyPatch):
    timed(monkeypatch, dict.fromkeys(ORDER, 1000000.0))
    with pytest.raises(BudgetError, match="32,000 bytes"):
        Index.build(numbers(1000, 8), budget=Budget(bytes=31_999))
    told = Index.build(numbers(1000, 8), budget=Budget(bytes=48_000), target_recall=0.3).info()
    outcomes = {trial["kind"]: trial["outcome"] for trial in told["trials"]}
    assert outcomes["ivf"] == outcomes["hnsw"] == "over the bytes granted"
    assert told["bytes"] <= 48_000
    # It was clear beforehand that these are too large.
    assert [trial["build_seconds"] for trial in told["trials"] if trial["kind"] in ("ivf", "hnsw")] == [None, None]
    assert told["kind"] != "exact"


@pytest.mark.usefixtures("impatient")
def test_no_time_left_is_told():
    told = Index.build(numbers(500, 4), budget=Budget(build_seconds=1e-9)).info()
    assert {trial["outcome"] for trial in told["trials"][1:]} == {"not tried: no time left"}


def test_held_out_queries_are_halved_and_given_ones_are_used():
    exact = ExactSearcher.build(numbers(300, 4), "l2")
    choosing_by, judging_by = held_out(exact, None, 5, seed=1)
    assert len(choosing_by.queries) + len(judging_by.queries) == 300
    assert not set(map(tuple, choosing_by.queries.tolist())) & set(map(tuple, judging_by.queries.tolist()))
    again = held_out(exact, None, 5, seed=1)[0]
    assert torch.equal(again.queries, choosing_by.queries)
    assert not torch.equal(held_out(exact, None, 5, seed=2)[0].queries, choosing_by.queries)
    given = numbers(10, 4, seed=3)
    assert torch.equal(held_out(exact, given, 5, seed=1)[1].queries, given[1::2])


def test_made_queries_lie_where_the_vectors_do():
    vectors = numbers(500, 4) * 0.1 + 1000
    made = held_out(ExactSearcher.build(vectors, "l2"), None, 5, seed=0)[0].queries
    assert float((made - 1000).abs().max()) < 1
    assert made.unique(dim=0).shape == made.shape


def test_recall_is_the_share_found_and_ties_count():
    vectors = torch.cat([torch.ones(20, 2), -torch.ones(20, 2)])
    exact = ExactSearcher.build(vectors)
    held_out_queries = HeldOutQueries.of(exact, torch.ones(3, 2), 4)
    assert held_out_queries.recall(None) == 1.0
    turned = ExactSearcher.build(vectors.flip(0))
    assert replace(held_out_queries, frozen=exact_segment(turned)).recall(None) == 1.0
    half = ExactSearcher.build(torch.cat([torch.ones(2, 2), -torch.ones(9, 2)]))
    assert replace(held_out_queries, frozen=exact_segment(half)).recall(None) == 0.5


def test_a_target_missed_on_the_judging_half_is_tried_a_little_higher(monkeypatch: pytest.MonkeyPatch):
    exact = ExactSearcher.build(numbers(3000, 12))
    seen: list[int] = []

    def recall(held_out_queries: HeldOutQueries, searcher: object) -> float:
        probes = searcher.settings["probes"]  # type: ignore[attr-defined]
        if held_out_queries is judging[0]:
            seen.append(probes)
            return 0.9 if len(seen) < 3 else 0.96
        return 0.96 if probes >= 4 else 0.5

    judging: list[HeldOutQueries] = []
    whole = choosing.held_out

    def halves(*given: object) -> tuple[HeldOutQueries, HeldOutQueries]:
        both = whole(*given)  # type: ignore[arg-type]
        judging[:] = [both[1]]
        return both

    monkeypatch.setattr(choosing, "held_out", halves)
    monkeypatch.setattr(HeldOutQueries, "recall", recall)
    chosen = choose(exact, IndexRequest(kind="ivf"))
    assert seen == [4, 5, 6]
    assert chosen.recall == 0.96
    assert chosen.searcher is not None
    assert chosen.searcher.settings["probes"] == 6


def test_grids_rise_and_bytes_a_row_are_a_lower_bound():
    for kind in tried("ip"):
        built = kind.build(ExactSearcher.build(numbers(2000, 4)), 0)
        # What is refused for its bytes before it is built would be refused afterwards, too.
        assert built.nbytes >= 2000 * kind.bytes_a_row(4) > 0
        for grid in built.grid():
            costs = [math.prod(own.search_settings.values()) for own in grid]
            assert costs == sorted(set(costs))
        if kind.name == "ivf":
            assert built.grid()[0][-1].search_settings == {"probes": built.settings["lists"], "widen": 1}
    assert "ivf-lifted" in ORDER
    assert "ivf-lifted" not in [kind.name for kind in tried("l2")]


def test_nothing_heavy_is_imported_before_it_is_asked_for():
    code = "import sys, isthmus.index; print([m for m in ('torch', 'faiss', 'pyarrow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError, match="Tree"):
        _ = isthmus.index.Tree


def test_of_kinds_about_as_fast_the_one_that_finds_more_is_kept(monkeypatch: pytest.MonkeyPatch):
    timed(monkeypatch, {"exact": 1.0, "ivf": 400.0, "ivf-sq8": 390.0, "hnsw": 300.0})
    recalls = {"ivf": 0.96, "ivf-sq8": 0.97, "hnsw": 1.0}
    monkeypatch.setattr(HeldOutQueries, "recall", lambda held_out_queries, searcher: recalls.get(searcher.kind, 0.1))
    told = Index.build(numbers(600, 4), kind="fastest", target_recall=0.95).info()
    assert (told["kind"], told["recall"]) == ("ivf-sq8", 0.97)


def test_kinds_that_come_close_are_timed_again_side_by_side(monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    def of(held_out_queries: HeldOutQueries, searcher: object, most: int = 0) -> float:
        kind = getattr(searcher, "kind", "exact")
        asked.append(kind)
        late = asked.count("hnsw") > 2
        return {"ivf": 400.0, "hnsw": 900.0 if late else 350.0}.get(kind, 1.0)

    monkeypatch.setattr(HeldOutQueries, "throughput", of)
    told = Index.build(numbers(600, 4), kind="fastest", target_recall=0.5).info()
    assert told["kind"] == "hnsw"
    assert "(900 queries/s)" in told["reason"]


@pytest.mark.slow
def test_axes_are_walked_only_where_a_few_hold_most(monkeypatch: pytest.MonkeyPatch):
    timed(monkeypatch, {"exact": 1.0})
    flat = numbers(600, 4) @ numbers(4, 40, seed=1)
    for vectors, said in ((flat + 0.01 * numbers(600, 40, seed=2), False), (numbers(600, 40), True)):
        trials = Index.build(vectors, kind="fastest", target_recall=0.5).info()["trials"]
        outcomes = [trial["outcome"] for trial in trials if trial["kind"] == "hnsw-short"]
        assert ("not tried: most axes are needed" in outcomes) == said


def test_several_targets_share_what_is_built(monkeypatch: pytest.MonkeyPatch):
    timed(monkeypatch, {"exact": 1.0, "ivf": 30.0, "hnsw": 20.0})
    vectors, built = numbers(800, 6), []
    over = FaissSearcher.over
    monkeypatch.setattr(
        FaissSearcher, "over", lambda exact, kind, *rest: built.append(kind) or over(exact, kind, *rest)
    )
    few, many = build_each(vectors, metric="l2", targets=(0.3, 0.99), kind="fastest")
    assert len(built) == len(set(built))
    for target, index in ((0.3, few), (0.99, many)):
        latency = Index.build(vectors, metric="l2", target_recall=target, kind="fastest").info()
        told = index.info()
        for name in ("kind", "settings", "recall", "target_recall"):
            assert told[name] == latency[name]
    assert few.info()["settings"]["probes"] < many.info()["settings"]["probes"]
    few.remove([3])
    assert 3 in many


def test_no_target_is_no_index():
    assert build_each(numbers(10, 2), targets=()) == []


def test_with_one_thread_its_seconds_on_the_processor_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_asked", None)
    monkeypatch.setattr(time, "thread_time", lambda: 1.0)
    monkeypatch.setattr(time, "perf_counter", lambda: 2.0)
    assert threads.clock() == 2.0
    with threads.limit(1):
        assert threads.clock() == 1.0
    with threads.limit(2):
        assert threads.clock() == 2.0

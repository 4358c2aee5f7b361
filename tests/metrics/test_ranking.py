"""Each metric against a reference written out in plain Python."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import InputError, SettingError
from isthmus.metrics.ranking import METRICS, coverage, judge, novelty, summarise
from isthmus.testing.searcher import row_lists


def reference(name: str, ranked: list[int], held_out: list[int], k: int) -> float:
    relevant, first = set(held_out), ranked[:k]
    if not relevant:
        return math.nan
    hits = [row in relevant for row in first]
    if name == "recall":
        return sum(hits) / len(relevant)
    if name == "recall_capped":
        return sum(hits) / min(k, len(relevant))
    if name == "precision":
        return sum(hits) / k
    if name == "hit":
        return float(any(hits))
    if name == "mrr":
        return next((1 / (i + 1) for i, h in enumerate(hits) if h), 0.0)
    if name == "map":
        return sum(sum(hits[: i + 1]) / (i + 1) for i, h in enumerate(hits) if h) / min(k, len(relevant))
    assert name == "ndcg"
    best = sum(1 / math.log2(i + 2) for i in range(min(k, len(relevant))))
    return sum(1 / math.log2(i + 2) for i, h in enumerate(hits) if h) / best


@st.composite
def answers(draw: st.DrawFn) -> tuple[list[list[int]], list[list[int]], int]:
    batch, deep, width = draw(st.integers(1, 5)), draw(st.integers(1, 9)), draw(st.integers(1, 12))
    ranked, held_out = [], []
    for _ in range(batch):
        order = draw(st.permutations(range(width)))[: draw(st.integers(0, deep))]
        ranked.append((list(order) + [-1] * deep)[:deep])
        held_out.append(draw(st.lists(st.integers(0, width - 1), max_size=width + 3)))
    return ranked, held_out, draw(st.integers(1, deep))


@pytest.mark.parametrize("name", sorted(METRICS))
@given(case=answers())
@settings(max_examples=100, deadline=None)
def test_metrics_equal_the_naive_reference(name: str, case: tuple[list[list[int]], list[list[int]], int]):
    ranked, held_out, k = case
    values = METRICS[name](judge(torch.tensor(ranked), row_lists(held_out)), k)
    expected = [reference(name, line, held, k) for line, held in zip(ranked, held_out, strict=True)]
    assert values.dtype == torch.float64
    assert values.tolist() == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_metrics_by_hand():
    judged = judge(torch.tensor([[5, 1, 7, 2]]), row_lists([[1, 2, 9]]))
    by_hand = {
        "recall": 2 / 3,
        "recall_capped": 2 / 3,
        "precision": 1 / 2,
        "hit": 1,
        "mrr": 1 / 2,
        "map": (1 / 2 + 2 / 4) / 3,
        "ndcg": (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3) + 1 / 2),
    }
    assert {name: METRICS[name](judged, 4).item() for name in METRICS} == pytest.approx(by_hand)
    assert METRICS["recall"](judged, 2).item() == pytest.approx(1 / 3)
    assert METRICS["recall_capped"](judged, 2).item() == pytest.approx(1 / 2)


@pytest.mark.slow
@given(case=answers(), counts=st.lists(st.integers(0, 6), min_size=12, max_size=12))
@settings(max_examples=100, deadline=None)
def test_novelty_and_coverage_equal_the_naive_reference(case: tuple, counts: list[int]):
    ranked, _, k = case
    found = [[row for row in line[:k] if row >= 0] for line in ranked]
    bits = [[-math.log2(max(counts[row], 1) / 6) for row in line] for line in found]
    expected = [sum(line) / len(line) if line else math.nan for line in bits]
    given_ranked = torch.tensor(ranked)
    assert novelty(given_ranked, torch.tensor(counts), 6, k).tolist() == pytest.approx(expected, nan_ok=True)
    assert coverage(given_ranked, 12, k) == len({row for line in found for row in line}) / 12


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_perfect_order_scores_one_where_it_can(name: str):
    value = METRICS[name](judge(torch.tensor([[3, 1, 2]]), row_lists([[1, 2, 3]])), 3).item()
    assert value == pytest.approx(1)


def test_k_beyond_what_was_ranked_is_refused():
    judged = judge(torch.tensor([[1, 2]]), row_lists([[1]]))
    for k in (0, 3):
        with pytest.raises(SettingError, match=f"k is {k}"):
            METRICS["recall"](judged, k)
        with pytest.raises(SettingError, match=f"k is {k}"):
            coverage(torch.tensor([[1, 2]]), 3, k)


def test_held_out_lists_of_other_queries_are_refused():
    with pytest.raises(InputError, match="2 held-out lists"):
        judge(torch.tensor([[1, 2]]), row_lists([[1], [2]]))


def test_the_summary_leaves_out_queries_without_held_out_rows():
    summary = summarise(torch.tensor([1.0, math.nan, 0.0, 0.5, math.nan], dtype=torch.float64))
    assert (summary.counted, summary.skipped) == (3, 2)
    assert summary.mean == pytest.approx(0.5)
    assert summary.standard_error == pytest.approx(0.5 / math.sqrt(3))


def test_the_summary_of_one_or_none_has_no_error():
    one = summarise(torch.tensor([0.25], dtype=torch.float64))
    assert one.mean == 0.25
    assert math.isnan(one.standard_error)
    none = summarise(torch.tensor([math.nan], dtype=torch.float64))
    assert (none.counted, none.skipped) == (0, 1)
    assert math.isnan(none.mean)

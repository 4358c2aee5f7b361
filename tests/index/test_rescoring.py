"""Scores summed in float64, and the order of answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isthmus.index.exact.rescoring import best_first, double_scores


@pytest.mark.parametrize("by_distance", [True, False])
@pytest.mark.parametrize("width", [3, 784, 9001])
def test_a_pair_has_one_score_whatever_is_asked_beside(by_distance: bool, width: int):
    random = np.random.default_rng(0)
    vectors = torch.from_numpy(random.standard_normal((30, width), np.float32))
    queries = torch.from_numpy(random.standard_normal((40, width), np.float32))
    rows = random.integers(0, 30, (40, 9))
    together = double_scores(vectors, queries, rows, by_distance)
    wide, asked = vectors.double().numpy(), queries.double().numpy()
    for query in range(0, 40, 7):
        for place in range(9):
            own = rows[query : query + 1, place : place + 1]
            alone = double_scores(vectors, queries[query : query + 1], own, by_distance)
            assert alone[0, 0] == together[query, place]
            if by_distance:
                true = -np.square(wide[own[0, 0]] - asked[query]).sum()
            else:
                true = (wide[own[0, 0]] * asked[query]).sum()
            assert together[query, place] == pytest.approx(true, rel=1e-6, abs=1e-9)


def test_minus_zero_is_zero():
    scores = double_scores(torch.zeros(2, 3), torch.ones(1, 3) * -1, np.array([[0, 1]]), False)
    assert not np.signbit(scores).any()
    assert not np.signbit(double_scores(torch.ones(2, 3), torch.ones(1, 3), np.array([[0, 1]]), True)).any()


def test_equal_scores_come_by_rising_row():
    rows = np.array([[7, 3, 9, 1], [4, 3, 2, 1]])
    scores = np.array([[1, 5, 5, 5], [1, 2, 3, 4]], dtype=np.float32)
    best, values = best_first(rows, scores, 3)
    assert best.tolist() == [[1, 3, 9], [1, 2, 3]]
    assert values.tolist() == [[5, 5, 5], [4, 3, 2]]


def test_candidates_in_order_stay_as_they_are():
    rows = np.array([[7, 3, 9], [4, 3, 2]])
    scores = np.array([[3, 2, 1], [1, 2, 2]], dtype=np.float32)
    before = rows.copy(), scores.copy()
    best, values = best_first(rows, scores, 2)
    assert best.tolist() == [[7, 3], [2, 3]]
    assert values.tolist() == [[3, 2], [2, 2]]
    assert np.array_equal(rows, before[0])
    assert np.array_equal(scores, before[1])

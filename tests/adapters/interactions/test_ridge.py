"""Combinations of known items: held against least squares, both ways of solving, and the choice among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from isthmus.errors import SettingError
from isthmus_interactions.cold_start import ridge as feature_ridge
from isthmus_interactions.cold_start.choose_weights import FeatureWeights, choose
from isthmus_interactions.cold_start.features import ItemFeatures
from isthmus_interactions.cold_start.holdout import ItemHoldout
from isthmus_interactions.cold_start.ridge import mixing


def features(rows: int, columns: int, seed: int = 0) -> Any:
    return ItemFeatures.of(list(range(rows)), np.random.default_rng(seed).normal(size=(rows, columns))).matrix


def regressed(known: Any, unknown: Any, values: Any, mu: float) -> Any:
    """min ‖y − F w − b‖² + μ ‖w‖² with a free constant b, one column of y at a time."""
    design = np.hstack([known, np.ones((len(known), 1))])
    penalty = np.diag([mu] * known.shape[1] + [0.0])
    weights = np.linalg.solve(design.T @ design + penalty, design.T @ values.T)
    return (np.hstack([unknown, np.ones((len(unknown), 1))]) @ weights).T


def test_it_is_ridge_regression_with_a_free_constant(subtests: pytest.Subtests) -> None:
    for items, width in [(40, 6), (12, 30)]:
        for sparse in [False, True]:
            with subtests.test(items=items, width=width, sparse=sparse):
                known, unknown = features(items, width), features(5, width, seed=1)
                values = np.random.default_rng(2).normal(size=(3, items)).astype(np.float32)
                given = (csr_array(known), csr_array(unknown)) if sparse else (known, unknown)
                found = values.mean(1, keepdims=True) + mixing(*given, regularisation=0.3).of(values)
                np.testing.assert_allclose(found, regressed(known, unknown, values, 0.3), atol=2e-4)


def test_both_ways_of_solving_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    known, unknown = features(30, 8), features(4, 8, seed=1)
    thin, square = mixing(known, unknown, 0.5), feature_ridge._dual(known, unknown, 0.5, 1)
    assert thin.right is not None
    assert square.right is None
    values = np.eye(30, dtype=np.float32)
    np.testing.assert_allclose(thin.of(values), square.of(values), atol=1e-5)
    np.testing.assert_allclose(thin.columns(1, 3), square.columns(1, 3), atol=1e-5)


@pytest.mark.parametrize("power", [1, 2])
def test_weights_of_each_new_item_sum_to_zero(power: int) -> None:
    made = mixing(features(20, 6), features(5, 6, seed=1), 0.1, power)
    np.testing.assert_allclose(made.of(np.ones((1, 20), np.float32)), 0, atol=1e-5)


def test_a_power_is_a_kernel() -> None:
    """Squared cosines are cosines of all products of two features."""
    known, unknown = features(30, 3), features(4, 3, seed=1)
    pairs = [np.einsum("ij,ik->ijk", part, part).reshape(len(part), -1) for part in (known, unknown)]
    values = np.eye(30, dtype=np.float32)
    np.testing.assert_allclose(
        mixing(known, unknown, 0.2, 2).of(values), mixing(*pairs, regularisation=0.2).of(values), atol=1e-4
    )


def test_what_cannot_be_solved_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_ridge, "LARGEST", 5)
    with pytest.raises(SettingError, match="6 features of 20 items"):
        mixing(features(20, 6), features(5, 6), 0.1)
    monkeypatch.setattr(feature_ridge, "LARGEST", 100)
    with pytest.raises(SettingError, match="regularisation"):
        mixing(np.zeros((20, 6), np.float32), features(5, 6), 0.0)


class Table:
    """Scores that depend on nothing but the item."""

    def __init__(self, scores: Any) -> None:
        self.given = torch.tensor(scores, dtype=torch.float32)
        self.width = len(scores)

    def prepare(self, inputs: Any) -> int:
        return int(inputs.size)

    def scores(self, state: int, columns: Any = None) -> torch.Tensor:
        return self.given[slice(None) if columns is None else columns].repeat(state, 1)


def people(groups: int, items: int, count: int) -> Any:
    """Everybody touches most of one group's items."""
    generator = np.random.default_rng(0)
    told = np.zeros((count, groups * items), np.float32)
    for person in range(count):
        own = person % groups * items + np.arange(items)
        told[person, generator.choice(own, items - 2, replace=False)] = 1
    return csr_array(told)


def test_what_nobody_is_told_is_left_out() -> None:
    told = people(3, 10, 60)
    trial = ItemHoldout.drawn(Table(np.arange(30)), told, np.arange(30), np.random.default_rng(1), torch.device("cpu"))
    assert trial is not None
    assert len(trial.left_out) == 6
    assert sorted([*trial.rest, *trial.left_out]) == list(range(30))
    both = (trial.seen + trial.asked).toarray()
    assert both.max() == 1
    assert trial.history.sum() == trial.seen.toarray()[:, trial.columns[0]].sum()
    assert trial.touched.sum() == both[:, trial.columns[1]].sum()
    assert (
        ItemHoldout.drawn(Table(np.arange(30)), told[:5], np.arange(30), np.random.default_rng(1), torch.device("cpu"))
        is None
    )


def test_the_history_is_trusted_where_the_model_knows_nothing() -> None:
    told, about = people(3, 10, 60), np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    noise = np.random.default_rng(3).normal(size=30)
    trial = ItemHoldout.drawn(Table(noise), told, np.arange(30), np.random.default_rng(1), torch.device("cpu"))
    assert trial is not None
    choice = choose([trial], about)
    assert choice.share < 1
    assert choice.history > 0
    assert choice.score is not None
    assert choice.score > 0.9


def test_without_trials_nothing_is_chosen() -> None:
    assert choose([], features(10, 3)) == FeatureWeights()

"""P-values are counts of normal records, and are spread evenly where a record is normal."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from isthmus.errors import BundleError, InputError, ValueRangeError
from isthmus.fitted.p_values import LARGEST, NormalScores
from isthmus_vectors import Detector, VectorAutoencoder


def counted(normal: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return (1 + (normal[None] >= scores[:, None]).sum(1)) / (len(normal) + 1)


def test_few_normal_scores_are_counted() -> None:
    normal = np.array([3.0, 1.0, 2.0, 2.0])
    scores = np.array([0.0, 1.0, 2.0, 2.5, 3.0, 9.0])
    found = NormalScores.of(torch.from_numpy(normal), held_out=True).p_values(scores)
    assert found.tolist() == counted(normal, scores).tolist() == [1.0, 1.0, 0.8, 0.4, 0.4, 0.2]


def test_of_many_the_largest_are_counted_and_the_others_estimated() -> None:
    generator = np.random.default_rng(0)
    normal, scores = generator.normal(size=20_000), np.linspace(-5, 5, 401)
    known = NormalScores.of(torch.from_numpy(normal), held_out=True)
    found, exact = known.p_values(scores), counted(normal, scores)
    tail = scores > np.sort(normal)[-LARGEST]
    assert tail.any()
    assert found[tail].tolist() == exact[tail].tolist()
    assert np.abs(found - exact).max() < 0.003
    assert (np.diff(found) <= 0).all()


def test_new_normal_records_have_even_p_values() -> None:
    generator = np.random.default_rng(1)
    known = NormalScores.of(torch.from_numpy(generator.gamma(2, size=5000)), held_out=True)
    found = known.p_values(generator.gamma(2, size=20_000))
    for share in (0.01, 0.05, 0.2, 0.5):
        assert (found <= share).mean() == pytest.approx(share, rel=0.15)


def test_it_is_kept_as_json() -> None:
    known = NormalScores.of(torch.arange(2000.0), held_out=False)
    again = NormalScores.from_json(json.loads(json.dumps(known.to_json())), known.quantiles)
    assert again == known
    old = NormalScores.from_json(None, known.quantiles)
    assert old.held_out is None
    assert np.abs(old.p_values([100.0, 1500.0]) - known.p_values([100.0, 1500.0])).max() < 0.005


@pytest.mark.parametrize(
    "change",
    [{"rows": -1}, {"rows": "5"}, {"largest": [2.0, 1.0]}, {"largest": ["x"]}, {"largest": None}, {"held_out": 3}],
)
def test_damaged_ones_are_typed_errors(change: dict[str, Any]) -> None:
    known = NormalScores.of(torch.arange(5.0), held_out=True)
    with pytest.raises(BundleError):
        NormalScores.from_json({**known.to_json(), **change}, known.quantiles)


@pytest.mark.parametrize("given", ["abc", [[1.0, 2.0]], None, ["x"]])
def test_other_than_scores_are_refused(given: Any) -> None:
    known = NormalScores.of(torch.arange(5.0), held_out=True)
    with pytest.raises(InputError, match="one number for each record"):
        known.p_values(given)


def test_nan_is_no_score_and_old_bundles_say_so() -> None:
    with pytest.raises(ValueRangeError, match="NaN"):
        NormalScores.of(torch.arange(5.0), held_out=True).p_values([float("nan")])
    with pytest.raises(InputError, match=r"version 0\.1"):
        NormalScores.of_quantiles(()).p_values([1.0])


def rows(count: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    mixing = np.random.default_rng(0).normal(size=(2, 5))
    noise = generator.normal(size=(count, 5))
    return (generator.normal(size=(count, 2)) @ mixing + 0.3 * noise).astype(np.float32)


def test_normal_rows_and_anomalies_of_real_models(tmp_path: Any) -> None:
    settings: dict[str, Any] = {"epochs": 4, "progress": False}
    detector = Detector.fit(rows(300, 1), **settings)
    model = VectorAutoencoder.fit(rows(600, 1), "vanilla", validation=0.4, code=2, **settings)
    assert model.anomaly_scorer.normal.held_out
    assert model.anomaly_scorer.normal.rows == 240
    model.save(tmp_path / "model")
    detector.save(tmp_path / "detector")
    for one, again in ((detector, Detector.load(tmp_path / "detector")), (model, model.load(tmp_path / "model"))):
        found = one.anomaly_p_values(one.anomaly_scores(rows(1000, 2)))
        # The standard error of a share of 0.1 of 240 rows is 0.02.
        assert (found <= 0.1).mean() == pytest.approx(0.1, abs=0.08)
        assert (found <= 0.5).mean() == pytest.approx(0.5, abs=0.15)
        odd = one.anomaly_scores(20 * rows(50, 3) * [1, -1, 1, -1, 1])
        assert np.median(one.anomaly_p_values(odd)) < 0.02
        assert again.anomaly_p_values(odd).tolist() == one.anomaly_p_values(odd).tolist()
    unheld = VectorAutoencoder.fit(rows(60, 1), "vanilla", validation=0.0, code=2, **settings)
    assert unheld.anomaly_scorer.normal.held_out is False

"""The detector on tables whose anomalies were planted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from isthmus.errors import BundleError, ColumnError, InputError, SettingError, ValueRangeError
from isthmus.training.run import Run
from isthmus_vectors.detection import Detector
from isthmus_vectors.vectors import Vectors

SMALL: dict[str, Any] = {"members": 4, "hidden": 16, "code": 4, "epochs": 60}


def table(rows: int, seed: int) -> np.ndarray:
    """Columns of very different units; the last two follow from the first two."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, rows))
    c, d = a + b + 0.1 * rng.normal(size=rows), np.sin(2 * a) + 0.1 * rng.normal(size=rows)
    return np.stack([1e4 * a, b, 1e-3 * c + 5, d], 1)


def area(scores: np.ndarray, strange: np.ndarray) -> float:
    """Chance that a strange row scores above a normal one."""
    return float((scores[strange][:, None] > scores[~strange]).mean())


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.fit(table(300, 0), contamination=0.05, **SMALL)


@pytest.fixture(scope="module")
def queries() -> tuple[np.ndarray, np.ndarray]:
    """Normal rows, and rows of which each column is as usual and the whole is not."""
    fresh, strange = table(300, 1), table(300, 2)
    strange[:, 2] = np.random.default_rng(3).permutation(strange[:, 2])
    return np.concatenate([fresh, strange]), np.arange(600) >= 300


def test_broken_dependencies_are_found(detector: Detector, queries: tuple[np.ndarray, np.ndarray]) -> None:
    rows, strange = queries
    assert area(detector.anomaly_scores(rows), strange) > 0.85


def test_explain_names_the_column(detector: Detector) -> None:
    row = table(1, 5)
    row[0, 2] += 0.02
    assert int(detector.explain(row)[0].argmax()) == 2


def test_about_the_share_of_fresh_normal_rows_is_flagged(detector: Detector) -> None:
    fresh = table(1000, 7)
    assert 0.01 < detector.is_anomaly(fresh).mean() < 0.12
    assert detector.threshold.contamination == 0.05


def test_far_rows_score_higher_the_farther_they_are(detector: Detector) -> None:
    middle = np.median(table(300, 0), 0)
    far = middle + np.outer([0, 5, 50, 5000], [1e4, 1, 1e-3, 1])
    assert bool((np.diff(detector.anomaly_scores(far)) > 0).all())
    assert detector.predict(far).tolist() == [1, -1, -1, -1]


def test_directions_of_the_scores(detector: Detector, queries: tuple[np.ndarray, np.ndarray]) -> None:
    rows = queries[0]
    scores = detector.anomaly_scores(rows)
    assert np.array_equal(detector.score_samples(rows), -scores)
    assert np.array_equal(detector.is_anomaly(rows), scores > detector.threshold.value)
    assert np.array_equal(detector.predict(rows) == -1, detector.is_anomaly(rows))


def test_a_row_scores_the_same_alone(detector: Detector) -> None:
    rows = table(20, 9)
    alone = np.concatenate([detector.anomaly_scores(row[None]) for row in rows])
    np.testing.assert_allclose(detector.anomaly_scores(rows), alone, rtol=1e-9)


def test_known_rows_are_scored_without_themselves(detector: Detector) -> None:
    """Known rows score like fresh rows, not lower: having been seen in training earns no rank."""
    fresh = detector.fitted.scorers.scores(detector.fitted.values(Vectors.of(table(600, 11))))
    medians = fresh.median(1).values
    places = torch.stack([(k <= m).double().mean() for k, m in zip(detector.fitted.ranks.known, medians, strict=True)])
    assert bool(((places > 0.35) & (places < 0.75)).all()), places


def test_the_same_seed_gives_the_same_scores() -> None:
    rows = table(60, 0)
    quick = SMALL | {"epochs": 2}
    first, second, other = (
        Detector.fit(rows, run=Run(device="cpu", precision="fp32", seed=seed), **quick).anomaly_scores(rows)
        for seed in (3, 3, 4)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_saved_and_loaded_it_answers_the_same(detector: Detector, tmp_path: Path) -> None:
    detector.save(tmp_path / "bundle")
    loaded = Detector.load(tmp_path / "bundle")
    rows = table(50, 4)
    assert np.array_equal(loaded.anomaly_scores(rows), detector.anomaly_scores(rows))
    assert np.array_equal(loaded.explain(rows), detector.explain(rows))
    assert (loaded.threshold, loaded.fitted.settings) == (detector.threshold, detector.fitted.settings)


def test_a_damaged_bundle_is_refused(detector: Detector, tmp_path: Path) -> None:
    detector.save(tmp_path / "bundle")
    (tmp_path / "bundle" / "documents" / "threshold.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError):
        Detector.load(tmp_path / "bundle")
    with pytest.raises(BundleError):
        Detector.load(tmp_path / "nothing")


def test_columns_are_found_by_name() -> None:
    import pandas as pd

    frame = pd.DataFrame(table(40, 0), columns=list("abcd"))
    detector = Detector.fit(frame, **SMALL | {"epochs": 1})
    turned = frame[["d", "c", "b", "a"]]
    assert np.array_equal(detector.anomaly_scores(frame), detector.anomaly_scores(turned))
    with pytest.raises(ColumnError):
        detector.anomaly_scores(frame[["a", "b", "c"]])


def test_single_and_constant_columns_are_no_trouble() -> None:
    rows = np.random.default_rng(0).normal(size=(40, 1))
    quick = SMALL | {"epochs": 1}
    assert np.isfinite(Detector.fit(rows, **quick).anomaly_scores(rows)).all()
    constant = np.concatenate([rows, np.full((40, 1), 7.0)], 1)
    assert np.isfinite(Detector.fit(constant, **quick).anomaly_scores(constant + 1)).all()


def test_robust_scaling_compresses_extreme_known_rows() -> None:
    rows, quick = table(60, 0), SMALL | {"epochs": 1}
    rows[0] *= 1e6
    robust, plain = (Detector.fit(rows, scaling=scaling, **quick) for scaling in ("robust", "standard"))
    spreads = [detector.fitted.values(Vectors.of(rows[1:])).std(0, correction=0).min() for detector in (robust, plain)]
    assert spreads[0] > 0.1
    assert spreads[1] < 1e-3


def test_what_cannot_be_used_is_refused(detector: Detector) -> None:
    with pytest.raises(InputError, match="at least 16"):
        Detector.fit(table(15, 0))
    with pytest.raises(InputError, match="sparse"):
        Detector.fit(csr_array(np.eye(20)))
    with pytest.raises(SettingError, match="member"):
        Detector.fit(table(20, 0), member=2)
    with pytest.raises(SettingError, match=r"2\.0"):
        Detector.fit(table(20, 0), contamination=2.0, **SMALL | {"epochs": 1})
    with pytest.raises(SettingError, match="scaling='none'"):
        Detector.fit(table(20, 0), scaling="none")
    with pytest.raises(SettingError, match="members=1"):
        Detector.fit(table(20, 0), members=1)
    with pytest.raises(InputError, match="3 numbers"):
        detector.anomaly_scores(np.ones((2, 3)))
    with pytest.raises(ValueRangeError, match="no number"):
        detector.anomaly_scores(np.full((2, 4), np.nan))

"""Calibration errors against plain counts."""

from __future__ import annotations

import numpy as np
import pytest

from isthmus.errors import InputError
from isthmus.metrics.calibration import calibration_error, error_of_true_chances, reliability, reliability_of_lists


def test_the_error_is_the_weighed_distance_of_promises_from_counts() -> None:
    chances = np.array([0.1, 0.1, 0.8, 0.8, 0.8, 0.8])
    happened = np.array([0, 1, 1, 1, 0, 1])
    # Two groups of three: 1/3 promised and 2/3 found; 0.8 promised and 2/3 found.
    assert calibration_error(chances, happened, bins=2) == pytest.approx((3 * (2 / 3 - 1 / 3) + 3 * (0.8 - 2 / 3)) / 6)
    first, second = reliability(chances, happened, bins=2)
    assert (first.count, first.promised, first.found) == (3, pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert second.standard_error == pytest.approx(np.std([1, 0, 1], ddof=1) / 3**0.5)


def test_true_chances_have_a_small_error_and_wrong_ones_a_large_one() -> None:
    generator = np.random.default_rng(0)
    chances = generator.random(20_000)
    happened = generator.random(20_000) < chances
    assert calibration_error(chances, happened) < 0.02
    assert calibration_error(chances**2, happened) == pytest.approx(1 / 2 - 1 / 3, abs=0.02)


def test_few_true_chances_have_the_simulated_error() -> None:
    generator = np.random.default_rng(1)
    chances = generator.random(400)
    known = error_of_true_chances(chances)
    errors = [calibration_error(chances, generator.random(400) < chances) for _ in range(300)]
    assert known.mean == pytest.approx(np.mean(errors), rel=0.1)
    assert np.mean(np.array(errors) > known.high) == pytest.approx(0.05, abs=0.04)
    assert calibration_error(chances**2, generator.random(400) < chances) > known.high
    assert error_of_true_chances(np.tile(chances, 25)).mean < known.mean / 3
    # Fewer events than groups, and certain ones.
    assert error_of_true_chances([0.0, 1.0, 1.0]).high == 0.0
    with pytest.raises(InputError, match="at least one"):
        error_of_true_chances([])


def test_lists_are_grouped_by_the_hits_that_they_promise() -> None:
    chances = [[0.1, 0.1], [0.9, 0.9], [0.2, 0.2], [0.8, 0.8]]
    low, high = reliability_of_lists(chances, [[0, 0], [1, 1], [1, 0], [0, 1]], bins=2)
    assert (low.promised, low.found, high.promised, high.found) == (pytest.approx(0.3), 0.5, pytest.approx(1.7), 1.5)


@pytest.mark.parametrize(("chances", "happened"), [([], []), ([0.5], [1, 0])])
def test_events_and_chances_must_be_as_many(chances: list[float], happened: list[int]) -> None:
    with pytest.raises(InputError, match="at least one"):
        calibration_error(chances, happened)
    with pytest.raises(InputError, match="one row for each list"):
        reliability_of_lists(chances, happened)

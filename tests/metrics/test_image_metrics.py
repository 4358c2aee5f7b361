"""Measures of images against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import sqrtm

from isthmus.errors import InputError
from isthmus.metrics.images import frechet_distance, mse, psnr


def test_errors_are_means_over_the_numbers_of_an_image() -> None:
    meant = np.zeros((2, 3, 4), np.float32)
    given = meant.copy()
    given[1] = 0.5
    assert mse(given, meant).tolist() == [0, 0.25]
    ratios = psnr(given, meant)
    assert ratios[0] == math.inf
    assert ratios[1] == pytest.approx(-10 * math.log10(0.25))


def test_ratios_are_of_images_cut_to_their_range() -> None:
    meant = np.ones((1, 2, 2), np.float32)
    assert psnr(meant * 7, meant)[0] == math.inf
    assert psnr(-meant, meant)[0] == pytest.approx(0)


def test_shapes_must_be_equal() -> None:
    for given, meant in (((2, 3), (2, 4)), ((0, 3), (0, 3))):
        with pytest.raises(InputError, match="images of shapes"):
            mse(np.zeros(given, np.float32), np.zeros(meant, np.float32))


def test_frechet_distance_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(400, 5))
    b = rng.normal(size=(300, 5)) @ rng.normal(size=(5, 5)) + 1
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(a, a + 3) == pytest.approx(9 * 5, rel=1e-6)


def test_frechet_distance_of_one_feature() -> None:
    a, b = np.array([[0.0], [2.0]]), np.array([[0.0], [4.0]])
    assert frechet_distance(a, b) == pytest.approx(1 + (math.sqrt(2) - math.sqrt(8)) ** 2)


def test_features_that_do_not_fit() -> None:
    for a, b in (((3, 2), (3, 4)), ((1, 2), (3, 2))):
        with pytest.raises(InputError, match="features of shapes"):
            frechet_distance(np.zeros(a), np.zeros(b))

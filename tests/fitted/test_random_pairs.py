"""A percentile is the percentage of random pairs that are less similar."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isthmus.errors import SettingError
from isthmus.fitted import Gallery
from isthmus.fitted.random_pairs import PAIRS, RandomPairs

CODES = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


def test_few_records_are_compared_all_with_all() -> None:
    # Cosines of the three pairs: 0.71, 0.71 and 0; squared distances: 1, 1 and 2; inner products: 1, 1 and 0.
    assert RandomPairs(CODES, "cosine").percentiles([-1.0, 0.5, 1.0]) == [0, pytest.approx(100 / 3), 100]
    assert RandomPairs(CODES, "l2").percentiles([-3.0, -1.5, 0.0]) == [0, pytest.approx(100 / 3), 100]
    assert RandomPairs(CODES, "ip").percentiles([0.5]) == [pytest.approx(100 / 3)]
    assert RandomPairs(CODES[:1], "l2").percentiles([0.0]) == [None]


def test_pairs_of_many_records_are_of_different_ones_and_the_same_each_time() -> None:
    codes = torch.from_numpy(np.random.default_rng(0).normal(size=(500, 4))).float()
    pairs = RandomPairs(codes, "l2")
    assert len(pairs) == PAIRS
    # Only a record with itself has a distance of 0.
    assert pairs.percentiles([-1e-12]) == [100]
    scores = [-8.0, -4.0, -1.0]
    assert RandomPairs(codes, "l2").percentiles(scores) == pairs.percentiles(scores)


def test_similarities_of_new_random_pairs_have_even_percentiles() -> None:
    generator = np.random.default_rng(1)
    # All cosines are near 1, as those of a variational autoencoder may be.
    codes = torch.from_numpy(10 + generator.normal(size=(2000, 8))).float()
    new = torch.from_numpy(10 + generator.normal(size=(2000, 8))).float()
    cosines = torch.cosine_similarity(codes[:1000], new[:1000])
    assert float(cosines.min()) > 0.9
    found = np.array(RandomPairs(codes, "cosine").percentiles(cosines.tolist()))
    for share in (10, 50, 90):
        assert (found <= share).mean() == pytest.approx(share / 100, abs=0.06)


def test_what_is_found_has_percentiles_also_in_tables() -> None:
    gallery = Gallery(CODES, ("a", "b", "c"), metric="cosine")
    answers = gallery.search(torch.tensor([[2.0, 0.0]]), 3)
    hits = answers[0]
    assert hits.scores == pytest.approx([1, 0.5**0.5, 0])
    assert hits.percentiles[0] == 100
    assert hits.percentiles[2] == 0
    assert hits[1:].percentiles == hits.percentiles[1:]
    assert answers.to_arrow().column("percentile").to_pylist() == hits.percentiles
    assert [len(hit) for hit in hits] == [4, 4, 4]
    with pytest.raises(SettingError):
        gallery.random_pairs("wild")

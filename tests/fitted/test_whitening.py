"""Whitened codes: random pairs are spread around a cosine of 0, with the statistics of the training records."""

import pytest
import torch

from isthmus.errors import BundleError, InputError
from isthmus.fitted import Gallery, Whitening


def narrow(rows=400, width=6):
    """Codes with a large mean and very different spreads, whose cosines are all near 1."""
    drawn = torch.randn(rows, width, generator=torch.Generator().manual_seed(1))
    return 20 + drawn * torch.tensor([3.0, 1.0, 0.5, 0.3, 0.1, 0.1]) @ torch.eye(width).roll(1, 0)


def test_cosines_of_random_pairs_are_spread_around_zero():
    codes = narrow()
    whitening = Whitening.fit(codes)
    before = torch.cosine_similarity(codes[:200], codes[200:])
    after = torch.cosine_similarity(whitening(codes[:200]), whitening(codes[200:]))
    assert before.min() > 0.95
    assert abs(after.mean()) < 0.1
    assert after.std() > 0.3


def test_directions_get_equal_spreads_unless_they_hardly_vary():
    spreads = Whitening.fit(narrow())(narrow()).std(0)
    assert spreads[0] > 0.9
    assert spreads.max() < 1.1
    tiny = torch.cat([narrow(), 1e-4 * torch.randn(400, 1, generator=torch.Generator().manual_seed(2))], 1)
    assert Whitening.fit(tiny)(tiny).std(0)[-1] < 1e-2, "noise is not enlarged"


def test_other_records_are_measured_by_the_statistics_of_the_training_records():
    whitening = Whitening.fit(narrow())
    few = Gallery(narrow()[:3], ["a", "b", "c"], metric="l2")
    other = whitening.gallery(few)
    assert torch.equal(other.codes, whitening(few.codes))
    assert (other.items, other.metric) == (["a", "b", "c"], "cosine")


def test_too_few_or_equal_codes_have_no_statistics():
    assert Whitening.fit(narrow()[:10]) is None
    assert Whitening.fit(torch.ones(100, 4)) is None
    assert Whitening.fit(torch.randn(100, 1)) is not None
    with pytest.raises(InputError, match="width 3"):
        Whitening.fit(narrow())(torch.ones(2, 3))


def test_kept_in_a_bundle():
    made = Whitening.fit(narrow())
    again = Whitening.restore(made.tensors())
    assert torch.equal(again(narrow()), made(narrow()))
    assert Whitening.restore({}) is None
    for damaged in ({"mean": made.mean}, {"mean": made.mean[:2], "matrix": made.matrix}, {"matrix": made.matrix}):
        with pytest.raises(BundleError, match="whitening"):
            Whitening.restore(damaged)

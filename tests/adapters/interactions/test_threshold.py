import numpy as np
import pytest

from isthmus.errors import SettingError
from isthmus_interactions.files.threshold import MOST_LEVELS, default_keep, is_named_rating, parse_keep, widen


def levels_of(values):
    return np.array(list(values), dtype=np.float32)


def test_default_rule_of_a_scale_and_of_amounts(subtests):
    for levels, rule, named in [
        ([1, 2, 3, 4, 5], ">=4", ">=4"),
        (np.arange(1, 11) / 2, ">=3.5", ">=3.5"),
        (range(1, 11), ">=7", ">=7"),
        ([0, 1, 2, 3, 4, 5], ">=4", ">=4"),
        ([-1, 0, 1, 2, 3, 4, 5], ">=4", ">=4"),
        ([1, 3, 4, 5], ">=4", ">=4"),
        (range(0, 101, 10), ">=70", ">=70"),
        (range(101), ">0", ">=61"),
        ([1, 2, 3], ">0", ">=3"),
        ([1, 2, 10], ">0", ">=10"),
        (range(1, 13), ">0", ">=8"),
        ([-1, 0, 1], ">0", ">=1"),
        ([-1, 1], ">0", ">0"),
        ([0, 1], ">0", ">0"),
        ([0, 0.5], ">0", ">0"),
        ([1, 2], ">0", ">0"),
        ([0], "all", "all"),
        ([4], "all", "all"),
        ([], "all", "all"),
    ]:
        with subtests.test(levels=levels, rule=rule, named=named):
            assert default_keep(levels_of(levels), valued=True).rule == rule
            assert default_keep(levels_of(levels), valued=True, rated=True).rule == named


def test_a_scale_whose_lowest_value_is_the_most_frequent_is_one_of_amounts():
    levels = levels_of(range(1, 6))
    for counts, rule in (([9, 5, 3, 1, 1], ">0"), ([2, 3, 9, 8, 9], ">=4"), ([1, 1, 1, 1, 1], ">=4")):
        assert default_keep(levels, valued=True, counts=np.array(counts)).rule == rule
    assert default_keep(levels, valued=True, rated=True, counts=np.array([9, 5, 3, 1, 1])).rule == ">=4"


def test_amounts_and_no_values():
    assert default_keep(None, valued=True).rule == ">0"
    assert "amounts" in default_keep(None, valued=True).why
    assert default_keep(np.empty(0, np.float32), valued=False).rule == "all"


@pytest.mark.parametrize("name", ["rating", "Ratings", "bookRating", "Book-Rating", "stars", "user_score", "RATE"])
def test_names_of_ratings(name):
    assert is_named_rating(name)


@pytest.mark.parametrize("name", ["value", "quantity", "rating_count", "n_ratings", "generating", "plays", ""])
def test_names_that_are_none_of_ratings(name):
    assert not is_named_rating(name)


def test_explicit_rules(subtests):
    for given, rule, kept in [
        ("all", "all", [1, 2, 3]),
        (" ALL ", "all", [1, 2, 3]),
        (">=2", ">=2", [2, 3]),
        (">2", ">2", [3]),
        ("> 1.5", ">1.5", [2, 3]),
        ("2", ">=2", [2, 3]),
        (2, ">=2", [2, 3]),
        (2.5, ">=2.5", [3]),
        ("1e-3", ">=0.001", [1, 2, 3]),
    ]:
        with subtests.test(given=given, rule=rule, kept=kept):
            keep = parse_keep(given)
            values = np.array([1, 2, 3], dtype=np.float32)
            mask = keep.mask(values)
            assert keep.rule == rule
            np.testing.assert_array_equal(values if mask is None else values[mask], kept)
            assert parse_keep(keep.rule).rule == rule


def test_no_rule_stays_none():
    assert parse_keep(None) is None


def test_other_rules_are_refused(subtests):
    for given in ["<3", "some", "", ">=", "4 or 5", float("nan"), float("inf"), True]:
        with subtests.test(given=given), pytest.raises(SettingError, match="keep="):
            parse_keep(given)


def test_a_bound_that_float32_cannot_hold_is_compared_as_float32():
    values = np.array([3.3, 3.4], dtype=np.float32)
    np.testing.assert_array_equal(parse_keep(">=3.3").mask(values), [True, True])
    np.testing.assert_array_equal(parse_keep(">3.3").mask(values), [False, True])


def test_levels_are_collected_piece_by_piece_until_they_are_too_many():
    levels = np.empty(0, np.float32)
    for piece in ([3, 1, 3], [1, 1], [5, 2]):
        levels = widen(levels, np.array(piece, dtype=np.float32))
    np.testing.assert_array_equal(levels, [1, 2, 3, 5])
    most = np.arange(MOST_LEVELS, dtype=np.float32)
    assert len(widen(np.empty(0, np.float32), most)) == MOST_LEVELS
    beyond = widen(most, np.array([999], dtype=np.float32))
    assert beyond is None
    assert widen(beyond, most) is None

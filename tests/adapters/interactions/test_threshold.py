import numpy as np
import pytest

from isthmus.errors import SettingError
from isthmus_interactions.files.threshold import MOST_LEVELS, default_keep, parse_keep, widen


def test_default_rule_of_a_scale(subtests):
    for levels, rule in [
        ([1, 2, 3, 4, 5], ">=4"),
        (np.arange(1, 11) / 2, ">=3.5"),
        (range(1, 11), ">=7"),
        ([0, 1, 2, 3, 4, 5], ">=4"),
        ([1, 3, 4, 5], ">=4"),
        ([1, 2, 3], ">=3"),
        ([1, 2, 3, 4], ">=3"),
        (range(1, 21), ">=13"),
        ([0, 1], ">=1"),
        ([0, 5], ">=5"),
        ([0, 0.5], ">=0.5"),
        ([1, 2], "all"),
        ([4, 5], "all"),
        ([0.5, 1], "all"),
        ([0], "all"),
        ([4], "all"),
        ([], "all"),
    ]:
        with subtests.test(levels=levels, rule=rule):
            assert default_keep(np.array(levels, dtype=np.float32), valued=True).rule == rule


def test_amounts_and_no_values_keep_every_row():
    assert default_keep(None, valued=True).rule == "all"
    assert "amounts" in default_keep(None, valued=True).why
    assert default_keep(np.empty(0, np.float32), valued=False).rule == "all"


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
    beyond = widen(most, np.array([99], dtype=np.float32))
    assert beyond is None
    assert widen(beyond, most) is None

"""Thresholds against closed forms of known distributions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from isthmus.errors import BundleError, InputError, SettingError, ValueRangeError
from isthmus.tasks.threshold import METHODS, Threshold


def normals(rows: int = 20_000) -> Tensor:
    return torch.randn(rows, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_quantile_flags_the_share(share: float) -> None:
    scores = normals(1000)
    flagged = Threshold.fit(scores, "quantile", share).flags(scores)
    assert int(flagged.sum()) == round(1000 * share)
    assert bool((scores[flagged].min() > scores[~flagged].max()).all())


def test_mad_is_the_quantile_of_a_normal_whatever_is_mixed_in() -> None:
    scores = 3 + 2 * normals()
    polluted = torch.cat([scores, torch.full((200,), 1e6, dtype=torch.float64)])
    wanted = 3 + 2 * 2.3263
    assert Threshold.fit(scores, "mad", 0.01).value == pytest.approx(wanted, rel=0.03)
    assert Threshold.fit(polluted, "mad", 0.01).value == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize("shape", [-0.2, 0.0, 0.2])
def test_extreme_finds_rare_quantiles_of_a_pareto_tail(shape: float) -> None:
    uniform = torch.rand(50_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    scores = -uniform.log() if shape == 0 else (uniform**-shape - 1) / shape
    rare = 1e-4
    wanted = -math.log(rare) if shape == 0 else (rare**-shape - 1) / shape
    assert Threshold.fit(scores, "extreme", rare).value == pytest.approx(wanted, rel=0.12)


def test_extreme_goes_beyond_what_was_seen_and_rises_as_the_share_falls() -> None:
    scores = normals(100)
    values = [Threshold.fit(scores, "extreme", share).value for share in (0.1, 0.05, 0.01, 1e-3, 1e-6)]
    assert values == sorted(values)
    assert values[-1] > float(scores.max())


def test_equal_scores_have_a_threshold() -> None:
    for method in METHODS:
        threshold = Threshold.fit(torch.ones(20), method, 0.05)
        assert threshold.flags(torch.tensor([1.0, 1.1])).tolist() == [False, True]


def test_json_and_back() -> None:
    threshold = Threshold.fit(normals(50), "mad", 0.1)
    assert Threshold.from_json(threshold.to_json()) == threshold


@pytest.mark.parametrize(
    "saved",
    [
        {},
        {"value": "high", "method": "mad", "share": 0.1},
        {"value": 1.0, "method": "guess", "share": 0.1},
        {"value": math.nan, "method": "mad", "share": 0.1},
        {"value": 1.0, "method": "mad", "share": 0.1, "more": 1},
    ],
)
def test_something_else_is_no_threshold(saved: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="threshold"):
        Threshold.from_json(saved)


def test_nonsense_is_refused() -> None:
    with pytest.raises(SettingError, match="guess"):
        Threshold.fit(normals(20), "guess")
    for share in (0.0, 1.0, math.nan):
        with pytest.raises(SettingError, match="contamination"):
            Threshold.fit(normals(20), contamination=share)
    with pytest.raises(SettingError, match=r"below 0\.1"):
        Threshold.fit(normals(20), "extreme", 0.2)
    with pytest.raises(InputError, match="at least 10"):
        Threshold.fit(normals(9), "extreme", 0.01)
    with pytest.raises(InputError, match="at least 1"):
        Threshold.fit(normals(0))
    with pytest.raises(ValueRangeError):
        Threshold.fit(torch.tensor([1.0, math.inf]))


@pytest.mark.slow
def test_more_scores_than_a_float_can_count() -> None:
    scores = torch.arange(2**24 + 100, dtype=torch.float32) / 2**24
    for method in ("quantile", "mad", "extreme"):
        assert math.isfinite(Threshold.fit(scores, method, 0.05).value)
    assert Threshold.fit(scores, contamination=0.25).value == pytest.approx(0.75, abs=1e-4)

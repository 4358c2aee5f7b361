"""Trainings that are killed at random moments and resumed end bit for bit as if they had been left alone."""

from __future__ import annotations

import sys

import pytest

from benchmarks.processes import alone
from benchmarks.training.kills import campaign

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks and kills")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mult-vae", "elsa", "text", "vectors"])
def test_killed_and_resumed(model: str):
    found = alone(campaign, model, 20, 1)
    assert found["wrong"] == []
    assert found["killed"] > 10

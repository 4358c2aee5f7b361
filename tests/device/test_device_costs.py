"""Training on an accelerator, counted on a pretend one: the host hardly ever waits, and launches few operations.

An accelerator works through what it was given while its host prepares the next steps, until the host asks for a number:
once in 50 steps, and at the end of an epoch for all means together. Each launch costs the host a few microseconds; more
of them than now would be a step back.
"""

from typing import Any

import pytest
from device_cases.autoencoders import ALL
from device_cases.server import Server

BUILDERS = (
    *(("recommender", name) for name in ("contractive", "denoising", "elsa", "mult-dae", "mult-vae", "rec-vae")),
    *(("recommender", name) for name in ("sampled", "sparse", "vanilla", "variational")),
    *ALL,
)
QUICK = (("text", "transformer"),)


@pytest.mark.parametrize(
    ("domain", "builder"), [pytest.param(*one, marks=() if one in QUICK else pytest.mark.slow) for one in BUILDERS]
)
def test_the_host_waits_once_in_an_epoch_of_few_steps(pretend: Server, domain: str, builder: str) -> None:
    waits = pretend("costs", "waits_of_an_epoch", domain, builder)
    # A round of rec-vae is four epochs.
    assert sum(waits.values()) <= (4 if builder == "rec-vae" else 1), waits


STEPS: tuple[tuple[str, str, dict[str, Any], int], ...] = (
    ("mult_vae", "fp32", {}, 120),
    ("mult_vae", "bf16", {}, 156),
    ("mult_vae", "fp32", {"negatives": 10}, 340),
    ("mult_dae", "fp32", {}, 92),
    ("elsa", "fp32", {}, 154),
)


@pytest.mark.parametrize(
    ("builder", "precision", "settings", "most"),
    [pytest.param(*one, marks=() if one == STEPS[0] else pytest.mark.slow) for one in STEPS],
)
def test_a_step_launches_few_operations(
    pretend: Server, builder: str, precision: str, settings: dict[str, Any], most: int
) -> None:
    """As many for 20,000 items and batches of 500 rows, whose softmax fits one chunk of columns on a device."""
    found = pretend("costs", "of_a_step", builder, precision, settings)
    assert sum(found["waits"].values()) <= 1, found["waits"]
    assert found["launches"] <= most


@pytest.mark.slow
def test_the_host_waits_once_in_fifty_steps(pretend: Server) -> None:
    found = pretend("costs", "of_a_step", "mult_vae", "fp32", {}, 1200)
    assert 2 <= sum(found["waits"].values()) <= 1 + 120 // 50, found["waits"]


def test_nobody_waits_for_the_bounds_of_chunks(pretend: Server) -> None:
    found = pretend("costs", "of_a_softmax_in_chunks")
    assert found["waits"] == {}
    assert found["same"] == [True] * 4


def test_nobody_waits_to_know_how_many_items_occur(pretend: Server) -> None:
    found = pretend("costs", "distinct_items")
    assert found == {"waits": {}, "here": [0, 3, 5, 9], "there": [0, 3, 5, 9, 9, 9], "same places": True}


def test_the_best_weights_stay_on_the_device_until_a_checkpoint_needs_them(pretend: Server) -> None:
    found = pretend("costs", "best_weights")
    assert found["memory"]["times"] == 0
    assert 1 <= found["checkpoints"]["times"] <= 2
    assert found["checkpoints"]["stored"] >= 1
    assert {one["best"] for one in found.values()} == {found["cpu"]["best"]}
    for name in ("memory", "checkpoints"):
        assert found[name]["scores"] == [pytest.approx(row, rel=1e-3, abs=1e-4) for row in found["cpu"]["scores"]]

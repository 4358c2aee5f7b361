"""Devices with too little memory, devices without float64, and trainings that ask for results without chance."""

import pytest
from device_cases.comparing import EQUAL
from device_cases.server import Server

slow = pytest.mark.slow


@pytest.mark.parametrize(
    "builder", ["ease", *(pytest.param(name, marks=slow) for name in ("blend", "item-knn", "sparse-linear"))]
)
def test_a_model_without_room_on_the_device_stays_on_the_cpu_and_it_is_said(pretend: Server, builder: str) -> None:
    found = pretend("limits", "crowded", builder)
    assert found["said"] >= 1
    assert (found["device"], found["equal"]) == ("cpu", True)


def test_what_is_loaded_or_extended_has_to_fit_too(pretend: Server) -> None:
    found = pretend("limits", "crowded_later")
    assert (found["with new items"], found["as it was"]) == ("cpu", "pretend")
    assert found["by name"].startswith("a model of 0.00 GB for device pretend, which has 0.00 GB free")


def test_blocks_of_scores_suit_the_device(pretend: Server) -> None:
    here, there = pretend("limits", "blocks")
    assert here < there


@pytest.mark.parametrize(
    ("domain", "builder"),
    [
        ("interactions", "mult-vae"),
        *(pytest.param("interactions", name, marks=slow) for name in ("blend", "elsa", "rec-vae", "sampled")),
        *(pytest.param("images", name, marks=slow) for name in ("vanilla", "residual-denoiser")),
        *(pytest.param("text", name, marks=slow) for name in ("sequence-vae", "transformer", "readable-embeddings")),
    ],
)
def test_training_without_chance(pretend: Server, domain: str, builder: str) -> None:
    assert pretend("limits", "fixed", domain, builder) == {"outcome": "trained", "restored": True}


def test_an_operation_without_a_fixed_order_is_refused(pretend: Server) -> None:
    found = pretend("limits", "refused")
    assert found["restored"]
    assert found["outcome"].startswith("deterministic=True, and aten.cumsum.default has no deterministic form")


@pytest.mark.parametrize(
    "builder",
    [pytest.param(name, marks=slow) for name in ("blend", "elsa", "mult-dae", "rec-vae")],
)
def test_recommenders_on_a_device_like_mps(pretend_mps: Server, builder: str) -> None:
    found = pretend_mps("recommenders", "check", builder)
    assert {verb: answer for verb, answer in found.items() if answer != EQUAL} == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("domain", "builder"),
    [
        ("vectors", "vanilla"),
        *(pytest.param("images", name, marks=slow) for name in ("pseudo-inputs", "residual-denoiser")),
        *(pytest.param("text", name, marks=slow) for name in ("denoising-text", "sequence-vae", "transformer")),
    ],
)
def test_autoencoders_on_a_device_like_mps(pretend_mps: Server, domain: str, builder: str) -> None:
    found = pretend_mps("autoencoders", "check", domain, builder)
    if domain == "text":
        # Tokens are drawn with numbers of half the digits, so that others come out.
        found = {verb: answer for verb, answer in found.items() if not verb.startswith("sample")}
    assert {verb: answer for verb, answer in found.items() if answer != EQUAL} == {}


@pytest.mark.parametrize("builder", ["als", "sampled"])
def test_models_that_need_more_than_mps_has_are_refused(pretend_mps: Server, builder: str) -> None:
    assert "on device pretend, which has no" in pretend_mps("limits", "unable", builder)

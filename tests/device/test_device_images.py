"""Every autoencoder of images and every verb on a pretend accelerator: no device is mixed with another, and answers equal
those of the CPU."""

import pytest
from device_cases.comparing import EQUAL
from device_cases.server import Server

QUICK = ("pseudo-inputs", "residual-denoiser")
ALL = (
    "vanilla", "denoising", "sparse", "contractive", "variational", "mixture", "pseudo-inputs", "residual-denoiser",
)  # fmt: skip


@pytest.mark.parametrize(
    "builder", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in ALL]
)
def test_answers_are_those_of_the_cpu(pretend: Server, builder: str) -> None:
    found = pretend("autoencoders", "check", "images", builder)
    assert len(found) >= 4
    assert {verb: answer for verb, answer in found.items() if answer != EQUAL} == {}

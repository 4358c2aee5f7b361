"""Every autoencoder of text and every verb on a pretend accelerator: no device is mixed with another, and answers equal
those of the CPU."""

import pytest
from device_cases.comparing import EQUAL
from device_cases.server import Server

QUICK = ("variational", "sequence-vae", "readable-embeddings")
ALL = (
    "vanilla", "denoising", "sparse", "contractive", "variational", "mixture", "sequence-vae", "transformer",
    "denoising-text", "readable-embeddings",
)  # fmt: skip


@pytest.mark.parametrize(
    "builder", [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in ALL]
)
def test_answers_are_those_of_the_cpu(pretend: Server, builder: str) -> None:
    found = pretend("autoencoders", "check", "text", builder)
    assert len(found) >= 4
    assert {verb: answer for verb, answer in found.items() if answer != EQUAL} == {}

"""Every autoencoder of texts, images and vectors and every verb on a pretend accelerator: no device is mixed with
another, and answers equal those of the CPU."""

import pytest
from device_cases.autoencoders import ALL
from device_cases.comparing import EQUAL
from device_cases.server import Server

QUICK = (("images", "pseudo-inputs"),)


@pytest.mark.parametrize(
    ("domain", "builder"), [pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow) for case in ALL]
)
def test_answers_are_those_of_the_cpu(pretend: Server, domain: str, builder: str) -> None:
    found = pretend("autoencoders", "check", domain, builder)
    assert len(found) >= 4
    assert {verb: answer for verb, answer in found.items() if answer != EQUAL} == {}

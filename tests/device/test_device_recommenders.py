"""Every recommender and every verb on a pretend accelerator: no device is mixed with another, and answers equal those
of the CPU."""

import pytest
from device_cases import recommenders
from device_cases.comparing import EQUAL
from device_cases.server import Server

QUICK = ("mult-vae",)


@pytest.mark.parametrize(
    "builder",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in sorted(recommenders.SETTINGS)],
)
def test_answers_are_those_of_the_cpu(pretend: Server, builder: str) -> None:
    found = pretend("recommenders", "check", builder)
    assert len(found) >= 12
    assert {verb: answer for verb, answer in found.items() if answer != EQUAL} == {}

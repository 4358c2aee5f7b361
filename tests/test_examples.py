"""The examples run, and what they print is sensible."""

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def printed(name, capsys):
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    return capsys.readouterr().out


@pytest.mark.slow
def test_your_own_autoencoder_denoises(capsys):
    out = printed("your_own_autoencoder", capsys)
    noisy, cleaned = map(float, re.search(r"noisy points ([\d.]+), denoised ([\d.]+)", out).groups())
    assert cleaned < 0.7 * noisy


def test_every_example_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {"your_own_autoencoder"}

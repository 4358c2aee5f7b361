"""The examples run, and what they print is sensible."""

import re
import runpy
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"


def printed(name, capsys):
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    return capsys.readouterr().out


def test_recommend_books(capsys):
    out = printed("recommend_books", capsys)
    assert float(re.search(r"'ndcg@100': ([\d.]+)", out).group(1)) > 0.4
    assert "Tolkien" in out


def test_your_own_autoencoder_denoises(capsys):
    out = printed("your_own_autoencoder", capsys)
    noisy, cleaned = map(float, re.search(r"noisy points ([\d.]+), denoised ([\d.]+)", out).groups())
    assert cleaned < 0.7 * noisy


def test_every_example_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {"recommend_books", "your_own_autoencoder"}

"""docs/commands/vectors.md: its commands run, print documents of the form shown, and no option is missing."""

from __future__ import annotations

import inspect
import json
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pages import examples, shape, undescribed

from isthmus.cli import main
from isthmus_vectors.plugin import plugin

PAGE = Path(__file__).parents[3] / "docs" / "commands" / "vectors.md"
HEADINGS = {"fit": "fit vectors", "demo": "demo vectors"}


@pytest.mark.slow
def test_examples_run_and_print_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal(size=(120, 4)) * [1, 10, 1, 100]
    pd.DataFrame(rows, columns=["a", "b", "c", "d"]).to_csv("measurements.csv", index=False)
    Path("texts.txt").write_text("\n".join("a high one" if row > 0 else "a low one" for row in rows[:, 0]) + "\n")
    printed, checked = "", 0
    for kind, text in examples(PAGE.read_text(encoding="utf-8")):
        if kind == "json":
            assert shape(json.loads(printed)) == shape(json.loads(text)), printed
            checked += 1
        else:
            name, *args = shlex.split(text)
            assert name == "isthmus"
            assert main(args) == 0, text
            printed = capsys.readouterr().out
    assert checked >= 8


def test_every_option_is_described() -> None:
    for verb in sorted(plugin.commands):
        assert not undescribed(PAGE.read_text(encoding="utf-8"), HEADINGS.get(verb, verb), plugin.commands[verb])
        assert inspect.getdoc(plugin.commands[verb])

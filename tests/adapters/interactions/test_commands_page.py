"""docs/commands/recommend.md, general.md: the commands run, print what is shown, and no option is missing."""

from __future__ import annotations

import inspect
import json
import shlex
from pathlib import Path

import pytest
from pages import examples, shape, undescribed
from planted import one_thread, planted

from isthmus.cli import main
from isthmus_interactions import Interactions
from isthmus_interactions.plugin import plugin

PAGES = Path(__file__).parents[3] / "docs" / "commands"
TEXT = "".join((PAGES / name).read_text(encoding="utf-8") for name in ("recommend.md", "general.md"))


def written(data: Interactions, path: Path, first_user: int) -> None:
    rows, columns = data.matrix.nonzero()
    lines = [f"{first_user + row},{10 * column},{4 + column % 2}" for row, column in zip(rows, columns, strict=True)]
    lines += [f"{first_user + row},0,{1 + row % 3}" for row in range(3)]
    path.write_text("\n".join(["userId,movieId,rating", *lines]))


def test_examples_run_and_print_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    written(planted(), tmp_path / "ratings.csv", 1000)
    written(planted(20, seed=8), tmp_path / "strangers.csv", 5000)
    written(planted(200, seed=9), tmp_path / "many.csv", 7000)
    printed, checked = "", 0
    for kind, text in examples(TEXT):
        if kind == "json":
            given, told = json.loads(printed), json.loads(text)
            given = {key: value[:1] if isinstance(value, list) else value for key, value in given.items()}
            assert shape(given) == shape(told), printed
            checked += 1
        elif text.strip() != "isthmus demo":  # which has a test of its own
            name, *args = shlex.split(text)
            assert name == "isthmus"
            with one_thread():
                assert main(args) == 0, text
            printed = capsys.readouterr().out
            json.loads(printed)
    assert checked >= 8


def test_every_option_is_described(subtests: pytest.Subtests) -> None:
    for verb in sorted(plugin.commands):
        with subtests.test(verb=verb):
            assert not undescribed(TEXT, verb, plugin.commands[verb])
            assert inspect.getdoc(plugin.commands[verb])

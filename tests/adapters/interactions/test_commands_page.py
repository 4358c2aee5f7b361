"""docs/commands.md tells the truth: its commands run, print documents of the form shown, and no option is missing."""

from __future__ import annotations

import inspect
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from planted import one_thread, planted

from isthmus.cli import main
from isthmus_interactions import Interactions
from isthmus_interactions.plugin import plugin

PAGE = Path(__file__).parents[3] / "docs" / "commands.md"
BLOCK = re.compile(r"^```(json)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def written(data: Interactions, path: Path, first_user: int) -> None:
    rows, columns = data.matrix.nonzero()
    lines = [f"{first_user + row},{10 * column},{4 + column % 2}" for row, column in zip(rows, columns, strict=True)]
    lines += [f"{first_user + row},0,{1 + row % 3}" for row in range(3)]
    path.write_text("\n".join(["userId,movieId,rating", *lines]))


def shape(value: Any) -> Any:
    """Keys and kinds of a document; a list is known by its first entry."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def test_examples_run_and_print_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    written(planted(), tmp_path / "ratings.csv", 1000)
    written(planted(20, seed=8), tmp_path / "strangers.csv", 5000)
    printed, checked = "", 0
    for kind, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
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


@pytest.mark.parametrize("verb", sorted(plugin.commands))
def test_every_option_is_described(verb: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    section = re.search(rf"^## isthmus {verb}\b.*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section is not None
    command = typer.main.get_command(_app(plugin.commands[verb]))
    options = {name for parameter in command.params for name in parameter.opts if name.startswith("-")}
    missing = {name for name in options - {"--json", "--help"} if f"{name}" not in section.group()}
    assert not missing
    assert inspect.getdoc(plugin.commands[verb])


def _app(function: Any) -> typer.Typer:
    app = typer.Typer(add_completion=False)
    app.command()(function)
    return app

"""docs/commands/text.md: its commands run, print documents of the form shown, and no option is missing."""

from __future__ import annotations

import inspect
import json
import shlex
from pathlib import Path

import pytest
from pages import examples, shape, undescribed

from isthmus.cli import main
from isthmus_text.plugin import plugin

PAGE = Path(__file__).parents[3] / "docs" / "commands" / "text.md"
HEADINGS = {"fit": "fit text", "demo": "demo text"}


@pytest.mark.slow
def test_examples_run_and_print_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ["a cat sees fish", "the dog eats bread", "my bird has water", "a cat eats bread", "the dog has two eggs"]
    Path("sentences.txt").write_text("\n".join(lines * 30) + "\n")
    printed, checked = "", 0
    for kind, text in examples(PAGE.read_text(encoding="utf-8")):
        if kind == "json":
            given = {key: value[:1] if isinstance(value, list) else value for key, value in json.loads(printed).items()}
            assert shape(given) == shape(json.loads(text)), printed
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

"""docs/commands/images.md: its commands run, print documents of the form shown, and no option is missing."""

from __future__ import annotations

import inspect
import json
import shlex
from pathlib import Path

import pytest
from pages import examples, shape, undescribed
from pictured import bars
from PIL import Image

from isthmus import plugins
from isthmus.cli import main
from isthmus_images.plugin import plugin

PAGE = Path(__file__).parents[3] / "docs" / "commands" / "images.md"
GUIDE = PAGE.parents[1] / "guides" / "images.md"
HEADINGS = {"fit": "fit images", "demo": "demo images"}


@pytest.mark.slow
def test_examples_run_and_print_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for row, picture in enumerate(bars(60)):
        folder = tmp_path / "pictures" / ("lies", "stands")[row % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{row:02d}.png")
    (tmp_path / "holiday").mkdir()
    for photograph in ("photo.jpg", "photo.png", "holiday/beach.jpg"):
        Image.linear_gradient("L").resize((40, 30)).save(tmp_path / photograph)
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
    assert checked >= 9
    assert (tmp_path / "clean.jpg").is_file()
    assert (tmp_path / "holiday-clean" / "beach.jpg").is_file()


def test_every_option_and_model_is_described() -> None:
    page, guide = PAGE.read_text(encoding="utf-8"), GUIDE.read_text(encoding="utf-8")
    options = {verb: undescribed(page, HEADINGS.get(verb, verb), command) for verb, command in plugin.commands.items()}
    assert {verb: missing for verb, missing in options.items() if missing} == {}
    assert [verb for verb, command in plugin.commands.items() if not inspect.getdoc(command)] == []
    assert [name for name in plugin.builders if f"| `{plugins.command_name(name)}` |" not in guide] == []

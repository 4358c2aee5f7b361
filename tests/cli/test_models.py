"""``isthmus models``: what each model is, its paper, and when to use it, all from the builders' docstrings."""

from __future__ import annotations

import json
import re

import pytest

from isthmus import plugins
from isthmus.cli import builtin, main
from isthmus_interactions.plugin import plugin


def told(name: str) -> dict[str, str | None]:
    return builtin._described(plugin.builders[name])


def test_every_builder_has_one_line_of_advice() -> None:
    for name in sorted(plugin.builders):
        advice = told(name)["advice"]
        assert advice is not None, "add a paragraph 'Advice: ...' to the docstring"
        assert 20 < len(advice) < 140
        assert advice.endswith(".")


def test_what_a_model_is_fits_a_line() -> None:
    for name in sorted(plugin.builders):
        about = told(name)["about"]
        assert about is not None
        assert 10 < len(about) < 110


def test_papers_are_told_apart_from_what_a_model_is() -> None:
    assert told("ease") == {
        "about": "EASE: a linear autoencoder with a zero diagonal, solved in closed form",
        "paper": "Steck, WWW 2019",
        "advice": told("ease")["advice"],
    }
    for name in ("edlae", "mult_dae", "mult_vae", "rdlae", "rec_vae"):
        assert re.fullmatch(r"[A-Z].* 20\d\d", told(name)["paper"] or ""), name


def test_a_builder_without_paper_or_advice() -> None:
    def bare() -> None:
        """Counts things (twice)."""

    assert builtin._described(bare) == {"about": "Counts things (twice).", "paper": None, "advice": None}


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    page = capsys.readouterr().out
    assert "when to use it" in page
    assert main(["models", "--json"]) == 0
    told_of = json.loads(capsys.readouterr().out)["models"]
    listed = {model["name"]: model for model in told_of if model["plugin"] == "interactions"}
    for name in plugin.builders:
        model = listed[plugins.command_name(name)]
        assert model == {"name": plugins.command_name(name), "plugin": "interactions", **told(name)}
        assert (model["advice"] or "") in page

"""``isthmus.models.describe``: what a model is and what its settings mean, from docstrings."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError

import pytest

from isthmus import plugins
from isthmus.errors import SettingError
from isthmus.models import Setting, describe, keywords_of
from isthmus.models.recipes.description import described_all
from isthmus.models.recipes.docstrings import Summary, entries, plain, summary

ARGS = """Does something.

    Args:
        first: one line: with a colon.
        second (int): two lines of
            text, see ``that.module``; note: no entry.
        low, high: both of them.
        **shared: the rest.
        empty:

    Returns:
        nothing: at all.
    """


def test_entries_of_a_section() -> None:
    assert entries(ARGS, "Args") == {
        "first": "one line: with a colon.",
        "second": "two lines of text, see that.module; note: no entry.",
        "low": "both of them.",
        "high": "both of them.",
        "shared": "the rest.",
        "empty": "",
    }
    assert entries(ARGS, "Attributes") == {}
    assert entries("", "Args") == {}


def test_markup_is_taken_away() -> None:
    assert plain("see ``a_b``,\n  :class:`Plan` and `x`") == "see a_b, Plan and x"


def test_summaries() -> None:
    assert summary("Counts things (twice).") == Summary("Counts things (twice).")
    told = summary("KNN: neighbours (Sarwar et al., WWW 2001); more.\n\nAdvice: with\n``k`` of 100.\n\nThe rest.")
    assert told == Summary("KNN: neighbours", "Sarwar et al., WWW 2001", "with k of 100.")


def test_every_setting_of_every_model_has_a_meaning() -> None:
    missing = [
        f"{model.name}: {setting.name}"
        for model in described_all()
        for setting in model.settings
        if len(setting.meaning) < 8 or not re.search(r"[.)]$", setting.meaning)
    ]
    assert not missing, "write what they mean into the Args: of the builder"


def test_every_model_tells_what_it_is_and_when_to_use_it() -> None:
    for model in described_all():
        assert 10 < len(model.about) < 130, model.name
        assert model.advice, model.name
        assert model.advice.endswith("."), model.name
        assert "`" not in "".join([model.about, model.advice, *(setting.meaning for setting in model.settings)])


def test_papers_are_told_apart_from_what_a_model_is() -> None:
    for name in ("ease", "edlae", "mult-dae", "mult-vae", "rdlae", "rec-vae"):
        assert re.fullmatch(r"[A-Z].* 20\d\d", describe(name).paper or ""), name


def test_shared_models_are_described_once() -> None:
    names = [model.name for model in described_all()]
    assert names.count("vanilla") == 1
    assert describe("vanilla").adapters == ("images", "interactions", "text", "vectors")


def test_settings_are_the_builders_keywords_with_their_defaults() -> None:
    for name in ("mult-vae", "sequence_vae", "sparse"):
        _, builder = plugins.find_builder(name)
        told = {setting.name: setting.default for setting in describe(name).settings}
        assert told == {key: keyword.default for key, keyword in keywords_of(builder).items()}


def test_a_builder_may_say_more_of_a_shared_setting() -> None:
    def meaning(model: str, name: str) -> str:
        return next(setting.meaning for setting in describe(model).settings if setting.name == name)

    assert 'learned-scale" for vectors' in meaning("variational", "likelihood")
    assert meaning("variational", "heads") == meaning("vanilla", "heads") != ""


def test_published_values_stand_by_themselves() -> None:
    settings = {setting.name: setting for setting in describe("rec-vae").settings}
    assert settings["hidden"] == Setting("hidden", 600, "width of the encoder's layers.", "600")
    assert settings["gamma"].published == "0.005 for MovieLens-20M, 0.0035 for Netflix, 0.01 for the Million Song data"
    assert settings["patience"].published is None


def test_descriptions_are_frozen_and_can_be_read() -> None:
    model = describe("mult-vae")
    with pytest.raises(FrozenInstanceError):
        model.name = "other"  # type: ignore[misc]
    assert len(repr(model).splitlines()) == 3
    assert "hidden=600" in repr(model)
    page = str(model)
    assert max(map(len, page.splitlines())) <= 80
    assert all(f"\n{setting.name} = {setting.default!r}\n" in page for setting in model.settings)
    assert model.paper is not None
    assert model.paper in page


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(SettingError, match="did you mean 'mult-vae'"):
        describe("multvae")
    with pytest.raises(SettingError, match="ease"):
        describe("ease", plugin="vectors")

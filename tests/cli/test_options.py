"""One spelling of every option, one default for the command line and Python."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from isthmus import plugins
from isthmus.cli import app, index
from isthmus.index import Index
from isthmus.protocols import Plugin
from isthmus.tasks.generate import generate
from isthmus_images.autoencoder import ImageAutoencoder
from isthmus_interactions.recommender import Recommender
from isthmus_interactions.tuning.tune import tune
from isthmus_text.autoencoder import TextAutoencoder
from isthmus_vectors.autoencoder import VectorAutoencoder
from isthmus_vectors.storage import LAYOUT

FACES: dict[str, Any] = {
    "images": ImageAutoencoder,
    "interactions": Recommender,
    "text": TextAutoencoder,
    "vectors": VectorAutoencoder,
}
NAMES = {"similar": "similar_items", "anomalies": "anomaly_scores"}
"""Verbs whose method has another name."""

OWN_MEANING = {"--out", "--metric", "--item", "--column", "--epochs", "--validation", "--model", "--setting"}
OWN_MEANING |= {"--time-limit", "--k", "--users", "--engine", "--workers"}
"""What these name differs from verb to verb, and so does the sentence."""

LEFT_TO_PYTHON = {("sample", "strategy"), ("search", "metric"), ("fit", "weights"), ("tune", "weights")}
"""Where the command line has None, or where Python says it elsewhere; tested below."""


def commands() -> Iterator[tuple[str, str, Any]]:
    """Plugin, verb and command, of all that are installed with isthmus; demos aside."""
    functions = {("isthmus", name): function for name, function in app.OWN.items()}
    functions |= {("index", name): function for name, function in index.COMMANDS.items()}
    for plugin in plugins.FIRST_PARTY:
        loaded: Plugin = plugins.load(plugin)
        functions |= {(plugin, name): function for name, function in loaded.commands.items() if name != "demo"}
    for (plugin, name), function in functions.items():
        frame = typer.Typer(add_completion=False)
        frame.command()(function)
        yield plugin, name, typer.main.get_command(frame)


def method(plugin: str, verb: str) -> Any:
    """What Python calls the verb, if it has it."""
    if (plugin, verb) == ("interactions", "tune"):
        return tune
    return getattr(Index if plugin == "index" else FACES.get(plugin), NAMES.get(verb, verb), None)


def plain(value: Any) -> Any:
    """Paths as texts; nothing repeated, and a flag that is not set, as nothing given."""
    return None if value in ((), [], False) else str(value) if isinstance(value, Path) else value


def test_every_verb_has_the_defaults_of_python() -> None:
    compared = 0
    for plugin, verb, command in commands():
        called = method(plugin, verb)
        known = inspect.signature(called).parameters if called is not None else {}
        for option in command.params:
            there = known.get(option.name)
            if there is None or there.default is inspect.Parameter.empty or (verb, option.name) in LEFT_TO_PYTHON:
                continue
            assert plain(option.default) == plain(there.default), f"{option.name} of {plugin} {verb}"
            compared += 1
    assert compared > 40


def test_defaults_that_python_has_elsewhere() -> None:
    found = {(plugin, verb): {one.name: one for one in command.params} for plugin, verb, command in commands()}
    sample = found["text", "sample"]
    assert sample["strategy"].default == TextAutoencoder.sample_options["strategy"]
    assert sample["temperature"].default == inspect.signature(generate).parameters["temperature"].default
    assert found["vectors", "search"]["metric"].default == LAYOUT.gallery.metric


def test_an_option_is_spelt_and_explained_alike_everywhere() -> None:
    told: dict[str, set[str]] = defaultdict(set)
    for plugin, verb, command in commands():
        for option in command.params:
            if option.param_type_name != "option":
                continue
            name = max(option.opts, key=len)
            told[name].add(option.help)
            assert ("-k" in option.opts) == (name == "--k"), (plugin, verb)
            assert ("-n" in option.opts) == (name == "--n"), (plugin, verb)
    differing = {name: helps for name, helps in told.items() if len(helps) > 1 and name not in OWN_MEANING}
    assert not differing


@pytest.mark.parametrize("option", ["--json", "--out", "--seed", "--k", "--n"])
def test_the_common_options_are_there(option: str) -> None:
    assert any(option in one.opts for _, _, command in commands() for one in command.params)

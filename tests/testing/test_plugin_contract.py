"""The plugin contract catches plugins that break it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from torch import Generator

from isthmus.protocols import Plugin
from isthmus.testing.plugin import PluginContract


def word_vae(signal: Any, *, generator: Generator, code: int = 2, layers: list[int] | None = None) -> Any:
    """A model of words (Nobody 1999)."""


def no_default(signal: Any, *, generator: Generator, code: int) -> Any:
    """A model of words (Nobody 1999)."""


def no_json(signal: Any, *, generator: Generator, codes: tuple[int, ...] = (1, 2)) -> Any:
    """A model of words (Nobody 1999)."""


def no_generator(signal: Any, code: int = 2) -> Any:
    """A model of words (Nobody 1999)."""


def no_words(signal: Any, *, generator: Generator) -> Any:
    pass


def count(directory: str, as_json: bool = False) -> None:
    """Count."""


def no_json_flag(directory: str) -> None:
    """Count."""


def no_types(directory, as_json: bool = False) -> None:  # type: ignore[no-untyped-def]
    """Count."""


def no_help(directory: str, as_json: bool = False) -> None:
    pass


class Words:
    def save(self, path: str) -> None: ...

    @classmethod
    def load(cls, path: str) -> Words:
        return cls()


class WordList(Words): ...


class Unloadable:
    def save(self, path: str) -> None: ...

    def load(self, path: str) -> None: ...


class Unsaved(Words):
    save = "nothing that can be called"  # type: ignore[assignment]


BOTH = {"Words": Words, "WordList": WordList}
GOOD = Plugin(
    type("Adapter", (), {}), {"word_vae": word_vae}, {"count": count, "count-all": count}, BOTH, lambda *_: "Words"
)


class TestGood(PluginContract):
    plugin = GOOD


@pytest.mark.parametrize(
    ("change", "test"),
    [
        ({"builders": {"Word_VAE": word_vae}}, "test_names_are_valid"),
        ({"builders": {"word-vae": word_vae}}, "test_names_are_valid"),
        ({"commands": {"count_all": count}}, "test_names_are_valid"),
        ({"commands": {"info": count}}, "test_names_are_valid"),
        ({"builders": {"x": no_default}}, "test_builder_settings_are_json"),
        ({"builders": {"x": no_json}}, "test_builder_settings_are_json"),
        ({"builders": {"x": no_generator}}, "test_builders_take_signal_and_generator"),
        ({"builders": {"x": no_words}}, "test_builders_say_what_they_are"),
        ({"commands": {"x": no_json_flag}}, "test_commands_are_annotated"),
        ({"commands": {"x": no_types}}, "test_commands_are_annotated"),
        ({"commands": {"x": no_help}}, "test_commands_are_annotated"),
        ({"faces": {"Text": Words}}, "test_faces_are_called_what_they_are"),
        ({"faces": {"Unloadable": Unloadable}}, "test_faces_are_called_what_they_are"),
        ({"faces": {"Unsaved": Unsaved}}, "test_faces_are_called_what_they_are"),
        ({"face_for": None}, "test_every_bundle_has_a_face"),
        ({"face_for": lambda *_: "Text"}, "test_every_bundle_has_a_face"),
    ],
)
def test_breaches_are_found(change: dict[str, Any], test: str) -> None:
    contract = type("Broken", (PluginContract,), {"plugin": replace(GOOD, **change)})()
    with pytest.raises(AssertionError):
        getattr(contract, test)()

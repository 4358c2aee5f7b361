"""Contract tests for plugins.

class TestAudioPlugin(PluginContract):
    plugin = audio
"""

from __future__ import annotations

import inspect
import json
from abc import ABC
from typing import ClassVar

from isthmus.bundle.manifest import is_identifier
from isthmus.models.recipes.settings import keywords_of
from isthmus.protocols import Plugin


class PluginContract(ABC):
    """Tests for one plugin.

    Attributes:
        plugin: the plugin object behind the entry point.
    """

    plugin: ClassVar[Plugin]

    def test_names_are_valid(self) -> None:
        """Builders have Python names in lower case, so that hyphens for underscores lose nothing; verbs are words."""
        for name in self.plugin.builders:
            assert name.isidentifier(), name
            assert name == name.lower(), name
            assert is_identifier(name), name
        for verb in self.plugin.commands:
            assert is_identifier(verb), verb
            assert "_" not in verb, verb
            assert verb not in OWN_VERBS, f"{verb} is isthmus's own"

    def test_builder_settings_are_json(self) -> None:
        """Every keyword of a builder has a default that survives JSON: names and keywords are what is saved."""
        for name, builder in self.plugin.builders.items():
            for setting, keyword in keywords_of(builder).items():
                assert keyword.default is not inspect.Parameter.empty, f"{name}: {setting} has no default"
                assert json.loads(json.dumps(keyword.default)) == keyword.default, f"{name}: {setting} is not JSON"

    def test_builders_take_signal_and_generator(self) -> None:
        """A builder is called as ``builder(signal, generator=..., **settings)``."""
        for name, builder in self.plugin.builders.items():
            parameters = list(inspect.signature(builder).parameters.values())
            assert parameters[0].kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            assert parameters[0].default is inspect.Parameter.empty, f"{name}: the signal comes first"
            assert "generator" in inspect.signature(builder).parameters, f"{name} takes no generator"

    def test_builders_say_what_they_are(self) -> None:
        """The first line of a builder's docstring is what ``isthmus models`` shows."""
        for name, builder in self.plugin.builders.items():
            first = (inspect.getdoc(builder) or "").partition("\n")[0]
            assert len(first) >= 10, f"{name} has no docstring"

    def test_commands_are_annotated(self) -> None:
        """Every parameter of a command has a type, and the docstring is its help; each can answer in JSON."""
        for verb, command in self.plugin.commands.items():
            assert inspect.getdoc(command), f"{verb} has no docstring"
            parameters = inspect.signature(command).parameters
            assert "as_json" in parameters, f"{verb} has no --json"
            for parameter in parameters.values():
                assert parameter.annotation is not inspect.Parameter.empty, f"{verb}: {parameter.name} has no type"

    def test_faces_are_called_what_they_are(self) -> None:
        """A face has the name of its class, and what ``isthmus.load`` and users call: ``save`` and ``load``."""
        for name, face in self.plugin.faces.items():
            assert name == face.__name__, f"{name} is a {face.__name__}"
            assert name[0].isupper(), name
            assert inspect.ismethod(getattr(face, "load", None)), f"{name}: load is not a class method"
            assert callable(getattr(face, "save", None)), f"{name} has no save"

    def test_every_bundle_has_a_face(self) -> None:
        """Of several faces, ``face_for`` names one for each builder, whatever facts a damaged bundle lacks."""
        if self.plugin.face_for is None:
            assert len(self.plugin.faces) <= 1, "several faces need face_for"
            return
        for builder in self.plugin.builders:
            assert self.plugin.face_for(builder, {}) in self.plugin.faces, builder


OWN_VERBS = ("adapters", "models", "info", "help")

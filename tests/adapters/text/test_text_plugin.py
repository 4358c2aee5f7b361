"""What the entry point yields keeps the contracts that anybody's plugin keeps."""

from __future__ import annotations

from isthmus import plugins
from isthmus.testing.plugin import PluginContract
from isthmus_text.plugin import plugin


class TestTextPlugin(PluginContract):
    plugin = plugin


def test_it_is_what_the_entry_point_yields() -> None:
    assert plugins.load("text") is plugin


def test_its_builders_are_found_by_name() -> None:
    for name, builder in plugin.builders.items():
        assert plugins.find_builder(plugins.command_name(name), "text") == ("text", builder)

"""What the entry point yields keeps the contracts that anybody's plugin keeps."""

from __future__ import annotations

from isthmus import plugins
from isthmus.testing.plugin import PluginContract
from isthmus_vectors.plugin import plugin


class TestVectorsPlugin(PluginContract):
    plugin = plugin


def test_it_is_what_the_entry_point_yields() -> None:
    assert plugins.load("vectors") is plugin


def test_its_builders_are_found_by_name() -> None:
    assert {"contractive", "denoising", "matryoshka", "sparse", "vanilla", "variational"} <= plugin.builders.keys()
    for name, builder in plugin.builders.items():
        assert plugins.find_builder(plugins.command_name(name), "vectors") == ("vectors", builder)

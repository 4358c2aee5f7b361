"""What the entry point yields keeps the contracts that anybody's plugin keeps."""

from __future__ import annotations

import pyarrow as pa

from isthmus import plugins
from isthmus.testing.adapter import AdapterContract
from isthmus.testing.plugin import PluginContract
from isthmus_interactions.adapter import InteractionsAdapter
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.plugin import plugin

EVENTS = {"user": ["b", "a", "b", "c", "c"], "item": [10, 20, 30, 10, 20], "rating": [5, 4, 5, 5, 4]}


class TestInteractionsAdapter(AdapterContract):
    adapter = InteractionsAdapter

    def records(self) -> Interactions:
        return Interactions.read(pa.table(EVENTS))

    def foreign(self) -> Interactions:
        return Interactions.read(pa.table({"user": ["z", "z"], "item": [10, 99]}))


class TestInteractionsPlugin(PluginContract):
    plugin = plugin


def test_it_is_what_the_entry_point_yields() -> None:
    assert plugins.load("interactions") is plugin


def test_its_builders_are_found_by_name() -> None:
    for name, builder in plugin.builders.items():
        assert plugins.find_builder(plugins.command_name(name), "interactions") == ("interactions", builder)

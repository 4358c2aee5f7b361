"""Contract tests that are included in the library: derive a class from one, and supply the object to test.

    AdapterContract       records to batches, and back from a bundle
    AutoencoderContract   the face of a domain: its verbs, their arguments and results
    PluginContract        what an entry point yields
    RankerContract        anything that scores items
    SearcherContract      anything that finds nearest rows

Needs pytest, which the library itself does not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from isthmus.testing.adapter import AdapterContract
    from isthmus.testing.autoencoder import AutoencoderContract
    from isthmus.testing.plugin import PluginContract
    from isthmus.testing.ranker import RankerContract
    from isthmus.testing.searcher import SearcherContract

__all__ = ["AdapterContract", "AutoencoderContract", "PluginContract", "RankerContract", "SearcherContract"]

# Before the modules are imported: their plain asserts then show both sides, as in a test file.
pytest.register_assert_rewrite(
    *(f"isthmus.testing.{part}" for part in ("adapter", "autoencoder", "plugin", "searcher", "ranker"))
)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{name.removesuffix('Contract').lower()}")
    return getattr(module, name)

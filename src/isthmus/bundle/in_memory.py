"""The content of a bundle in memory: the state in which fitted models are pickled, copied and sent to other processes.

Pickling a network directly would send one block of shared memory for each weight, and its caches. This state holds
JSON values, texts, and the bytes of all tensors instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from safetensors.torch import load, save
from torch import Tensor

from isthmus.bundle.bundle import Bundle
from isthmus.bundle.manifest import Manifest


class Content(TypedDict):
    """The arguments of ``isthmus.bundle.write`` other than the path.

    Attributes:
        plugin, builder, settings, tensors, documents, facts: as for ``write``.
    """

    plugin: str
    builder: str
    settings: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    documents: Mapping[str, str]
    facts: Mapping[str, Any]


def packed(content: Content) -> dict[str, Any]:
    """The content as plain text, numbers and bytes."""
    plain = {"settings": dict(content["settings"]), "facts": dict(content["facts"])}
    documents, tensors = dict(content["documents"]), save(dict(content["tensors"]))
    return {**content, **plain, "documents": documents, "tensors": tensors}


def unpacked(state: Mapping[str, Any]) -> Bundle:
    """The inverse of ``packed``; returns the same as reading the bundle."""
    manifest = Manifest(state["plugin"], state["builder"], state["settings"], state["facts"], {}, "", {})
    return Bundle(manifest, load(state["tensors"]), state["documents"], {})

"""What a bundle keeps, in memory: the state in which fitted models are pickled, copied and sent to other processes.

A network as such would be sent as one block of shared memory for each weight, together with whatever it had cached.
This state is the content of a bundle instead: JSON values, texts, and one run of bytes with all tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from safetensors.torch import load, save
from torch import Tensor

from isthmus.bundle.bundle import Bundle
from isthmus.bundle.manifest import Manifest


class Content(TypedDict):
    """What ``isthmus.bundle.write`` is given, beside the place.

    Attributes:
        plugin, builder, settings, tensors, documents, facts: as there.
    """

    plugin: str
    builder: str
    settings: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    documents: Mapping[str, str]
    facts: Mapping[str, Any]


def packed(content: Content) -> dict[str, Any]:
    """The content as what anything can send: text, numbers and bytes."""
    plain = {"settings": dict(content["settings"]), "facts": dict(content["facts"])}
    documents, tensors = dict(content["documents"]), save(dict(content["tensors"]))
    return {**content, **plain, "documents": documents, "tensors": tensors}


def unpacked(state: Mapping[str, Any]) -> Bundle:
    """The inverse of ``packed``, as if the bundle had been read."""
    manifest = Manifest(state["plugin"], state["builder"], state["settings"], state["facts"], {}, "", {})
    return Bundle(manifest, load(state["tensors"]), state["documents"], {})

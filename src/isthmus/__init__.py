"""isthmus: autoencoders for interactions, texts, images, tables and vectors, built from shared parts.

    records ─ Adapter ─▶ Batch ─ Corruption ─ Encoder ─▶ hidden ─ Bottleneck ─▶ Code ─ Decoder ─▶ decoded ─ Readout · Likelihood ─▶ nats
                                                                          │                          │
                                                                     Code.point               Readout.vectors
                                                                          └───────────▶ Index ◀──────┘
                                                                                          └─▶ Neighbours ─ Task ─▶ answers

Each arrow is a protocol in ``isthmus.protocols``, and each protocol has its own folder or file. Start with
``Recommender``, ``TextAutoencoder``, ``ImageAutoencoder``, ``VectorAutoencoder``, ``Detector``, ``Compressor`` or
``Index``, or with ``isthmus demo`` on the command line; ``isthmus.load`` opens everything that they save.

Importing this package imports no adapter and nothing heavy: these names are looked up among the installed plugins on
first use. Type checkers therefore see all of them except ``Index`` as ``Any``; the typed classes are
``isthmus_interactions.Recommender``, ``isthmus_text.TextAutoencoder`` and so on.
"""  # noqa: E501

import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from isthmus.faces import HOMES, find_face, load
from isthmus.machine import processes as processes

if TYPE_CHECKING:
    from isthmus.index import Index as Index

__all__ = ["load"]
__version__ = version("isthmus")


def __getattr__(name: str) -> Any:
    if name == "Index":
        from isthmus.index import Index

        return Index
    # Python looks up modules here before it imports them; only class names may lead to plugins.
    found = find_face(name) if name[:1].isupper() else None
    if found is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=sys.modules[__name__])
    return found


def __dir__() -> list[str]:
    return sorted([*__all__, *HOMES, "Index", "__version__"])

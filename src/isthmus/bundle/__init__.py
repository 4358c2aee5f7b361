"""Saved models: directories of JSON and safetensors, written completely or not at all, and verified when read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isthmus.bundle.bundle import (
        Bundle,
        Manifest,
        as_damage,
        check_target,
        load_state,
        peek,
        read,
        state_of,
        write,
    )

__all__ = [
    "Bundle",
    "Manifest",
    "as_damage",
    "check_target",
    "load_state",
    "peek",
    "read",
    "state_of",
    "write",
]


def __getattr__(name: str) -> Any:
    # Torch is imported on first use, because reading a manifest does not need it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from isthmus.bundle import bundle

    return getattr(bundle, name)

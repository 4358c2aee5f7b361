"""A trained thing on disk: a directory of JSON and safetensors, written whole or not at all, verified when read."""

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
    # Torch is imported on first use: a manifest is read without it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from isthmus.bundle import bundle

    return getattr(bundle, name)

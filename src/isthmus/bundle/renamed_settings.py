"""Brings settings of builders in bundles of earlier versions to their current names, and adds those that earlier
versions did not have where their default is something else than what these versions did.

This happens when a manifest is read, so that no other code has to know the old names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KEYWORDS: Mapping[tuple[str, str], str] = {
    ("sparse", "active"): "k",
}
"""(builder, old keyword) -> current keyword."""

VALUES: Mapping[str, Mapping[str, str]] = {
    "likelihood": {
        "shared": "learned-scale",
        "dimension": "per-dimension-scale",
        "optimal": "optimal-scale",
        "levels": "discretized-logistic",
    },
}
"""keyword -> old value -> current value, for all builders."""


def current(builder: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings under their current names, including those of the parts of a blend.

    Args:
        builder: name of their builder.
        settings: settings of a manifest.

    Returns:
        A new mapping in the same order, with added settings last; settings that were never renamed are unchanged.
    """
    renamed = {KEYWORDS.get((builder, key), key): _current_value(key, value) for key, value in settings.items()}
    if builder == "recent" and isinstance(renamed.get("of"), str) and isinstance(renamed.get("settings"), dict):
        renamed["settings"] = current(renamed["of"], renamed["settings"])
    if builder == "mult_vae" and "hidden" in renamed and "decoder" not in renamed:
        # The decoder was as wide as the encoder, and there was one kind of initial weights.
        renamed |= {"decoder": renamed["hidden"], "initial": "glorot"}
    return renamed


def _current_value(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return VALUES.get(key, {}).get(value, value)
    if key == "parts" and isinstance(value, list):
        return [_current_part(part) for part in value]
    return value


def _current_part(part: Any) -> Any:
    if not (isinstance(part, dict) and isinstance(part.get("model"), str) and isinstance(part.get("settings"), dict)):
        return part
    return part | {"settings": current(part["model"], part["settings"])}

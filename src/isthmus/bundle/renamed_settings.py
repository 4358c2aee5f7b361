"""Settings of builders under the names that they had in earlier versions: bundles keep the names they were saved with.

Reading a manifest brings them to today's names, so that nothing else has to know of the old ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KEYWORDS: Mapping[tuple[str, str], str] = {
    ("sparse", "active"): "k",
}
"""(builder, keyword as it was) -> keyword as it is."""

VALUES: Mapping[str, Mapping[str, str]] = {
    "likelihood": {
        "shared": "learned-scale",
        "dimension": "per-dimension-scale",
        "optimal": "optimal-scale",
        "levels": "discretized-logistic",
    },
}
"""keyword -> value as it was -> value as it is, whatever the builder."""


def current(builder: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings under today's names; those of a blend's parts among them.

    Args:
        builder: the name of the builder that they belong to.
        settings: as a manifest holds them.

    Returns:
        A new mapping; the order stays, and what was never renamed is as it was.
    """
    return {KEYWORDS.get((builder, key), key): _current_value(key, value) for key, value in settings.items()}


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

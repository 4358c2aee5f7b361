"""The committed result lines, as the tables read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
Line = dict[str, Any]


def newest(name: str, key: Callable[[Line], Any]) -> list[Line]:
    """The last line of each configuration, in the order of their first appearance."""
    lines = (HERE / "results" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    found: dict[Any, Line] = {}
    for line in map(json.loads, lines):
        found[json.dumps(key(line), sort_keys=True)] = line
    return list(found.values())

"""The result lines, as benchmarks and tables read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
Line = dict[str, Any]


def lines(name: str) -> list[Line]:
    """What has been recorded, oldest first; nothing where there is no such file."""
    path = RESULTS / f"{name}.jsonl"
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def finals(name: str, split: str) -> list[Line]:
    """The last line of each model on a split, seed 0; of ``recommendation_quality`` or ``recommendation_rivals``."""
    wanted = {"stage": "final", "split": split, "seed": 0}
    mine = [line for line in lines(name) if all(line[key] == value for key, value in wanted.items())]
    return list({line.get("model") or line["rival"]: line for line in mine}.values())


def newest(name: str, key: Callable[[Line], Any]) -> list[Line]:
    """The last line of each configuration, in the order of their first appearance."""
    found: dict[Any, Line] = {}
    for line in lines(name):
        found[json.dumps(key(line), sort_keys=True)] = line
    return list(found.values())

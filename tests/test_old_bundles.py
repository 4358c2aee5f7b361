"""What version 0.1 saved loads and answers as it did then. See ``tests/support/old_bundles.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from old_bundles import Case, cases

from isthmus.bundle.manifest import peek
from isthmus.bundle.renamed_settings import current

FOLDER = Path(__file__).parent / "data" / "bundles-0.1"
CASES = dict(cases())


def test_every_bundle_has_a_case() -> None:
    saved = {path.name for path in FOLDER.iterdir() if path.is_dir()}
    assert saved == set(CASES) == {path.stem for path in FOLDER.glob("*.json")}


@pytest.mark.parametrize(("name", "case"), CASES.items(), ids=list(CASES))
def test_it_answers_as_before(name: str, case: Case) -> None:
    expected = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    if "settings" in expected:
        expected["settings"] = current(peek(FOLDER / name).builder, expected["settings"])
    found = json.loads(json.dumps(case.ask(case.load(FOLDER / name))))
    assert differences(found, expected) == []


def differences(found: Any, expected: Any, place: str = "answer") -> list[str]:
    """Where two documents differ, numbers by more than the kernels of two processors do."""
    if isinstance(expected, dict) and isinstance(found, dict):
        if found.keys() != expected.keys():
            return [f"{place} has {sorted(found)}, not {sorted(expected)}"]
        return [line for key in expected for line in differences(found[key], expected[key], f"{place}.{key}")]
    if isinstance(expected, list) and isinstance(found, list):
        if len(found) != len(expected):
            return [f"{place} has {len(found)} entries, not {len(expected)}"]
        pairs = enumerate(zip(found, expected, strict=True))
        return [line for number, (a, b) in pairs for line in differences(a, b, f"{place}[{number}]")]
    if isinstance(expected, float) and isinstance(found, float | int):
        near = np.isclose(found, expected, rtol=1e-3, atol=1e-4)
        return [] if near else [f"{place} is {found}, not {expected}"]
    return [] if found == expected else [f"{place} is {found!r}, not {expected!r}"]


@pytest.mark.parametrize("other", [{"a": [1.0, 2.1]}, {"a": [1.0]}, {"b": [1.0, 2.0]}, {"a": ["x", 2.0]}, {"a": 1.0}])
def test_differences_are_seen(other: Any) -> None:
    assert differences({"a": [1.0, 2.0]}, {"a": [1.00001, 2.0]}) == []
    assert differences(other, {"a": [1.0, 2.0]})

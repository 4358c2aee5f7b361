"""Two faces, one trained and asked on the CPU and one on the pretend device, verb by verb."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

Verb = Callable[[Any], Any]

EQUAL = "equal"


def table(here: Any, there: Any, verbs: Mapping[str, Verb]) -> dict[str, str]:
    """``equal`` for each verb, or what is different, or the error and its place."""
    return {name: _outcome(here, there, verb) for name, verb in verbs.items()}


def _outcome(here: Any, there: Any, verb: Verb) -> str:
    try:
        expected, found = verb(here), verb(there)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)
        ours = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in last if "isthmus" in frame.filename]
        return f"{type(error).__name__}: {error} ({' < '.join(reversed(ours[-4:]))})"
    return _difference(expected, found) or EQUAL


def _difference(expected: Any, found: Any, where: str = "") -> str | None:
    """Numbers may differ in the last places, since blocks of another size add in another order."""
    if isinstance(expected, torch.Tensor):
        if found.device.type != "cpu":
            return f"{where}: answered on {found.device}"
        return _difference(expected.detach().numpy(), found.detach().numpy(), where)
    if isinstance(expected, np.ndarray) and expected.dtype.kind == "f":
        if expected.shape != found.shape:
            return f"{where}: shape {found.shape}, expected {expected.shape}"
        if not np.allclose(found, expected, rtol=2e-3, atol=2e-4, equal_nan=True):
            return f"{where}: off by {np.abs(found - expected).max():.2g}"
        return None
    if isinstance(expected, np.ndarray):
        return None if np.array_equal(expected, found) else f"{where}: {found!r}, expected {expected!r}"[:300]
    if isinstance(expected, float):
        return (
            None
            if np.isclose(found, expected, rtol=2e-3, atol=2e-4, equal_nan=True)
            else f"{where}: {found}, expected {expected}"
        )
    if isinstance(expected, Mapping):
        if set(expected) != set(found):
            return f"{where}: {sorted(found)}, expected {sorted(expected)}"
        return next(filter(None, (_difference(expected[key], found[key], f"{where}.{key}") for key in expected)), None)
    if isinstance(expected, list | tuple):
        if len(expected) != len(found):
            return f"{where}: {len(found)} answers, expected {len(expected)}"
        pairs = enumerate(zip(expected, found, strict=True))
        return next(filter(None, (_difference(a, b, f"{where}[{place}]") for place, (a, b) in pairs)), None)
    return None if expected == found else f"{where}: {found!r}, expected {expected!r}"[:300]

"""Measures once whether this processor multiplies bf16 faster than fp32, and keeps the result in the user's cache.

A stored result never changes: the first process that writes it wins, and all others read it. Without a place to store
it there is no trial, since the next run might measure something else and train other weights from the same seed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PLACE = "ISTHMUS_CACHE"
"""Environment variable with the folder, instead of ``isthmus`` in the user's cache."""

ROWS, DEPTH, WIDTH = 256, 512, 1024
"""Sizes of the product that is timed: 134 million multiplications, a few milliseconds in fp32."""

ROUNDS = 7
"""Number of timings, of which the fastest counts, since other programs can only slow them down."""

GAIN = 1.25
"""How many times as fast bf16 must be, because rounding the numbers to bf16 takes time too."""

_known: dict[tuple[str, str], bool | None] = {}


def outcome(key: Mapping[str, Any]) -> bool | None:
    """Whether bf16 is faster on the processor that ``key`` describes, which is this one.

    Args:
        key: everything the result depends on, as JSON: the processor, the release of PyTorch, limits of the process.

    Returns:
        The new or stored result; None if it cannot be stored.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    folder = _folder()
    if folder is None:
        return None
    known = digest, str(folder)
    if known not in _known:
        _known[known] = _kept(folder / f"bf16-{digest}.json", key)
    return _known[known]


def _folder() -> Path | None:
    given = os.environ.get(PLACE)
    if given:
        return Path(given)
    try:
        home = Path.home()
    except (RuntimeError, OSError):
        return None
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "isthmus"
    name = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    above = Path(os.environ.get(name, ""))
    return (above if above.is_absolute() else home / ".cache") / "isthmus"


def _kept(place: Path, key: Mapping[str, Any]) -> bool | None:
    found = _read(place)
    if found is not None:
        return found
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        if os.access(place.parent, os.W_OK | os.X_OK):
            low, full = timed()
            answer = {"faster": GAIN * low <= full, "bf16_seconds": low, "fp32_seconds": full, **key}
            _write(place, json.dumps(answer, indent=1))
    return _read(place)


def _read(place: Path) -> bool | None:
    """None also for an invalid file, which is then written again."""
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    faster = found.get("faster") if isinstance(found, dict) else None
    return faster if isinstance(faster, bool) else None


def _write(place: Path, text: str) -> None:
    """Write completely or not at all; a file that another process wrote meanwhile stays."""
    handle, scratch = tempfile.mkstemp(prefix=f".{place.stem}-", dir=place.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        if _read(place) is None:
            try:
                os.link(scratch, place)
            except OSError:
                # The file is invalid, or the file system has no links.
                if _read(place) is None:
                    os.replace(scratch, place)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(scratch)


def timed() -> tuple[float, float]:
    """Seconds of one product in bf16 and in fp32, each the fastest of a few."""
    import torch

    best = {torch.bfloat16: math.inf, torch.float32: math.inf}
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        pairs = {
            kind: [torch.full(size, 0.5, dtype=kind, device="cpu") for size in ((WIDTH, DEPTH), (ROWS, DEPTH))]
            for kind in best
        }
        for _ in range(ROUNDS):
            for kind, (wide, rows) in pairs.items():
                started = time.perf_counter()
                torch.mm(wide, rows.T)
                best[kind] = min(best[kind], time.perf_counter() - started)
    return best[torch.bfloat16], best[torch.float32]

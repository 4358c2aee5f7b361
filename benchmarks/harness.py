"""What every benchmark shares: one line of results, and a few honest measurements.

A result is one JSON line in ``benchmarks/results/NAME.jsonl``: commit, date, device, versions, configuration, numbers.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("torch", "numpy", "scipy", "faiss-cpu", "pyarrow", "isthmus")


def record(name: str, **fields: Any) -> dict[str, Any]:
    """Append one line to ``results/NAME.jsonl`` and return it.

    ``fields`` are the configuration and the numbers; names say the unit (``seconds``, ``peak_mb``).
    """
    line = {
        "name": name,
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device(),
        "versions": versions(),
        **fields,
    }
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{name}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return line


def commit() -> str:
    """The short hash of the checkout, with ``+dirty`` when files other than results differ from it; ``none`` outside a
    repository."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)benchmarks/results")
        return head + ("+dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "none"


def device() -> dict[str, Any]:
    """The processor, the cores this process may use, and the memory of the machine."""
    described = _field("/proc/cpuinfo", "model name") or platform.processor()
    memory = _field("/proc/meminfo", "MemTotal").split()
    found = {"cpu": described, "cores": len(os.sched_getaffinity(0))}
    return {**found, "memory_gb": round(int(memory[0]) / 2**20, 1)} if memory else found


def versions() -> dict[str, str]:
    """Python and the libraries that results depend on."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "absent"
    return found


def peak_rss() -> int:
    """The largest resident memory of this process so far, bytes (Linux)."""
    return int(_field("/proc/self/status", "VmHWM").split()[0]) * 1024


def rss() -> int:
    """The resident memory of this process now, bytes (Linux)."""
    return int(_field("/proc/self/status", "VmRSS").split()[0]) * 1024


def seconds(work: Callable[[], object], *, repeats: int = 5, warmup: int = 1) -> list[float]:
    """Wall-clock times of ``work``, after some calls that do not count."""
    for _ in range(warmup):
        work()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return taken


def median_ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """How many times faster: the median of one series over the median of the other."""
    return statistics.median(slow) / statistics.median(fast)


def _field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")


def _git(*arguments: str) -> str:
    folder = Path(__file__).parent
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()

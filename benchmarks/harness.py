"""What every benchmark shares: its lines of results, the tables made of them, and clocks.

A result is one JSON line in ``benchmarks/results/NAME.jsonl``: commit, date, device, versions, configuration, numbers.
A line is kept only where the working tree is that of its commit, so that whoever reads it can run the same code.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from isthmus.errors import SettingError
from isthmus.machine import hardware

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("torch", "numpy", "scipy", "faiss-cpu", "pyarrow", "isthmus")
Line = dict[str, Any]

Smoke = Annotated[bool, typer.Option("--smoke", help="The same work on tiny data; nothing is kept.")]


class Unkept(Enum):
    """Why a line is printed and not kept."""

    SMOKE = "a smoke run measures nothing"
    VALIDATION = "settings are tried on training data alone"
    DIRTY = "the working tree differs from its commit; commit first, then measure"
    NO_COMMIT = "no commit can be named outside a git checkout"


class Results:
    """The lines of one benchmark: those that were kept before, and those of this run.

    Attributes:
        name: of the benchmark and of its file.
        smoke: whether this is a smoke run: nothing is kept, and what was kept before is not seen.
        commit: of the checkout when the run began.
        unkept: why lines of this run are not kept; None where they are.
        made: the lines of this run.
    """

    def __init__(self, name: str, *, smoke: bool = False, validation: bool = False, folder: Path = RESULTS) -> None:
        self.name, self.smoke, self.folder = name, smoke, folder
        self.commit = commit()
        self.unkept = Unkept.SMOKE if smoke else Unkept.VALIDATION if validation else _unkept(self.commit)
        self.made: list[Line] = []
        self._loose: list[Line] = []
        self._device, self._versions = device(), versions()

    def add(self, **fields: Any) -> Line:
        """One more line, printed and, where it may be, appended to the file.

        Args:
            fields: the configuration and the numbers; names say the unit (``seconds``, ``peak_mb``).

        Returns:
            The line as it is read back from JSON.
        """
        date = datetime.now(UTC).isoformat(timespec="seconds")
        about = {"name": self.name, "commit": self.commit, "date": date}
        machine = {"device": self._device, "versions": self._versions}
        text = json.dumps({**about, **machine, **fields})
        # Somebody may have changed the code while it ran.
        self.unkept = self.unkept or _unkept(commit())
        if self.unkept is None:
            self.folder.mkdir(exist_ok=True)
            with (self.folder / f"{self.name}.jsonl").open("a", encoding="utf-8") as file:
                file.write(text + "\n")
        print(json.dumps(fields), flush=True)
        if self.unkept is not None:
            print(f"not kept ({self.unkept.name}): {self.unkept.value}", file=sys.stderr, flush=True)
        line: Line = json.loads(text)
        self.made.append(line)
        if self.unkept is not None:
            self._loose.append(line)
        return line

    def lines(self) -> list[Line]:
        """What was kept of clean trees, and what this run made; smoke runs and validations see only the latter."""
        alone = self.unkept in (Unkept.SMOKE, Unkept.VALIDATION)
        before = [] if alone else [line for line in kept(self.name, self.folder) if is_clean(line)]
        return before + self._loose

    def find(self, **key: Any) -> Line | None:
        """The newest line with these values, so that what is done need not be done again."""
        wanted = json.loads(json.dumps(key))
        found = (line for line in reversed(self.lines()) if all(line.get(k) == v for k, v in wanted.items()))
        return next(found, None)


def kept(name: str, folder: Path = RESULTS) -> list[Line]:
    """What has been recorded, oldest first; nothing where there is no such file."""
    path = folder / f"{name}.jsonl"
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def is_clean(line: Line) -> bool:
    """Whether the line names the very code that was measured."""
    return not line["commit"].endswith("+dirty")


def newest(lines: Iterable[Line], key: Callable[[Line], Any]) -> list[Line]:
    """The last line of each configuration, in the order of their first appearance; a clean one where there is one."""
    found: dict[str, Line] = {}
    for line in lines:
        at = json.dumps(key(line), sort_keys=True)
        if at not in found or is_clean(line) or not is_clean(found[at]):
            found[at] = line
    return list(found.values())


def mark(*lines: Line | None) -> str:
    """What stands behind a figure of a tree that was not clean; the page explains it."""
    return "" if all(line is None or is_clean(line) for line in lines) else DAGGER


DAGGER = "†"


def markdown(head: Sequence[object], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table."""
    return [_row(head), "|" + "---|" * len(head), *map(_row, rows)]


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def commit() -> str:
    """The short hash of the checkout, with ``+dirty`` when files other than results differ from it; ``none`` outside a
    repository."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)benchmarks/results")
        return head + ("+dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "none"


def _unkept(now: str) -> Unkept | None:
    if now == "none":
        return Unkept.NO_COMMIT
    return Unkept.DIRTY if now.endswith("+dirty") else None


KINDS = {
    "amx": "AMX", "avx512-bf16": "AVX512-BF16", "avx512": "AVX-512", "avx2": "AVX2", "arm-bf16": "Arm with bf16",
    "arm": "Arm", "other": "another kind",
}  # fmt: skip
"""Kinds of processors by the instructions with which they multiply, as pages call them."""


def processor_kind(line: Line) -> str:
    """The kind of processor of a line. Lines from before it was recorded come from one with AMX."""
    return KINDS[line["device"].get("instructions", "amx")]


def device() -> dict[str, Any]:
    """The processor and how it multiplies, the cores this process may use, the memory of the machine, and its GPU."""
    memory = _field("/proc/meminfo", "MemTotal").split()
    found: dict[str, Any] = {
        "cpu": hardware.processor(),
        "instructions": hardware.instructions(),
        "cores": len(os.sched_getaffinity(0)),
    }
    if torch.cuda.is_available():
        found["accelerator"] = torch.cuda.get_device_name()
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


def own_memory() -> int:
    """The resident memory of this process now that is no file's, bytes (Linux)."""
    return int(_field("/proc/self/status", "RssAnon").split()[0]) * 1024


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


def in_turns(works: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Wall-clock times of each work, one after the other in every turn, so that a busy moment hits all of them; after
    one turn that does not count."""
    taken: dict[str, list[float]] = {name: seconds(work, repeats=0) for name, work in works.items()}
    for _ in range(repeats):
        for name, work in works.items():
            taken[name] += seconds(work, repeats=1, warmup=0)
    return taken


def medians(series: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The median of each."""
    return {name: statistics.median(values) for name, values in series.items()}


def median_ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """How many times faster: the median of one series over the median of the other."""
    return statistics.median(slow) / statistics.median(fast)


def chosen(given: Sequence[str] | None, names: Iterable[str]) -> list[str]:
    """What an option takes: those that were given, or all.

    Raises:
        SettingError: one that is none of the names.
    """
    known = list(names)
    for one in given or ():
        if one not in known:
            raise SettingError(repr(one), expected=f"one of: {', '.join(known)}")
    return list(given or known)


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

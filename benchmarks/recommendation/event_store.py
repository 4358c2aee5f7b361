"""How long a store of many events takes to make, and how much memory; and the same for training from it.

Events are drawn anew (see ``write_events``): users uniformly, items with a long tail, times ascending from file to
file, as a log has them. Each step is a process of its own. ``anonymous`` memory is what the process holds; ``resident``
counts mapped pages of files, too, which the system takes back when it needs them.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness import Line, Results, Smoke, mark, markdown, newest, peak_rss

NAME = "event_store"
TITLE = "A store of many events"
EVENTS, FILES, EACH = 100_000_000, 20, 50
ITEMS = 100_000
SECONDS = 120.0
"""Of training."""

BILLION = 1_000_000_000
MONTH = 2_592_000


def write_events(folder: Path, events: int, files: int, users: int, items: int) -> int:
    """Draw events and write them as Parquet files; the bytes of all files."""
    for number in range(files):
        draw, count = np.random.default_rng(number), events // files
        columns = {"user": draw.integers(0, users, count), "item": (items * draw.random(count) ** 3).astype(np.int64)}
        columns["timestamp"] = 1_600_000_000 + number * MONTH + np.sort(draw.integers(0, MONTH, count))
        pq.write_table(pa.table(columns), folder / f"{number:03}.parquet", compression="zstd")
    return sum(path.stat().st_size for path in folder.iterdir())


def make(events: str, store: str) -> dict[str, Any]:
    """Make a store."""
    from isthmus_interactions.store.store import InteractionStore

    made = InteractionStore.create(events, store, told=lambda line: None)
    size = sum(file["bytes"] for file in made.manifest.files.values())
    return {"pairs": made.manifest.pairs, "store_gb": size / 1e9}


def train(store: str, seconds: str) -> dict[str, Any]:
    """Train from a store for a while."""
    from isthmus_interactions.recommender import Recommender

    found = Recommender.fit(store, "mult_dae", progress=False, time_limit=float(seconds), epochs=1)
    return {"epochs": len(found.history.records)}


STEPS: dict[str, Callable[..., dict[str, Any]]] = {"make": make, "train": train}


def anonymous() -> int:
    """The memory that this process holds itself, bytes (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def measured(name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """A step in this process, with its time and its memory."""
    peak, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            peak[0] = max(peak[0], anonymous())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    started = time.perf_counter()
    found = STEPS[name](*arguments)
    seconds = time.perf_counter() - started
    over.set()
    watcher.join()
    used = resource.getrusage(resource.RUSAGE_SELF)
    memory = {"anonymous_gb": peak[0] / 1e9, "resident_gb": peak_rss() / 1e9}
    return {**found, "seconds": seconds, "cpu_seconds": used.ru_utime + used.ru_stime, **memory}


def alone(name: str, *arguments: str) -> dict[str, Any]:
    """A step in a process of its own."""
    code = "import json, sys; from benchmarks.recommendation.event_store import measured; "
    code += f"print(json.dumps(measured({name!r}, sys.argv[1:])))"
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run(smoke: Smoke = False, events: int = EVENTS, seconds: float = SECONDS) -> list[Line]:
    """Draw events, make a store of them, and train from it."""
    results = Results(NAME, smoke=smoke)
    events, files, items = (20_000, 3, 500) if smoke else (events, FILES, ITEMS)
    users = events // EACH
    configuration = {"events": events, "users": users, "items": items, "files": files}
    with tempfile.TemporaryDirectory() as folder:
        source, store = Path(folder, "events"), str(Path(folder, "store"))
        source.mkdir()
        size = write_events(source, events, files, users, items)
        results.add(configuration=configuration, step="make", source_gb=size / 1e9, **alone("make", str(source), store))
        results.add(configuration=configuration, step="train", **alone("train", store, str(1.0 if smoke else seconds)))
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """One row for each step; a billion events by ten times the time of the largest store."""
    found = newest(lines, lambda line: [line["configuration"]["events"], line["step"]])
    rows = [_row(line, line["configuration"]["events"], 1.0) for line in found]
    made = max((line for line in found if line["step"] == "make"), key=lambda line: line["pairs"], default=None)
    if made is not None:
        rows.append(_row(made, BILLION, BILLION / made["configuration"]["events"]))
    if not rows:
        return []
    head = ("step", "events", "seconds", "CPU seconds", "memory held, GB", "with mapped files, GB")
    told = f"A tenth of {ITEMS:,} items has most events; {EACH} events a user, {FILES} files. Training is `mult-dae`."
    return [told, "", *markdown(head, rows)]


def _row(line: Line, events: int, times: float) -> tuple[str, ...]:
    what = {"make": "make the store", "train": f"train, at most {SECONDS:.0f} s"}[line["step"]]
    clocks = (f"{line['seconds'] * times:,.0f}", f"{line['cpu_seconds'] * times:,.0f}")
    if times > 1:
        return (f"{what}, extrapolated", f"{events:,}", *clocks, "not measured", "not measured")
    memory = (f"{line['anonymous_gb']:.2f}", f"{line['resident_gb']:.2f}")
    return (what + mark(line), f"{events:,}", *clocks, *memory)

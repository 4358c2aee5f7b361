"""How fast does ``isthmus serve`` recommend, and does it grow under load?

A network of 128 hidden units over 100,000 items, asked over HTTP for the ten best items of histories of twenty: at 50
requests a second; by 32 clients at a time, beside a plain FastAPI application over the same recommender (one call for
each request, in its threads); and by 32 clients for ten minutes, with the memory of the process at both ends. Load and
server share the cores of the machine. Weights are hardly trained: they do not change the work.

Times depend on what else the machine does, which the load average tells; the time that the server computed for each
answer does not. Where the last column says "real-time", the processes were preferred to all others of the machine. The
ten minutes that were kept ran with a low priority (nice 5).
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Line, Results, Smoke, mark, markdown, newest
from benchmarks.recommendation.synthetic import interactions
from isthmus.serve.measuring.child import Child, served
from isthmus.serve.measuring.load import Measured, Questions, crowded, paced
from isthmus.serve.opened import Place, open_bundle
from isthmus.training.run import Run
from isthmus_interactions import Interactions, Recommender

NAME = "serving"
TITLE = "Recommendations over HTTP"
CLIENTS, RATE = 32, 50.0
PEOPLE = 1_500
SETTLE = 20.0
"""Seconds of load before memory is first looked at: pools of threads and buffers have their size then."""

PLAIN = ("-m", "benchmarks.recommendation.plain_server")


def run(
    smoke: Smoke = False,
    items: int = 100_000,
    seconds: float = 30.0,
    soak: float = 600.0,
    bundle: Path | None = None,
) -> list[Line]:
    """Measure both servers, with a new model or with ``bundle``, that of ``make`` with the same number of items."""
    results = Results(NAME, smoke=smoke)
    people, settle = PEOPLE, SETTLE
    if smoke:
        items, people, seconds, soak, settle = 500, 60, 0.5, 1.0, 0.2
    with tempfile.TemporaryDirectory() as folder:
        if bundle is None:
            bundle = Path(folder) / "model.bundle"
            make(bundle, items, people)
        trial = open_bundle(Place("model", bundle)).offer.trial
        assert trial is not None
        action, documents = trial(500, 0)
        about = {"items": items, "width": 128, "history": 20, "k": 10, "seconds": seconds}
        for server, command in (("isthmus serve", ("-m", "isthmus", "serve")), ("plain FastAPI", PLAIN)):
            with served(str(bundle), command=command) as child:
                questions = Questions(child.address, f"/v1/{action}", documents)
                asyncio.run(crowded(questions, 2, min(3.0, seconds)))
                load_average = round(os.getloadavg()[0], 1)
                shared = {"server": server, **about, "load_average": load_average, "priority": _priority()}
                for load, put in (
                    (f"{RATE:g} a second", lambda: paced(questions, RATE, seconds)),  # noqa: B023
                    (f"{CLIENTS} clients", lambda: crowded(questions, CLIENTS, seconds)),  # noqa: B023
                ):
                    before = child.processor_seconds()
                    found = asyncio.run(put())
                    results.add(
                        configuration={**shared, "load": load},
                        **_figures(found),
                        processor_ms=_each(before, child.processor_seconds(), found),
                    )
                if server == "isthmus serve" and soak:
                    grown = _soaked(child, questions, settle, soak)
                    results.add(configuration={**shared, "seconds": soak, "load": "soak"}, **grown)
    return results.made


def make(bundle: Path, items: int = 100_000, people: int = PEOPLE) -> None:
    """Write the bundle that is served."""
    data = Interactions.from_csr(interactions(people, items))
    how = Run(device="cpu")
    Recommender.fit(data, "mult-vae", validation=0.0, run=how, epochs=1, hidden=128, code=64).save(bundle)


def _priority() -> str:
    """How this process and the servers that it starts are preferred to others of the machine."""
    if hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR):
        return "real-time"
    return f"nice {nice}" if (nice := os.nice(0)) else ""


def _soaked(child: Child, questions: Questions, settle: float, seconds: float) -> dict[str, Any]:
    asyncio.run(crowded(questions, CLIENTS, settle))
    before = child.megabytes()
    found = asyncio.run(crowded(questions, CLIENTS, seconds))
    return {**_figures(found), "mb_before": before, "mb_after": child.megabytes()}


def _each(before: float | None, after: float | None, found: Measured) -> float | None:
    """Milliseconds that the server computed for each answer, whatever else the machine did."""
    if before is None or after is None or not found.statuses[200]:
        return None
    return 1000 * (after - before) / found.statuses[200]


def _figures(found: Measured) -> dict[str, Any]:
    return {
        "requests_per_second": found.rate,
        "median_ms": found.milliseconds(0.5),
        "p99_ms": found.milliseconds(0.99),
        "answered": found.statuses[200],
        "others": found.statuses.total() - found.statuses[200],
    }


def table(lines: Sequence[Line]) -> list[str]:
    """Rates and times of both servers, and the memory of ours."""
    known = newest(lines, lambda line: (line["configuration"]["server"], line["configuration"]["load"]))
    rows = [_row(line) for line in known]
    head = ["server", "load", "answers a second", "median", "99th percentile", "computed for each", "memory"]
    head.append("load average of the machine before")
    return markdown(head, rows) if rows else []


def _row(line: Line) -> list[str]:
    about = line["configuration"]
    load = f"{CLIENTS} clients, {about['seconds'] / 60:.0f} min" if about["load"] == "soak" else about["load"]
    memory = "" if line.get("mb_before") is None else f"{line['mb_before']:.0f} → {line['mb_after']:.0f} MB"
    computed = "" if line.get("processor_ms") is None else f"{line['processor_ms']:.1f} ms"
    times = (f"{line[name]:.1f} ms" for name in ("median_ms", "p99_ms"))
    rate = f"{line['requests_per_second']:,.0f}"
    busy = f"{about['load_average']:.1f}" + (f" ({about['priority']})" if about.get("priority") else "")
    return [about["server"] + mark(line), load, rate, *times, computed, memory, busy]

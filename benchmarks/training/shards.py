"""What does a training cost whose item tables are cut by rows over several processes of one machine?

Mult-DAE, batch 500, 100 interactions a person, fp32, one thread a process: the exact softmax (10⁵ items, code 64) and
the sampled one (10⁶ items, code 64; 10⁷ items, code 32, four processes). Each number of processes is a job of
``torchrun`` over loopback; one process is the ordinary training. A step is the median of those after the second;
memory is the largest resident memory of each process, libraries and data included. Aim: 10⁷ items with four processes
within 20 GB in all. Several machines were never measured.

On a machine with fewer cores than processes these take turns, so that a step is no faster than with one: there the
lines show what the messages cost and what memory a process needs. Where the load of a core is above 1, other work took
its time, of which more processes get a larger share: seconds of such lines cannot be compared.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Line, Results, Smoke, mark, markdown, newest, peak_rss
from benchmarks.training.memory import people

NAME = "training_shards"
TITLE = "Item tables cut by rows over processes"
BATCH = 500
SIZES: Sequence[Mapping[str, Any]] = (
    {"items": 100_000, "code": 64, "negatives": 0, "processes": (1, 2, 4), "steps": 6},
    {"items": 1_000_000, "code": 64, "negatives": 16384, "processes": (1, 2, 4), "steps": 6},
    {"items": 10_000_000, "code": 32, "negatives": 16384, "processes": (4,), "steps": 4},
)
TINY: Sequence[Mapping[str, Any]] = (
    {"items": 1_000, "code": 8, "negatives": 50, "processes": (1, 2), "steps": 4},
)  # fmt: skip
SECONDS = 3600
"""After which a job is ended."""


class Clock:
    """A progress that notes when steps were done."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def start(self, epochs: int, rows: int, metric: str | None, first_epoch: int = 0) -> None:
        self.times.append(time.perf_counter())

    def step(self, rows: int, loss: float) -> None:
        self.times.append(time.perf_counter())

    def epoch(self, record: Mapping[str, float | int | str]) -> None:
        pass

    def stop(self) -> None:
        pass

    def seconds(self) -> float:
        """Of a step; the first two make the moments and the pages of the tables."""
        return statistics.median(after - before for before, after in zip(self.times[2:], self.times[3:], strict=False))


def work(items: int, code: int, negatives: int, steps: int, cut: bool) -> dict[str, Any]:
    """What one process of a job does: a few steps; the leader says how long they took."""
    from isthmus.batch import Bag
    from isthmus.distributed import joined
    from isthmus.models import mult_dae
    from isthmus.training.run import Run

    source, clock = people(steps * BATCH, items), Clock()
    given = Run(precision="fp32", progress=clock, shard="rows" if cut else None)
    with joined(given) as others:
        recipe = mult_dae(
            Bag(items),
            generator=others.run.generator(),
            code=code,
            negatives=negatives,
            batch_size=BATCH,
            epochs=1,
        )
        history = recipe.fit(source, others.run)
    seconds = clock.seconds() if len(clock.times) > 3 else None
    return {
        "rank": int(os.environ.get("RANK", "0")),
        "seconds_a_step": seconds,
        "loss": float(history.records[0]["loss"]),
        "peak_gb": peak_rss() / 1e9,
    }


def job(processes: int, size: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What each process of a job found."""
    given = json.dumps({name: size[name] for name in ("items", "code", "negatives", "steps")} | {"cut": processes > 1})
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes > 1 else []
    command = [sys.executable, *start, "-m", __name__, given]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True, timeout=SECONDS, check=True
    )
    found = [json.loads(one) for one in re.findall(r"\{[^{}]*\}", done.stdout)]
    return sorted(found, key=lambda one: int(one["rank"]))


def run(smoke: Smoke = False) -> list[Line]:
    """All sizes and numbers of processes, one job after the other."""
    results = Results(NAME, smoke=smoke)
    for size in TINY if smoke else SIZES:
        for processes in size["processes"]:
            about = {name: size[name] for name in ("items", "code", "negatives", "steps")}
            configuration = {**about, "batch": BATCH, "processes": processes}
            if results.find(commit=results.commit, configuration=configuration):
                continue
            found = job(processes, size)
            results.add(
                configuration=configuration,
                seconds_a_step=found[0]["seconds_a_step"],
                loss=found[0]["loss"],
                peak_gb=[one["peak_gb"] for one in found],
                peak_gb_in_all=sum(one["peak_gb"] for one in found),
                load=os.getloadavg()[0],
            )
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """A row for each job."""
    rows = []
    for line in newest(lines, lambda line: line["configuration"]):
        config, peaks = line["configuration"], line["peak_gb"]
        softmax = f"{config['negatives']:,} negatives" if config["negatives"] else "exact"
        rows.append(
            (
                f"{config['items']:,}",
                config["code"],
                softmax,
                config["processes"],
                f"{line['seconds_a_step']:.2f}{mark(line)}",
                f"{max(peaks):.2f}",
                f"{line['peak_gb_in_all']:.1f}",
                f"{line['load'] / line['device']['cores']:.0f}",
            )
        )
    head = (
        "items",
        "code",
        "softmax",
        "processes",
        "seconds a step",
        "GB, largest process",
        "GB in all",
        "load of a core",
    )
    return markdown(head, rows) if rows else []


if __name__ == "__main__":
    print(json.dumps(work(**json.loads(sys.argv[1]))), flush=True)

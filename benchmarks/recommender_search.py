"""How fast is the exact search behind recommendations, beside ``implicit`` 0.7.3 and FAISS Flat?

    python benchmarks/recommender_search.py --rival-python PATH [--repeats 7] [--lengths 0.5]

10,000 people × 100,000 items × 128 float32 numbers, the 10 best by inner product, 50 seen items left out for each.
``implicit`` runs ``recommend(filter_already_liked_items=True)``; FAISS Flat is asked for 60 and its answers are
filtered. Each rival is a process of its own with all cores, and waits while another side is timed. The runs are
interleaved; times are medians. Every side must find the same rows, but for rows whose scores are equal up to rounding
in float32; how many people have such rows is part of the result. Also timed: our search without bf16, and the
products alone, which no search by comparison can do without.
``--lengths`` spreads the lengths of the items' vectors (the standard deviation of their logarithm).
``implicit`` needs an environment of its own: implicit==0.7.3.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from common import median_ratio, record

from isthmus.index.exact.searcher import ExactSearcher
from isthmus.rowlists import RowLists

RIVAL = Path(__file__).parent / "rivals" / "flat_search.py"
AGREE = 2e-6
"""Scores nearer than this, relative to the lengths of the vectors, are equal up to rounding."""


@dataclass(frozen=True)
class Problem:
    people: torch.Tensor
    items: torch.Tensor
    seen: RowLists
    k: int

    @classmethod
    def drawn(cls, people: int, items: int, width: int, seen: int, k: int, lengths: float) -> Problem:
        random = np.random.default_rng(2026)
        rows = np.stack([random.choice(items, seen, replace=False, shuffle=False) for _ in range(people)])
        vectors = random.standard_normal((items, width), np.float32)
        vectors *= np.exp(lengths * random.standard_normal((items, 1), np.float32))
        queries = random.standard_normal((people, width), np.float32)
        ends = torch.arange(0, people * seen + 1, seen)
        lists = RowLists(torch.from_numpy(rows).flatten(), ends)
        return cls(torch.from_numpy(queries), torch.from_numpy(vectors), lists, k)

    def write(self, folder: Path) -> None:
        np.savez(
            folder / "problem.npz",
            people=self.people.numpy(),
            items=self.items.numpy(),
            seen=self.seen.rows.numpy(),
            ends=self.seen.offsets.numpy(),
        )


class Rival:
    """A rival in its own process, asked for one search at a time."""

    def __init__(self, python: str, name: str, folder: Path, k: int) -> None:
        self._found = folder / f"{name}.npy"
        self._log = folder / f"{name}.log"
        # implicit asks for it, since it has threads of its own.
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"} if name == "implicit" else None
        self._process = subprocess.Popen(
            [python, str(RIVAL), name, str(folder), str(k)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log.open("w"),
            text=True,
            env=environment,
        )
        if self._read() != "ready\n":
            raise SystemExit(self._log.read_text()[-2000:])

    def search(self) -> tuple[float, torch.Tensor]:
        sent: IO[str] | None = self._process.stdin
        assert sent is not None
        sent.write("\n")
        sent.flush()
        taken = json.loads(self._read())["seconds"]
        return taken, torch.from_numpy(np.load(self._found))

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


def ours(problem: Problem, halved: bool) -> Callable[[], tuple[float, torch.Tensor]]:
    searcher = ExactSearcher.build(problem.items, halved=halved)

    def search() -> tuple[float, torch.Tensor]:
        start = time.perf_counter()
        found = searcher.search(problem.people, problem.k, exclude=problem.seen).rows
        return time.perf_counter() - start, found

    return search


def product(problem: Problem, dtype: torch.dtype) -> float:
    """Seconds of all inner products in blocks that stay near the processor, the best of five."""
    items, people = problem.items.to(dtype), problem.people.to(dtype)
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        for some in people.split(512):
            turned = some.T.contiguous()
            for part in items.split(2048):
                torch.mm(part, turned)
        taken.append(time.perf_counter() - start)
    return min(taken)


def apart(problem: Problem, found: torch.Tensor, other: torch.Tensor) -> tuple[int, float]:
    """For how many people two answers differ, and by how much their scores do, relative to |person| · |item|."""
    differ = (found != other).any(1).nonzero()[:, 0]
    if not len(differ):
        return 0, 0.0
    people = problem.people[differ].double()
    vectors = [problem.items[rows[differ]].double() for rows in (found, other)]
    first, second = (torch.einsum("bkd,bd->bk", one, people) for one in vectors)
    scale = vectors[0].norm(dim=2) * people.norm(dim=1)[:, None]
    return len(differ), float(((first - second).abs() / scale).max())


def compare(
    problem: Problem, sides: dict[str, Callable[[], tuple[float, torch.Tensor]]], repeats: int
) -> dict[str, Any]:
    """Interleaved runs, after one of each that does not count."""
    found = {name: search()[1] for name, search in sides.items()}
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, search in sides.items():
            taken, found[name] = search()
            times[name].append(taken)
    differing = {}
    for name in found:
        differing[name], gap = apart(problem, found["isthmus"], found[name])
        if gap > AGREE:
            raise SystemExit(f"{name} found others: scores are {gap} apart")
    return {
        "seconds": {name: round(statistics.median(series), 4) for name, series in times.items()},
        "runs": {name: [round(one, 4) for one in series] for name, series in times.items()},
        "times_faster": {name: round(median_ratio(series, times["isthmus"]), 2) for name, series in times.items()},
        "people_with_rows_equal_but_for_rounding": differing,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rival-python", required=True, help="the interpreter of the environment of implicit")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--people", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--seen", type=int, default=50)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--lengths", type=float, default=0.0)
    given = parser.parse_args()
    problem = Problem.drawn(given.people, given.items, given.width, given.seen, given.k, given.lengths)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        problem.write(folder)
        rivals = {
            "implicit": Rival(given.rival_python, "implicit", folder, given.k),
            "faiss": Rival(sys.executable, "faiss", folder, given.k),
        }
        sides = {"isthmus": ours(problem, True), "isthmus_without_bf16": ours(problem, False)}
        sides |= {rival: process.search for rival, process in rivals.items()}
        found = compare(problem, sides, given.repeats)
        for process in rivals.values():
            process.close()
    products = {"fp32": product(problem, torch.float32), "bf16": product(problem, torch.bfloat16)}
    found["product_seconds"] = {name: round(taken, 4) for name, taken in products.items()}
    found["share_of_fp32_product"] = round(found["seconds"]["isthmus"] / products["fp32"], 3)
    setting = {name: value for name, value in vars(given).items() if name not in ("rival_python", "repeats")}
    rival_names = ["implicit 0.7.3", "faiss IndexFlatIP, k + seen"]
    line = record("recommender_search", rivals=rival_names, threads=torch.get_num_threads(), **setting, **found)
    print(json.dumps(line, indent=2))


if __name__ == "__main__":
    main()

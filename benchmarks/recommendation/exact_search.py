"""How fast is the exact search behind recommendations, beside ``implicit`` 0.7.3 and FAISS Flat?

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

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from benchmarks.harness import Line, Results, Smoke, mark, markdown, median_ratio, medians, newest
from benchmarks.processes import Python, Server, available
from isthmus.index.exact.searcher import ExactSearcher
from isthmus.rowlists import RowLists

NAME = "recommender_search"
TITLE = "Exact search for many people"
Search = Callable[[], tuple[float, torch.Tensor]]
"""Seconds, and the rows that were found."""

RIVALS = ("faiss", "implicit")
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


def ours(problem: Problem, halved: bool) -> Search:
    searcher = ExactSearcher.build(problem.items, bf16=halved)

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


def asked_of(server: Server, found: Path) -> Search:
    """A rival's search; its rows come in a file."""

    def search() -> tuple[float, torch.Tensor]:
        return server.ask()["seconds"], torch.from_numpy(np.load(found))

    return search


def compare(problem: Problem, sides: dict[str, Search], repeats: int) -> Line:
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
            raise ValueError(f"{name} found others: scores are {gap} apart")
    return {
        "seconds": {name: round(middle, 4) for name, middle in medians(times).items()},
        "runs": {name: [round(one, 4) for one in series] for name, series in times.items()},
        "times_faster": {name: round(median_ratio(series, times["isthmus"]), 2) for name, series in times.items()},
        "people_with_rows_equal_but_for_rounding": differing,
    }


def run(
    smoke: Smoke = False,
    rival_python: Python = None,
    repeats: int = 7,
    people: int = 10_000,
    items: int = 100_000,
    width: int = 128,
    seen: int = 50,
    k: int = 10,
    lengths: Annotated[float, typer.Option(help="Deviation of the logarithm of the items' lengths.")] = 0.0,
) -> list[Line]:
    """Search for everybody, in turns with the rivals."""
    results = Results(NAME, smoke=smoke)
    if smoke:
        repeats, people, items = 1, 50, 400
    setting = {"people": people, "items": items, "width": width, "seen": seen, "k": k, "lengths": lengths}
    problem = Problem.drawn(**setting)
    pythons = {"faiss": Path(sys.executable)}
    if available(rival_python, "implicit", smoke=smoke):
        pythons["implicit"] = rival_python
    sides = {"isthmus": ours(problem, True), "isthmus_without_bf16": ours(problem, False)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        problem.write(folder)
        # implicit asks for one thread of BLAS, since it has threads of its own.
        env = {"implicit": {"OPENBLAS_NUM_THREADS": "1"}}
        servers = {
            rival: Server(python, "flat_search.py", rival, folder, k, log=folder / f"{rival}.log", **env.get(rival, {}))
            for rival, python in pythons.items()
        }
        sides |= {rival: asked_of(server, folder / f"{rival}.npy") for rival, server in servers.items()}
        found = compare(problem, sides, repeats)
        for server in servers.values():
            server.close()
    products = {"fp32": product(problem, torch.float32), "bf16": product(problem, torch.bfloat16)}
    found["product_seconds"] = {name: round(taken, 4) for name, taken in products.items()}
    found["share_of_fp32_product"] = round(found["seconds"]["isthmus"] / products["fp32"], 3)
    rivals = ["implicit 0.7.3", "faiss IndexFlatIP, k + seen"]
    results.add(rivals=rivals, threads=torch.get_num_threads(), **setting, **found)
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """Seconds of everybody's search."""
    rows = []
    for line in newest(lines, lambda line: [line[name] for name in ("people", "items", "width", "k")]):
        spent, faster = line["seconds"], line["times_faster"]
        cells = [
            f"{spent[who]:.2f} s" + (f" (**{faster[who]:.1f}×**)" if who in RIVALS else "")
            if who in spent
            else "not run"
            for who in ("isthmus", "isthmus_without_bf16", *RIVALS)
        ]
        rows += [
            f"{line['people']:,} people × {line['items']:,} items × {line['width']}, top {line['k']}, "
            f"{line['seen']} seen items each left out, identical answers{mark(line)}:",
            "",
            *markdown(["isthmus", "without bf16", "FAISS Flat, k + seen", "implicit 0.7.3"], [cells]),
            "",
            f"The same-shape product alone takes {line['product_seconds']['fp32']:.2f} s in fp32.",
        ]
    return rows

"""Random filtered queries: no filter may leak, and no answer may be short while enough may answer.

An index of 20,000 × 16 for each kind, with rows removed and added. Each query has a k of its own between 1 and 30, and,
by chance, ids to exclude (few or many), ids allowed to it (few or many) or ids allowed to everybody. Every
answer is checked: no excluded and no gone id, only allowed ones, none twice, and as many as there can be. The queries
are shared out among the kinds; kinds that have a line are left out.
"""

from __future__ import annotations

import time
from typing import Annotated, get_args

import numpy as np
import typer

from benchmarks.harness import Line, Results, Smoke, chosen
from benchmarks.index.tables import filters as table
from isthmus.index import Index
from isthmus.index.faiss import Kind

__all__ = ["table"]

NAME = "index_filters"
TITLE = "Filters"
ROWS, LATER, WIDTH, BATCH = 20_000, 400, 16, 500


def built(kind: str) -> tuple[Index, np.ndarray]:
    random = np.random.default_rng(1)
    # Lengths differ, and so do the axes, so that every kind reaches its target and is not replaced by exact search.
    vectors = random.standard_normal((ROWS, WIDTH), np.float32) * np.exp(random.standard_normal((ROWS, 1)) / 2)
    vectors = (vectors * np.exp(-np.arange(WIDTH) / 4)).astype(np.float32)
    index = Index.build(vectors, kind=kind, target_recall=0.5)
    index.remove(random.choice(ROWS, 1500, replace=False))
    index.add(random.standard_normal((LATER, WIDTH), np.float32), range(ROWS, ROWS + LATER))
    return index, np.array(index.ids)


def some(random: np.random.Generator, most: int) -> np.ndarray:
    """Ids, those that are gone among them; more often few than many."""
    return random.integers(0, ROWS + LATER, int(np.exp(random.uniform(0, np.log(most)))))


def ask(index: Index, here: np.ndarray, random: np.random.Generator) -> tuple[int, int]:
    """One batch; how many answers leaked and how many were short."""
    queries, ks = random.standard_normal((BATCH, WIDTH), np.float32), random.integers(1, 31, BATCH)
    exclude = [some(random, 1000) for _ in range(BATCH)] if random.random() < 0.7 else None
    chance = random.random()
    shared = some(random, ROWS) if chance < 0.3 else None
    allow = [some(random, 1000) for _ in range(BATCH)] if chance > 0.7 else shared
    found = index.search(queries, ks.tolist(), exclude=exclude, allow=allow)
    alive = np.zeros(ROWS + LATER, dtype=bool)
    alive[here] = True
    leaks = short = 0
    for query, own in enumerate(found.ids):
        open_ = alive if allow is None else only(alive, shared if shared is not None else allow[query])
        if exclude is not None:
            open_ = open_ & ~only(True, exclude[query])
        answered = np.array(own, dtype=np.int64)
        leaks += int((~open_[answered]).sum()) + len(answered) - len(np.unique(answered))
        short += len(answered) != min(int(ks[query]), int(open_.sum()))
    return leaks, short


def only(alive: np.ndarray | bool, ids: np.ndarray) -> np.ndarray:
    """Of all ids that ever were, which are among these and alive."""
    found = np.zeros(ROWS + LATER, dtype=bool)
    found[ids] = True
    return found & alive


def run(
    smoke: Smoke = False,
    queries: int = 1_000_000,
    kind: Annotated[list[str] | None, typer.Option(help="Only this one; may be given several times.")] = None,
) -> list[Line]:
    """Ask every kind.

    Raises:
        RuntimeError: a kind fell short of its target, so that exact search would be tested in its place.
    """
    results = Results(NAME, smoke=smoke)
    kinds = chosen(["exact", "ivf"] if smoke else kind, ["exact", *get_args(Kind)])
    batches = 1 if smoke else -(-queries // (BATCH * len(kinds)))
    for number, name in enumerate(kinds):
        if results.find(kind=name, queries=batches * BATCH):
            continue
        index, here = built(name)
        if index.info()["kind"] != name:
            raise RuntimeError(f"{name} fell short of its target: exact search would be tested in its place")
        random = np.random.default_rng(100 + number)
        start, leaks, short = time.perf_counter(), 0, 0
        for _ in range(batches):
            found = ask(index, here, random)
            leaks, short = leaks + found[0], short + found[1]
        spent = time.perf_counter() - start
        results.add(kind=name, queries=batches * BATCH, rows=len(here), leaks=leaks, short=short, seconds=spent)
    return results.made

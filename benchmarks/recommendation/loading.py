"""How much time and memory does it take to turn a CSV of 25 million ratings into a matrix?

The file resembles MovieLens-25M (userId, movieId, rating, timestamp; 162,541 people, 59,047 films, power laws, half
stars) and is written to a temporary directory by a seeded generator. The load runs in a process of its own, so that
nothing of the generator is counted; memory is the growth of its peak over its size after importing.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from benchmarks.harness import Line, Results, Smoke, mark, markdown, newest, peak_rss, rss
from benchmarks.processes import alone

NAME = "csv_loading"
TITLE = "Loading interactions"
USERS, ITEMS = 162_541, 59_047
LARGEST_ITEM_ID = 209_171
SHARES = {0.5: 0.016, 1.0: 0.031, 1.5: 0.016, 2.0: 0.066, 2.5: 0.051, 3.0: 0.196, 3.5: 0.127, 4.0: 0.266, 4.5: 0.088}
BLOCK = 1_000_000


def activity(rows: int, generator: np.random.Generator) -> np.ndarray:
    """Ratings of each person: log-normal, at least one, ``rows`` in all."""
    shares = generator.lognormal(0.0, 1.25, min(USERS, rows // 50))
    counts = np.maximum(1, (shares / shares.sum() * rows)).astype(np.int64)
    counts[np.argmax(counts)] += rows - counts.sum()
    return counts


def write_ratings(path: Path, rows: int, seed: int = 0) -> None:
    """Write the file, sorted by person as MovieLens is."""
    generator = np.random.default_rng(seed)
    ids = np.sort(generator.choice(LARGEST_ITEM_ID, ITEMS, replace=False)) + 1
    popularity = 1.0 / (np.arange(ITEMS) + 50.0) ** 1.15
    reach = np.cumsum(generator.permutation(popularity))
    levels = np.array([*SHARES, 5.0])
    edges = np.cumsum(list(SHARES.values()))
    counts = activity(rows, generator)
    people = np.repeat(np.arange(1, len(counts) + 1), counts)
    names = ["userId", "movieId", "rating", "timestamp"]
    with pacsv.CSVWriter(path, pa.schema(list(zip(names, _types(), strict=True)))) as writer:
        for start in range(0, rows, BLOCK):
            user = people[start : start + BLOCK]
            drawn = ids[np.searchsorted(reach, generator.random(len(user)) * reach[-1])]
            item = drawn[np.lexsort((drawn, user))]
            rating = levels[np.searchsorted(edges, generator.random(len(user)))]
            when = generator.integers(789_652_009, 1_574_327_703, len(user))
            writer.write(pa.record_batch([user, item, rating, when], names=names))


def _types() -> list[pa.DataType]:
    return [pa.int64(), pa.int64(), pa.float64(), pa.int64()]


def load(path: str, keep: str | None) -> dict[str, object]:
    """The measured part, in a process of its own."""
    from isthmus_interactions.interactions import Interactions

    before, start = rss(), time.perf_counter()
    interactions = Interactions.read(path, keep=keep)
    taken = time.perf_counter() - start
    return {
        "seconds": round(taken, 2),
        "peak_growth_mb": round((peak_rss() - before) / 1e6),
        "peak_mb": round(peak_rss() / 1e6),
        "users": len(interactions),
        "items": len(interactions.items),
        "interactions": interactions.nnz,
        "report": interactions.report.text(),
    }


def run(smoke: Smoke = False, rows: int = 25_000_000, keep: str | None = None) -> list[Line]:
    """Write the file and load it; ``keep`` is that of ``Interactions.read``."""
    results = Results(NAME, smoke=smoke)
    if smoke:
        rows = 5_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ratings.csv"
        write_ratings(path, rows)
        size = path.stat().st_size
        numbers = alone(load, str(path), keep)
    results.add(rows=rows, file_mb=round(size / 1e6), keep=keep, **numbers)
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """Seconds and memory."""
    rows = [
        (
            f"{line['rows'] / 1e6:.0f} M rows, {line['file_mb']:,} MB" + mark(line),
            line["keep"] or "top two fifths of the scale",
            f"{line['seconds']:.1f} s",
            f"{line['peak_mb']:,.0f} MB",
        )
        for line in newest(lines, lambda line: (line["rows"], line["keep"]))
    ]
    return markdown(["CSV", "rows kept", "seconds", "peak memory"], rows) if rows else []

"""What do ten million vectors in eight parts take, beside one inverted file of FAISS with the same bytes a vector?

Vectors of 4,096 clusters in 64 dimensions with falling variances, scaled to length one, in 20 Parquet files without
ids; inner product. One side is ``ShardedIndex.build(folder, shards=8, kind="ivf-sq8", target_recall=0.95)``, mapped
from the disk when it is asked; it computes scores from the original vectors. The other is FAISS's
``IndexIVFScalarQuantizer`` of all vectors, one byte a number as well, with as many lists as every part has, trained on
64 vectors each; it is asked with the fewest lists that find as many of the true neighbours, or after which more lists
find hardly more, because its scores are those of its codes. Every step is a process of its own with one thread. Queries
are vectors with noise, asked 500 at a time; recall is measured beside exact search over all files.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import faiss
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import typer

from benchmarks.harness import Line, Results, Smoke, chosen, mark, markdown, newest, own_memory, peak_rss, rss, seconds
from benchmarks.processes import alone
from isthmus.index import ShardedIndex
from isthmus.index.faiss.shared_lists import lists_for
from isthmus.index.kinds import rising
from isthmus.index.threads import limit

NAME = "index_many"
TITLE = "Ten million vectors in parts"
ROWS, WIDTH, FILES, SHARDS, QUERIES, K, KIND = 10_000_000, 64, 20, 8, 500, 10, "ivf-sq8"
CLUSTERS, POINTS, TARGET, PLATEAU = 4096, 64, 0.95, 0.002

Array = npt.NDArray[np.float32]


def drawn(seed: int, rows: int) -> Array:
    """Vectors of length one, the same ones for the same seed."""
    centres = np.random.default_rng(0).standard_normal((CLUSTERS, WIDTH), np.float32)
    random = np.random.default_rng(seed)
    scale = np.exp(-np.arange(WIDTH) / 20).astype(np.float32)
    made = centres[random.integers(0, CLUSTERS, rows)]
    made += 0.7 * random.standard_normal((rows, WIDTH), np.float32)
    made *= scale
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def write(folder: Path, rows: int) -> None:
    """The files of vectors, and the queries: vectors of all files with noise."""
    (folder / "vectors").mkdir()
    asked = []
    for number in range(FILES):
        made = drawn(1 + number, rows // FILES)
        column = pa.FixedSizeListArray.from_arrays(pa.array(made.reshape(-1)), WIDTH)
        path = folder / "vectors" / f"{number:02d}.parquet"
        pq.write_table(pa.table({"vector": column}), path, compression="none", row_group_size=1 << 17)
        asked.append(made[: QUERIES // FILES])
    queries = np.concatenate(asked)
    scale = np.exp(-np.arange(WIDTH) / 20).astype(np.float32)
    noise = np.random.default_rng(0).standard_normal(queries.shape, np.float32) * scale
    np.save(folder / "queries.npy", queries + 0.2 * noise / np.linalg.norm(noise, axis=1, keepdims=True))


def blocks(folder: Path) -> Iterator[Array]:
    """The vectors of each file."""
    for path in sorted((folder / "vectors").glob("*.parquet")):
        column = pq.read_table(path)["vector"].combine_chunks()
        yield column.flatten().to_numpy().reshape(-1, WIDTH)


def truth(folder: Path) -> list[list[int]]:
    """The true nearest rows of each query, by comparing it with every vector."""
    torch.set_num_threads(1)
    queries = torch.from_numpy(np.load(folder / "queries.npy"))
    scores, rows, first = torch.empty(len(queries), 0), torch.empty(len(queries), 0, dtype=torch.int64), 0
    for block in blocks(folder):
        for vectors in torch.from_numpy(block.copy()).split(1 << 16):
            near = (queries @ vectors.T).topk(min(K, len(vectors)))
            scores, rows = torch.cat([scores, near.values], 1), torch.cat([rows, near.indices + first], 1)
            first += len(vectors)
        best = scores.topk(K)
        scores, rows = best.values, rows.gather(1, best.indices)
    found: list[list[int]] = rows.tolist()
    return found


def recall(found: Sequence[Sequence[Any]], true: Sequence[Sequence[int]]) -> float:
    """The share of the true neighbours that was found."""
    hits = sum(len({*map(int, own)} & {*best}) for own, best in zip(found, true, strict=True))
    return hits / sum(map(len, true))


def built(folder: Path, shards: int) -> dict[str, Any]:
    """Build the index of parts."""
    with limit(1):
        started = time.perf_counter()
        index = ShardedIndex.build(folder / "vectors", folder / "index", shards=shards, kind=KIND, target_recall=TARGET)
        took, told = time.perf_counter() - started, index.info()
    parts = [part["recall"] for part in told["parts"]]
    return {
        "build_seconds": took,
        "build_peak_gb": peak_rss() / 1e9,
        "recall_told": told["recall"],
        "recall_of_parts": parts,
        "probes": [part["settings"].get("probes") for part in told["parts"]],
        "bytes_a_vector": told["bytes"] / told["rows"] - 4 * WIDTH,
    }


def asked(folder: Path, true: list[list[int]]) -> dict[str, Any]:
    """Load the index of parts, mapped, and ask it."""
    with limit(1):
        queries, empty = np.load(folder / "queries.npy"), own_memory()
        started = time.perf_counter()
        index = ShardedIndex.load(folder / "index", verify="header")
        loaded = time.perf_counter() - started
        took = seconds(lambda: index.search(queries, K), repeats=3)
        single = [seconds(lambda query=query: index.search(query, K), repeats=1, warmup=0)[0] for query in queries[:50]]
        return {
            "load_seconds": loaded,
            "own_gb": (own_memory() - empty) / 1e9,
            "resident_gb": rss() / 1e9,
            "recall": recall(index.search(queries, K).ids, true),
            "queries_a_second": len(queries) / statistics.median(took),
            "milliseconds_alone": 1000 * statistics.median(single),
        }


def inverted_file(folder: Path, rows: int, shards: int, true: list[list[int]], least: float) -> dict[str, Any]:
    """FAISS's index of all vectors, asked with the fewest lists that find ``least`` of the true neighbours."""
    faiss.omp_set_num_threads(1)
    queries, empty = np.load(folder / "queries.npy"), own_memory()
    lists = lists_for(rows // shards)
    started = time.perf_counter()
    share = lists * POINTS // FILES
    sample = np.concatenate([block[:: max(1, len(block) // share)].copy() for block in blocks(folder)])
    coarse = faiss.IndexFlatIP(WIDTH)
    index = faiss.IndexIVFScalarQuantizer(
        coarse, WIDTH, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.max_points_per_centroid, index.cp.min_points_per_centroid = POINTS, 1
    index.train(sample)
    del sample
    for block in blocks(folder):
        index.add(np.ascontiguousarray(block))
    built_in = time.perf_counter() - started
    tried: dict[int, float] = {}
    for probes in rising(1, lists):
        index.nprobe = probes
        tried[probes] = recall(index.search(queries, K)[1], true)
        # Scores of codes have a recall that no number of lists exceeds.
        if tried[probes] >= least or tried[probes] - [0.0, *tried.values()][-5:][0] < PLATEAU:
            break
    enough = least if tried[probes] >= least else tried[probes] - PLATEAU
    index.nprobe = probes = next(one for one, found in tried.items() if found >= enough)
    took = seconds(lambda: index.search(queries, K), repeats=3, warmup=0)
    single = [seconds(lambda one=query[None]: index.search(one, K), repeats=1, warmup=0)[0] for query in queries[:50]]
    return {
        "build_seconds": built_in,
        "build_peak_gb": peak_rss() / 1e9,
        "own_gb": (own_memory() - empty) / 1e9,
        "resident_gb": rss() / 1e9,
        "recall": tried[probes],
        "lists": lists,
        "probes": probes,
        "bytes_a_vector": index.code_size + 8 + 4 * WIDTH * lists / rows,
        "queries_a_second": len(queries) / statistics.median(took),
        "milliseconds_alone": 1000 * statistics.median(single),
    }


def run(
    smoke: Smoke = False,
    rows: int = ROWS,
    folder: Annotated[Path | None, typer.Option(help="Where files of 6 GB go for the time of the run.")] = None,
    side: Annotated[
        list[str] | None, typer.Option(help="isthmus or faiss; the latter needs the former [both].")
    ] = None,
) -> list[Line]:
    """Write the vectors, build and ask both."""
    results = Results(NAME, smoke=smoke)
    rows, shards = (8_000, 2) if smoke else (rows, SHARDS)
    shared = {"rows": rows, "width": WIDTH, "k": K}
    ours = {**shared, "library": "isthmus", "kind": KIND, "shards": shards}
    sides = chosen(side, ("isthmus", "faiss"))
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        place = Path(scratch)
        alone(write, place, rows, apart=not smoke)
        true = alone(truth, place, apart=not smoke)
        if "isthmus" in sides:
            made = alone(built, place, shards, apart=not smoke)
            found = alone(asked, place, true, apart=not smoke)
            results.add(configuration=ours, **made, **found, load=os.getloadavg()[0])
        known = results.find(configuration=ours)
        if "faiss" in sides and known is not None:
            other = alone(inverted_file, place, rows, shards, true, known["recall"], apart=not smoke)
            theirs = {**shared, "library": "faiss", "kind": "IVF, SQ8", "shards": 1}
            results.add(configuration=theirs, **other, load=os.getloadavg()[0])
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """A row for each side."""
    rows = []
    for line in newest(lines, lambda line: line["configuration"]):
        config = line["configuration"]
        rows.append(
            (
                f"{config['library']}, {config['kind']}",
                f"{config['rows']:,}",
                config["shards"],
                f"{line['build_seconds']:,.0f}{mark(line)}",
                f"{line['build_peak_gb']:.2f}",
                f"{line['own_gb']:.2f}",
                f"{line['bytes_a_vector']:.1f}",
                f"{line['recall']:.3f}",
                f"{line['queries_a_second']:,.0f}",
                f"{line['milliseconds_alone']:.1f}",
                f"{line['load'] / line['device']['cores']:.0f}",
            )
        )
    head = (
        "index", "vectors", "parts", "seconds to build", "GB at most while built", "GB of its own when asked",
        "bytes a vector", "recall@10", "queries a second", "ms alone", "load of a core",
    )  # fmt: skip
    return markdown(head, rows) if rows else []

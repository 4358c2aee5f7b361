"""The rivals' side of ``index_recall`` and ``index_exact``, in an environment of their own.

    python ann_search.py LIBRARY FOLDER METRIC K THREADS

FOLDER/vectors.npy, queries.npy and least.npy (the score of each query's true k-th neighbour, higher is nearer). Prints
one JSON line: versions, seconds to build, and for each setting the share of the true neighbours found, the queries a
second in one batch, and the seconds of a query alone; with one thread these are seconds on the processor. METRIC is ip
or l2.
"""

import json
import sys
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

PROBES = (*range(1, 17), 20, 24, 32, 48, 64, 96, 128, 256, 512)
BREADTHS = (*range(10, 32, 2), 32, 40, 48, 64, 96, 128, 192, 256, 512, 1024)
RUNS, ALONE = 9, 64


def of_flat(vectors, metric, threads):
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlat(vectors.shape[1], faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT)
    index.add(vectors)
    return [({}, lambda queries, k: index.search(queries, k)[1])]


def of_ivf(vectors, metric, threads):
    import faiss

    faiss.omp_set_num_threads(threads)
    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    lists = max(1, min(int(4 * len(vectors) ** 0.5), len(vectors) // 39))
    index = faiss.index_factory(vectors.shape[1], f"IVF{lists},Flat", kind)
    index.train(vectors)
    index.add(vectors)

    def asked(probes):
        def search(queries, k):
            index.nprobe = probes
            return index.search(queries, k)[1]

        return {"lists": lists, "probes": probes}, search

    return [asked(probes) for probes in PROBES if probes <= lists]


def of_hnsw(vectors, metric, threads):
    """Raw inner products where the metric is one: what a user gets who asks for it."""
    import faiss

    faiss.omp_set_num_threads(threads)
    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexHNSWFlat(vectors.shape[1], 32, kind)
    index.hnsw.efConstruction = 128
    index.add(vectors)

    def asked(breadth):
        def search(queries, k):
            index.hnsw.efSearch = breadth
            return index.search(queries, k)[1]

        return {"breadth": breadth}, search

    return [asked(breadth) for breadth in BREADTHS]


def of_hnswlib(vectors, metric, threads):
    import hnswlib

    index = hnswlib.Index(space=metric, dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors), ef_construction=128, M=32, random_seed=0)
    index.set_num_threads(threads)
    index.add_items(vectors)

    def asked(breadth):
        def search(queries, k):
            index.set_ef(max(breadth, k))
            return index.knn_query(queries, k)[0].astype(np.int64)

        return {"breadth": breadth}, search

    return [asked(breadth) for breadth in BREADTHS]


def of_usearch(vectors, metric, threads):
    from usearch.index import Index

    kind = "l2sq" if metric == "l2" else "ip"
    index = Index(ndim=vectors.shape[1], metric=kind, connectivity=32, expansion_add=128)
    index.add(np.arange(len(vectors)), vectors, threads=threads)

    def asked(breadth):
        def search(queries, k):
            index.expansion_search = breadth
            return np.asarray(index.search(queries, k, threads=threads).keys, dtype=np.int64).reshape(len(queries), -1)

        return {"breadth": breadth}, search

    return [asked(breadth) for breadth in BREADTHS]


def of_implicit(vectors, metric, threads):
    """The index that its wrapper makes (one query a person when seen items are filtered); settings are its own."""
    import faiss
    from implicit.ann.faiss import FaissModel
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    faiss.omp_set_num_threads(threads)
    model = AlternatingLeastSquares(factors=vectors.shape[1])
    model.fit = lambda *given, **also: None
    model.item_factors = vectors
    wrapper = FaissModel(model, approximate_similar_items=False)
    wrapper.fit(csr_matrix((1, len(vectors))), show_progress=False)

    def search(queries, k):
        model.user_factors = queries
        return wrapper.recommend(np.arange(len(queries)), None, N=k, filter_already_liked_items=False)[0]

    return [({"lists": wrapper.nlist, "probes": wrapper.nprobe}, search)]


LIBRARIES = {
    "faiss-flat": (of_flat, "faiss-cpu"),
    "faiss-ivf": (of_ivf, "faiss-cpu"),
    "faiss-hnsw": (of_hnsw, "faiss-cpu"),
    "hnswlib": (of_hnswlib, "hnswlib"),
    "usearch": (of_usearch, "usearch"),
    "implicit": (of_implicit, "implicit"),
}


def recall(found, vectors, queries, least, metric):
    """The share of answers that are as near as the true k-th neighbour."""
    chosen = vectors[found.clip(min=0)].astype(np.float64)
    if metric == "l2":
        scores = -((chosen - queries[:, None]) ** 2).sum(2)
    else:
        scores = np.einsum("qkw,qw->qk", chosen, queries.astype(np.float64))
    return float(((scores >= least[:, None] - 1e-5 * np.abs(least[:, None]) - 1e-9) & (found >= 0)).mean())


def one_by_one(search, queries, k):
    for query in queries:
        search(query[None], k)


def quickest(work, threads):
    """Seconds of the quickest of several runs."""
    clock, taken = time.thread_time if threads == 1 else time.perf_counter, []
    for _ in range(RUNS):
        start = clock()
        work()
        taken.append(clock() - start)
    return min(taken)


def main(name, folder, metric, k, threads):
    vectors, queries, least = (np.load(folder / f"{part}.npy") for part in ("vectors", "queries", "least"))
    make, package = LIBRARIES[name]
    start = time.perf_counter()
    asked = make(vectors, metric, threads)
    built, curve = time.perf_counter() - start, []
    for settings, search in asked:
        share = recall(np.asarray(search(queries, k)), vectors, queries, least, metric)
        together, some = quickest(partial(search, queries, k), threads), queries[:ALONE]
        alone = quickest(partial(one_by_one, search, some, k), threads)
        speed = {"queries_per_second": len(queries) / together, "seconds_a_query": alone / len(some)}
        curve.append({"settings": settings, "recall": share, **speed})
    print(json.dumps({"version": version(package), "build_seconds": built, "curve": curve}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))

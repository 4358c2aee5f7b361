"""The rivals' side of ``recommender_search``; runs in the environment of ``implicit`` or of FAISS.

    python flat_search.py implicit|faiss FOLDER K

FOLDER/problem.npz holds people and items as vectors, and what each person has seen (CSR: seen, ends). Says "ready",
and answers each line of standard input with one JSON line, the seconds of one search over all people; what was found
is in FOLDER/NAME.npy.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np


def of_implicit(problem, k):
    """``recommend`` with ``filter_already_liked_items``, as users call it."""
    from implicit.cpu.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    people, items = problem["people"], problem["items"]
    model = AlternatingLeastSquares(factors=people.shape[1])
    model.user_factors, model.item_factors = people, items
    ones = np.ones(len(problem["seen"]), np.float32)
    seen = csr_matrix(
        (ones, problem["seen"].astype(np.int32), problem["ends"].astype(np.int32)), (len(people), len(items))
    )
    everybody = np.arange(len(people))
    return lambda: model.recommend(everybody, seen, N=k, filter_already_liked_items=True)[0]


def of_faiss(problem, k):
    """As many more neighbours as the longest list of seen items, and the first k of those not seen."""
    import faiss

    people, items, ends = problem["people"], problem["items"], problem["ends"]
    index = faiss.IndexFlatIP(items.shape[1])
    index.add(items)
    most = int(np.diff(ends).max())
    owner = np.repeat(np.arange(len(people)), np.diff(ends))
    keys = np.sort(owner * len(items) + problem["seen"])

    def search():
        found = index.search(people, k + most)[1]
        own = np.arange(len(people))[:, None] * len(items) + found
        known = keys[np.searchsorted(keys, own).clip(max=len(keys) - 1)] == own
        return np.take_along_axis(found, known.argsort(1, kind="stable")[:, :k], 1)

    return search


def main(name: str, folder: Path, k: int) -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    with np.load(folder / "problem.npz") as arrays:
        problem = {key: arrays[key] for key in arrays.files}
    search = {"implicit": of_implicit, "faiss": of_faiss}[name](problem, k)
    print("ready", file=answers, flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        found = search()
        taken = time.perf_counter() - start
        np.save(folder / f"{name}.npy", np.asarray(found, dtype=np.int64))
        print(json.dumps({"seconds": taken}), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))

"""How many of an image's other captions are found when vectors are kept in 96, 48 or 24 bytes?

Vectors: all-MiniLM-L6-v2 (384 numbers, unit length) of the multi30k captions. Everybody learns from the 145,000
training captions and is asked with the 5,000 test captions (1,000 images): a caption searches the 4,999 others, the
other four of its image are relevant, recall@10 is the share of them among the first ten. Queries are whole vectors for
everybody; only what is searched is compressed, and what is left of it is brought to length 1 again for everybody, as
cosine asks (without that, principal components at 24 bytes find .383 and not .48). Settings were chosen on training
captions: ``--validate`` holds the first 1,000 images out.

    python benchmarks/text_compression.py                         # the table, one line for each method and size
    python benchmarks/text_compression.py --bytes 24 --methods ours --validate

Rivals: the first numbers of a vector, one byte each (``truncation``); the first principal components, one byte each
(``pca``), both with the scale of each column's largest training value; FAISS product quantisation of as many bytes
(``pq``), and with a learned rotation (``opq``), both with FAISS's defaults of training.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt
import torch
from common import record

from isthmus.training.run import Run
from isthmus_text.datasets import multi30k_captions
from isthmus_vectors.compressor import Compressor

Array = npt.NDArray[np.float32]
Method = Callable[[Array, Array, int], Array]
"""(what to learn from, what to keep, bytes) -> the vectors that are left of it."""

IMAGES_HELD_OUT, CAPTIONS, K = 1000, 5, 10


def recall(queries: Array, kept: Array) -> float:
    """The share of the other captions of an image among the first ten of all others."""
    unit = torch.nn.functional.normalize(torch.from_numpy(np.ascontiguousarray(kept, dtype=np.float32)))
    scores = torch.from_numpy(queries) @ unit.T
    found = scores.fill_diagonal_(-torch.inf).topk(K, 1).indices // CAPTIONS
    own = torch.arange(len(queries))[:, None] // CAPTIONS
    return float((found == own).sum(1).float().mean()) / (CAPTIONS - 1)


def full(examples: Array, vectors: Array, size: int) -> Array:
    """The vectors themselves."""
    return vectors


@dataclass
class Ours:
    """``matryoshka`` with its defaults: one model of the most bytes, whose shorter codes are searched too."""

    most: int
    fitted: Compressor | None = None

    def __call__(self, examples: Array, vectors: Array, size: int) -> Array:
        """What is left of the vectors."""
        if self.fitted is None:
            self.fitted = Compressor.fit(examples, bytes=self.most, run=Run(device="cpu", seed=0))
        return self.fitted.decode(self.fitted.encode(vectors, size))


def truncation(examples: Array, vectors: Array, size: int) -> Array:
    """The first numbers, a byte each."""
    return _padded(_bytes(examples[:, :size], vectors[:, :size]), vectors.shape[1])


def pca(examples: Array, vectors: Array, size: int) -> Array:
    """The first principal components (of the uncentred second moments, which inner products are about), a byte each."""
    axes = np.linalg.eigh(examples.T @ examples)[1][:, ::-1][:, :size]
    return _bytes(examples @ axes, vectors @ axes) @ axes.T


def pq(examples: Array, vectors: Array, size: int) -> Array:
    """Product quantisation (Jégou, Douze & Schmid 2011)."""
    return _faiss(f"PQ{size}", examples, vectors)


def opq(examples: Array, vectors: Array, size: int) -> Array:
    """With a learned rotation before it (Ge et al. 2013)."""
    return _faiss(f"OPQ{size},PQ{size}", examples, vectors)


RIVALS: dict[str, Method] = {"full": full, "truncation": truncation, "pca": pca, "pq": pq, "opq": opq}


def _faiss(kind: str, examples: Array, vectors: Array) -> Array:
    index = faiss.index_factory(examples.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    index.train(examples)
    index.add(vectors)
    found: Array = index.reconstruct_n(0, len(vectors))
    return found


def _bytes(examples: Array, vectors: Array) -> Array:
    steps = np.abs(examples).max(0) / 127
    kept: Array = (np.clip(np.round(vectors / steps), -127, 127) * steps).astype(np.float32)
    return kept


def _padded(vectors: Array, width: int) -> Array:
    return np.pad(vectors, ((0, 0), (0, width - vectors.shape[1])))


def vectors_of(part: str, cache: Path | None) -> Array:
    """MiniLM's vectors, from the cache where they lie there."""
    path = cache / f"{part}.npy" if cache else None
    if path is not None and path.exists():
        cached: Array = np.load(path, allow_pickle=False)
        return cached
    from sentence_transformers import SentenceTransformer

    from isthmus_text.pretrained.checkpoints import minilm_folder

    model = SentenceTransformer(str(minilm_folder()), device="cpu")
    made: Array = model.encode(list(multi30k_captions(part)), normalize_embeddings=True).astype(np.float32)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, made)
    return made


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, nargs="+", default=[24, 48, 96])
    parser.add_argument("--methods", nargs="+", default=["ours", *RIVALS], choices=["ours", *RIVALS])
    parser.add_argument("--validate", action="store_true", help="on held-out training captions, nothing is recorded")
    parser.add_argument("--cache", type=Path, help="a folder that keeps the vectors")
    given = parser.parse_args()
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    examples, asked = vectors_of("train", given.cache), None
    if given.validate:
        held = IMAGES_HELD_OUT * CAPTIONS
        examples, asked = examples[held:], examples[:held]
    asked = vectors_of("test_2016", given.cache) if asked is None else asked
    whole, methods = recall(asked, asked), {"ours": Ours(max(given.bytes)), **RIVALS}
    for name in given.methods:
        for size in [4 * asked.shape[1]] if name == "full" else given.bytes:
            started = time.perf_counter()
            found = recall(asked, methods[name](examples, asked, size))
            numbers = {"method": name, "bytes": size, "recall_at_10": round(found, 4), "share": round(found / whole, 4)}
            numbers |= {
                "examples": len(examples),
                "most_bytes": max(given.bytes),
                "seconds": round(time.perf_counter() - started, 1),
            }
            print(numbers if given.validate else record("text_compression", **numbers), flush=True)


if __name__ == "__main__":
    main()

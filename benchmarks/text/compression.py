"""How many of an image's other captions are found when vectors are kept in 96, 48 or 24 bytes?

Vectors: all-MiniLM-L6-v2 (384 numbers, unit length) of the multi30k captions. Everybody learns from the 145,000
training captions and is asked with the 5,000 test captions (1,000 images): a caption searches the 4,999 others, the
other four of its image are relevant, recall@10 is the share of them among the first ten. Queries are whole vectors for
everybody; only what is searched is compressed, and what is left of it is brought to length 1 again for everybody, as
cosine asks (without that, principal components at 24 bytes find .383 and not .48). Settings were chosen on training
captions: ``--validate`` holds the first 1,000 images out.

Rivals: the first numbers of a vector, one byte each (``truncation``); the first principal components, one byte each
(``pca``), both with the scale of each column's largest training value; FAISS product quantisation of as many bytes
(``pq``), and with a learned rotation (``opq``), both with FAISS's defaults of training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import faiss
import numpy as np
import numpy.typing as npt
import torch
import typer

from benchmarks.drawn import drawn_table
from benchmarks.harness import Line, Results, Smoke, chosen
from benchmarks.text import tables
from isthmus.training.run import Run
from isthmus_text.datasets import multi30k_captions
from isthmus_vectors.compressor import Compressor

NAME = "text_compression"
TITLE = "Vectors in few bytes"
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
    epochs: int | None = None
    fitted: Compressor | None = None

    def __call__(self, examples: Array, vectors: Array, size: int) -> Array:
        """What is left of the vectors."""
        if self.fitted is None:
            more = {} if self.epochs is None else {"epochs": self.epochs}
            self.fitted = Compressor.fit(examples, bytes=self.most, run=Run(device="cpu", seed=0), **more)
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


def run(
    smoke: Smoke = False,
    size: Annotated[list[int] | None, typer.Option("--bytes", help="24, 48 and 96 by default.")] = None,
    method: Annotated[list[str] | None, typer.Option(help="ours or a rival; all by default.")] = None,
    validate: Annotated[bool, typer.Option("--validate", help="Held-out training captions; nothing is kept.")] = False,
    cache: Annotated[Path | None, typer.Option(help="A folder that keeps the vectors.")] = None,
) -> list[Line]:
    """Every method with every number of bytes; a smoke run draws its vectors."""
    results = Results(NAME, smoke=smoke, validation=validate)
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    examples, asked = _drawn() if smoke else _captions(cache, validate)
    sizes = [4] if smoke else size or [24, 48, 96]
    methods: dict[str, Method] = {"ours": Ours(max(sizes), 1 if smoke else None), **RIVALS}
    whole = recall(asked, asked)
    for name in chosen(method, methods):
        for one in [4 * asked.shape[1]] if name == "full" else sizes:
            started = time.perf_counter()
            found = recall(asked, methods[name](examples, asked, one))
            results.add(
                method=name,
                bytes=one,
                recall_at_10=round(found, 4),
                share=round(found / whole, 4),
                examples=len(examples),
                most_bytes=max(sizes),
                seconds=round(time.perf_counter() - started, 1),
            )
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """Recall of every method and size."""
    return tables.compression(lines)


def _captions(cache: Path | None, validate: bool) -> tuple[Array, Array]:
    """What is learnt from and what is asked."""
    examples = vectors_of("train", cache)
    if validate:
        held = IMAGES_HELD_OUT * CAPTIONS
        return examples[held:], examples[:held]
    return examples, vectors_of("test_2016", cache)


def _drawn() -> tuple[Array, Array]:
    vectors = drawn_table(350, 24)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors[50:], vectors[:50]

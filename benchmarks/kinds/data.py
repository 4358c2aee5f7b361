"""Four signals with rows to train on and rows to measure on, small enough for a minute of one core a model; for a smoke
run few rows of the bundled data, or drawn ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.drawn import drawn_images, drawn_table
from isthmus.batch import Signal
from isthmus.datafolder import dataset_path
from isthmus.protocols import Source

SEED = 20
"""Of who is held out."""


@dataclass(frozen=True)
class Domain:
    """Rows of one signal.

    Attributes:
        data: what they are, in words.
        settings: of every kind over these rows.
        own: what one kind has in addition.
    """

    data: str
    signal: Signal
    train: Source
    test: Source
    settings: Mapping[str, Any]
    own: Mapping[str, Mapping[str, Any]]


def interactions(smoke: bool) -> Domain:
    from isthmus_interactions.adapter import InteractionsAdapter
    from isthmus_interactions.datasets import demo_goodbooks, movielens_100k

    data, _ = demo_goodbooks() if smoke else movielens_100k()
    if smoke:
        data = data.select_items(np.arange(100)).select_users(np.arange(200))
    train, test = _parted(len(data), 150)
    adapter = InteractionsAdapter.fit(data)
    return Domain(
        "MovieLens-100K, people",
        adapter.signal,
        adapter.prepare(data.select_users(train)),
        adapter.prepare(data.select_users(test)),
        {"code": 32, "hidden": 200, "epochs": 60, "batch_size": 64},
        {"sparse": {"code": 256, "k": 32}, "variational": {"beta": 1.0}},
    )


def text(smoke: bool) -> Domain:
    from isthmus_text.adapter import TextAdapter
    from isthmus_text.datasets import demo_sentences

    train = demo_sentences("train").texts.subsample(64 if smoke else 8000)
    adapter = TextAdapter.fit(train, size=300 if smoke else 2000, max_length=32)
    return Domain(
        "English Web Treebank, sentences",
        adapter.signal,
        adapter.prepare(train),
        adapter.prepare(demo_sentences("test").texts.subsample(16 if smoke else 500)),
        {"code": 32, "hidden": 96, "layers": 1, "epochs": 6, "tokens": 2048, "learning_rate": 2e-3},
        {"sparse": {"code": 256, "k": 32}},
    )


def images(smoke: bool) -> Domain:
    from isthmus_images.adapter import ImageAdapter
    from isthmus_images.datasets import fashion_mnist

    train, test = (drawn_images(part, 64) if smoke else fashion_mnist(part) for part in ("train", "test"))
    adapter = ImageAdapter.fit(train)
    return Domain(
        "Fashion-MNIST, pictures",
        adapter.signal,
        adapter.prepare(train.select(np.arange(min(10_000, len(train))))),
        adapter.prepare(test.select(np.arange(min(1000, len(test))))),
        {"code": 32, "hidden": 128, "filters": 16, "epochs": 8, "likelihood": "learned-scale"},
        {"sparse": {"code": 256, "k": 32}},
    )


def vectors(smoke: bool) -> Domain:
    from isthmus_vectors.adapter import VectorAdapter
    from isthmus_vectors.vectors import Vectors

    data = Vectors.read(drawn_table(200, 36) if smoke else _satimage())
    train, test = _parted(len(data), min(1000, len(data) // 2))
    adapter = VectorAdapter.fit(data.select(train))
    return Domain(
        "satimage-2, rows of 36 numbers",
        adapter.signal,
        adapter.prepare(data.select(train)),
        adapter.prepare(data.select(test)),
        {"code": 8, "hidden": 64, "epochs": 60, "batch_size": 128, "likelihood": "learned-scale"},
        {"sparse": {"code": 144, "k": 8}},
    )


def _satimage() -> np.ndarray:
    with np.load(dataset_path("adbench/31_satimage-2.npz"), allow_pickle=False) as found:
        rows: np.ndarray = found["X"].astype(np.float32)
    return rows


DOMAINS: Mapping[str, Callable[[bool], Domain]] = {
    "interactions": interactions,
    "text": text,
    "images": images,
    "vectors": vectors,
}


def _parted(rows: int, held_out: int) -> tuple[Any, Any]:
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(SEED)).numpy()
    return np.sort(order[held_out:]), np.sort(order[:held_out])

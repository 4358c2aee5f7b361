"""Four signals with rows to train on and rows to measure on, small enough for a minute of one core a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

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


def interactions() -> Domain:
    from isthmus_interactions.adapter import InteractionsAdapter
    from isthmus_interactions.datasets import movielens_100k

    data, _ = movielens_100k()
    train, test = _parted(len(data), 150)
    adapter = InteractionsAdapter.fit(data)
    return Domain(
        "MovieLens-100K, people",
        adapter.signal,
        adapter.prepare(data.select_users(train)),
        adapter.prepare(data.select_users(test)),
        {"code": 32, "hidden": 200, "epochs": 60, "batch_size": 64},
        {"sparse": {"code": 256, "active": 32}, "variational": {"beta": 1.0}},
    )


def text() -> Domain:
    from isthmus_text.adapter import TextAdapter
    from isthmus_text.datasets import demo_sentences

    train = demo_sentences("train").texts.subsample(8000)
    adapter = TextAdapter.fit(train, size=2000, max_length=32)
    return Domain(
        "English Web Treebank, sentences",
        adapter.signal,
        adapter.prepare(train),
        adapter.prepare(demo_sentences("test").texts.subsample(500)),
        {"code": 32, "hidden": 96, "layers": 1, "epochs": 6, "tokens": 2048, "learning_rate": 2e-3},
        {"sparse": {"code": 256, "active": 32}},
    )


def images() -> Domain:
    from isthmus_images.adapter import ImageAdapter
    from isthmus_images.datasets import fashion_mnist

    train, test = fashion_mnist("train"), fashion_mnist("test")
    adapter = ImageAdapter.fit(train)
    return Domain(
        "Fashion-MNIST, pictures",
        adapter.signal,
        adapter.prepare(train.select(np.arange(10_000))),
        adapter.prepare(test.select(np.arange(1000))),
        {"code": 32, "hidden": 128, "filters": 16, "epochs": 8, "likelihood": "shared"},
        {"sparse": {"code": 256, "active": 32}},
    )


def vectors() -> Domain:
    from isthmus_vectors.adapter import VectorAdapter
    from isthmus_vectors.vectors import Vectors

    with np.load(dataset_path("adbench/31_satimage-2.npz"), allow_pickle=False) as found:
        data = Vectors.read(found["X"].astype(np.float32))
    train, test = _parted(len(data), 1000)
    adapter = VectorAdapter.fit(data.select(train))
    return Domain(
        "satimage-2, rows of 36 numbers",
        adapter.signal,
        adapter.prepare(data.select(train)),
        adapter.prepare(data.select(test)),
        {"code": 8, "hidden": 64, "epochs": 60, "batch_size": 128, "likelihood": "shared"},
        {"sparse": {"code": 144, "active": 8}},
    )


DOMAINS: Mapping[str, Callable[[], Domain]] = {
    "interactions": interactions,
    "text": text,
    "images": images,
    "vectors": vectors,
}


def _parted(rows: int, held_out: int) -> tuple[Any, Any]:
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(SEED)).numpy()
    return np.sort(order[held_out:]), np.sort(order[:held_out])

"""A small fitted face of every domain, and what each of its verbs answers, as arrays and lists of texts."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse

import isthmus
from isthmus.errors import ModelQualityWarning
from isthmus.index import Index

Verbs = Mapping[str, Callable[[Any], Any]]

_NOUNS, _VERBS = ["cat", "dog", "fox", "cow", "hen", "owl"], ["runs", "sits", "eats", "sings", "sleeps"]
TEXTS = [f"{one} {noun} {verb}" for one in ("the", "a", "no", "my") for noun in _NOUNS for verb in _VERBS]


def numbers(rows: int, width: int = 6, seed: int = 0) -> Any:
    """Normal numbers, fp32."""
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def pictures() -> Any:
    """120 pictures of noise, 8 × 8."""
    return (np.random.default_rng(0).random((120, 8, 8)) * 255).astype(np.uint8)


def events() -> tuple[Any, Any]:
    """Users and items: 60 users with 6 of 20 items each, some twice."""
    return np.repeat(np.arange(60), 6), np.random.default_rng(0).integers(0, 20, 360)


def _recommender(model: str, **settings: Any) -> Any:
    return isthmus.Recommender.fit(events(), model, validation=0.0, progress=False, **settings)


def _sparse() -> Any:
    rows = numbers(120)
    return isthmus.VectorAutoencoder.fit(scipy.sparse.csr_array(np.where(rows > 0, rows, 0)), **SHORT)


SHORT: dict[str, Any] = {"epochs": 1, "progress": False}

MAKERS: Mapping[str, Callable[[], Any]] = {
    "ease": lambda: _recommender("ease"),
    "mult-vae": lambda: _recommender("mult-vae", code=4, hidden=8, epochs=1),
    "text": lambda: isthmus.TextAutoencoder.fit(TEXTS, code=4, hidden=8, **SHORT),
    "image": lambda: isthmus.ImageAutoencoder.fit(pictures(), code=4, **SHORT),
    "vector": lambda: isthmus.VectorAutoencoder.fit(numbers(120), code=3, **SHORT),
    "sparse": _sparse,
    "detector": lambda: isthmus.Detector.fit(numbers(60), **SHORT),
    "compressor": lambda: isthmus.Compressor.fit(numbers(256, 8), bytes=2, **SHORT),
    "index": lambda: Index.build(numbers(600, 8)),
    **{f"index {kind}": partial(Index.build, numbers(600, 8), kind=kind) for kind in ("hnsw", "ivf", "rabitq")},
    "index ids": lambda: Index.build(numbers(6), [f"id {row}" for row in range(6)], "cosine"),
}
"""How each is made, by a name."""


def made(name: str) -> Any:
    """One of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelQualityWarning)
        return MAKERS[name]()


def verbs_of(name: str) -> Verbs:
    """What can be asked of it."""
    match name:
        case "ease" | "mult-vae":
            return _RECOMMENDER
        case "text":
            return _autoencoder(TEXTS[:3])
        case "image":
            return _autoencoder(pictures()[:3])
        case "vector" | "sparse":
            return _autoencoder(numbers(5, seed=1))
        case "detector":
            return {
                "anomaly_scores": lambda face: face.anomaly_scores(numbers(5, seed=1)),
                "explain": lambda face: face.explain(numbers(5, seed=1)),
            }
        case "compressor":
            return {
                "encode": lambda face: face.encode(numbers(5, 8, 1)),
                "decode": lambda face: face.decode(np.zeros((2, 2), np.uint8)),
                "search": lambda face: face.search(numbers(5, 8, 1), np.eye(3, 2).astype(np.uint8), 2).scores,
            }
    width = 6 if name == "index ids" else 8
    return {
        "search": lambda face: face.search(numbers(40, width, 1), 3),
        "filtered": lambda face: face.search(numbers(3, width, 1), 3, exclude=face.ids[:2]),
        "within": lambda face: face.within(numbers(3, width, 1), 0.5),
        "vectors": lambda face: face.vectors(face.ids[:3]),
    }


_RECOMMENDER: Verbs = {
    "recommend": lambda face: face.recommend([[1, 2], [3]], 3),
    "diverse": lambda face: face.recommend([[1, 2], [3]], 3, diversity=0.5),
    "recommend_users": lambda face: face.recommend_users([1, 2], 3),
    "similar_items": lambda face: face.similar_items([1, 2], 3),
    "similar_users": lambda face: face.similar_users([[1, 2]], 3),
    "score": lambda face: face.score([[1, 2]], [3, 4]),
}


def _autoencoder(records: Any) -> Verbs:
    return {
        "encode": lambda face: face.encode(records),
        "decode": lambda face: face.decode(face.encode(records)),
        "reconstruct": lambda face: face.reconstruct(records),
        "sample": lambda face: face.sample(2, seed=1),
        "search": lambda face: face.search(records, 2),
        "anomaly_scores": lambda face: face.anomaly_scores(records),
        "is_anomaly": lambda face: face.is_anomaly(records),
    }


def answers_of(name: str, face: Any) -> dict[str, Any]:
    """The answer of each verb, as JSON has it."""
    return {verb: as_json(ask(face)) for verb, ask in verbs_of(name).items()}


def alike(one: Any, other: Any) -> bool:
    """Whether two answers are equal but for the rounding of sums."""
    if isinstance(one, float) and isinstance(other, float):
        return bool(np.isclose(one, other, rtol=1e-4, atol=1e-5)) or one == other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other)


def as_json(answer: Any) -> Any:
    """An answer as numbers, texts, and lists of them; None for what is no answer, such as another face."""
    if isinstance(answer, np.ndarray):
        return answer.tolist()
    if hasattr(answer, "to_arrow"):
        return answer.to_arrow().to_pylist()
    return [str(one) for one in answer] if isinstance(answer, list) else None

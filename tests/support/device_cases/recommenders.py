"""Recommenders on the two devices: every builder, every verb."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy.sparse import csr_array

from device_cases.comparing import Verb, table
from isthmus.training.run import Run
from isthmus_interactions.cold_start.features import ItemFeatures
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.recommender import Recommender

ITEMS, USERS = 40, 120

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "als": {"iterations": 2, "factors": 4},
    "bpr": {"iterations": 2, "factors": 4},
    "blend": {"parts": [{"model": "mult-dae", "settings": {"epochs": 2}}, "ease", "item-knn"]},
    "ease": {},
    "edlae": {},
    "elsa": {"epochs": 2},
    "item-knn": {},
    "low-pass": {"vectors": 8},
    "mult-dae": {"epochs": 2},
    "mult-vae": {"epochs": 2},
    "popularity": {},
    "rdlae": {},
    "rec-vae": {"epochs": 2, "hidden": 8, "code": 4},
    "sequence-linear": {},
    "sparse-linear": {},
    "contractive": {"epochs": 2},
    "denoising": {"epochs": 2},
    "sparse": {"epochs": 2},
    "vanilla": {"epochs": 2},
    "variational": {"epochs": 2},
    "sampled": {"epochs": 2, "negatives": 10},
    "sequence-recommender": {"epochs": 2, "layers": 1, "hidden": 8, "length": 10},
    "sequence-codes": {"epochs": 2, "layers": 1, "hidden": 8, "length": 10, "variational": True, "block": "gated"},
}
"""Settings that make a model small."""

CALLED = {"sampled": "mult-vae", "sequence-codes": "sequence-recommender"}
"""The models behind names of cases: with a sampled softmax, and with a Gaussian code at every position."""


def interactions() -> csr_array:
    """Users who like one of four groups of items, and a few items of the others."""
    draws = np.random.default_rng(0)
    group = draws.integers(0, 4, USERS)
    likes = draws.random((USERS, ITEMS)) < np.where(np.arange(ITEMS)[None] % 4 == group[:, None], 0.6, 0.08)
    likes[:, :5] |= draws.random((USERS, 5)) < 0.5
    return csr_array(likes.astype(np.float32))


ORDERED = ("sequence-linear", "sequence-recommender", "sequence-codes")
"""Models that need interactions in order."""

CAUSAL = ORDERED[1:]
"""Models that predict every event from those before it."""


def read_by(builder: str) -> Any:
    """The interactions as a model needs them."""
    if builder not in ORDERED:
        return interactions()
    users, items = interactions().nonzero()
    order = np.random.default_rng(1).permutation(len(users))
    return Interactions.read((users[order], items[order]), ordered=True)


def fitted(builder: str, device: str, **more: Any) -> Recommender:
    name = CALLED.get(builder, builder)
    how = {} if "run" in more else {"device": device, "precision": "fp32", "progress": False}
    options = {"validation": 0.45, "metric": "ndcg@10"}
    return Recommender.fit(read_by(builder), name, **{**options, **how, **SETTINGS[builder], **more})


def verbs(builder: str) -> dict[str, Verb]:
    data = read_by(builder)
    histories = [[0, 4, 8], [1, 5], [], [2, 6, 30, 31]]
    groups = np.eye(4, dtype=np.float32)[np.arange(ITEMS + 2) % 4]
    features = ItemFeatures.of(range(ITEMS + 2), groups)

    def ids(answers: Any) -> Any:
        return [[(hit.id, float(hit.score)) for hit in answer] for answer in answers]

    def reloaded(face: Recommender) -> Any:
        with tempfile.TemporaryDirectory() as place:
            face.save(Path(place) / "b")
            again = Recommender.load(Path(place) / "b", device=str(face.fitted.device))
            assert again.fitted.device == face.fitted.device
            return ids(again.recommend(histories, k=5))

    def updated(face: Recommender) -> Recommender:
        run = Run(device=face.fitted.device.type, precision="fp32")
        new: Any = ([USERS, USERS], [3, ITEMS], [1.0, 1.0])
        return face.update(Interactions.read(new, ordered=True) if builder in ORDERED else new, run=run)

    def all_users(face: Recommender) -> Any:
        with tempfile.TemporaryDirectory() as place:
            face.recommend_all(Path(place) / "all.parquet", k=3)
            return pq.read_table(Path(place) / "all.parquet").to_pydict()

    return {
        "history": lambda face: [record["loss"] for record in face.history.records if "loss" in record],
        "validation": lambda face: [record["ndcg@10"] for record in face.history.records if "ndcg@10" in record],
        "recommend": lambda face: ids(face.recommend(histories, k=5)),
        "diverse": lambda face: ids(face.recommend(histories, k=5, diversity=0.3)),
        "recommend_all": all_users,
        "score": lambda face: face.score(histories, list(range(ITEMS))),
        "similar_items": lambda face: ids(face.similar_items([0, 1], k=5)),
        "similar_users": lambda face: ids(face.similar_users(histories, k=5)),
        "explain": lambda face: ids([face.explain(histories[0], 12)]),
        "evaluate": lambda face: _plain(face.evaluate(data, metrics=("ndcg@10", "recall@5"))),
        "with_features": lambda face: ids(face.with_features(features).recommend(histories, k=5)),
        "update": lambda face: ids(updated(face).recommend(histories, k=5)),
        "save, load": reloaded,
        "surprise": lambda face: face.surprise(histories),
        "sample_futures": lambda face: face.sample_futures([[0, 4], [1]], 3, samples=2, temperature=0.01),
    }


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else dict(value)


def asked_of(builder: str) -> dict[str, Verb]:
    """The verbs that are asked of a model."""
    asked = verbs(builder)
    if builder == "popularity":
        # It has no vectors of items.
        del asked["similar_items"]
    if builder in ORDERED:
        # Its items have no features.
        del asked["with_features"]
    if builder not in CAUSAL:
        del asked["surprise"], asked["sample_futures"]
    return asked


def check(builder: str) -> dict[str, str]:
    here, there = fitted(builder, "cpu"), fitted(builder, "pretend")
    # Counters of dropout stay with the host.
    assert {tensor.device.type for tensor in there.model.state_dict().values() if tensor.dim()} == {"pretend"}
    return table(here, there, asked_of(builder))

"""Interactions whose right answer is known: groups of people who touch the items of their own group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array

from isthmus.training.run import Run
from isthmus_interactions import Interactions, Recommender

GROUPS, ITEMS = 3, 8
"""Item ``g * ITEMS + i`` is the i-th of group g."""

SMALL: dict[str, dict[str, Any]] = {
    "mult_vae": {"hidden": 24, "decoder": 24, "initial": "glorot", "code": 8, "epochs": 12, "batch_size": 16}
    | {"learning_rate": 0.01, "beta": 0.05},
    "mult_dae": {"code": 8, "epochs": 12, "batch_size": 16, "learning_rate": 0.01},
    "rec_vae": {"hidden": 24, "code": 8, "epochs": 8, "batch_size": 16, "learning_rate": 0.01},
    "ease": {"regularisation": 5.0},
    "edlae": {"regularisation": 5.0, "dropout": 0.3},
    "rdlae": {"regularisation": 5.0, "dropout": 0.3, "xi": 0.2},
    "sparse_linear": {"neighbours": 7, "regularisation": 5.0, "dropout": 0.3, "xi": 0.1},
    "low_pass": {"vectors": 8},
    "elsa": {"code": 8, "epochs": 12, "batch_size": 16, "learning_rate": 0.1},
}
SMALL |= {
    "sequence_recommender": {"hidden": 16, "layers": 1, "epochs": 30, "tokens": 128, "learning_rate": 0.01},
    "als": {"factors": 6, "regularisation": 0.1, "iterations": 8},
    "bpr": {"factors": 6, "iterations": 60},
    "item_knn": {"neighbours": 5},
    "popularity": {},
}
SMALL |= {
    kind: {"hidden": 24, "code": 8, "epochs": 12, "batch_size": 16, "learning_rate": 0.01, **own}
    for kind, own in {
        "vanilla": {},
        "denoising": {},
        "variational": {"beta": 0.05},
        "sparse": {"code": 32, "k": 6, "dead_after": 90},
        "contractive": {},
    }.items()
}
RUN = Run(device="cpu", precision="fp32")


def planted(people: int = 90, seed: int = 0, names: str = "") -> Interactions:
    """Person p is of group ``p % GROUPS`` and touches 4 to 7 of its 8 items; ids are ints, or text after ``names``."""
    generator = np.random.default_rng(seed)
    dense = np.zeros((people, GROUPS * ITEMS), np.float32)
    for person in range(people):
        own = person % GROUPS * ITEMS + np.arange(ITEMS)
        dense[person, generator.choice(own, generator.integers(4, ITEMS), replace=False)] = 1
    users: Any = [f"{names}u{p}" for p in range(people)] if names else 1000 + np.arange(people)
    items: Any = [f"{names}i{i}" for i in range(dense.shape[1])] if names else 10 * np.arange(dense.shape[1])
    return Interactions.from_csr(csr_array(dense), users=users, items=items)


def trained(model: str, data: Interactions | None = None, **changes: Any) -> Recommender:
    """A small model of the planted data."""
    options: dict[str, Any] = {"validation": 0.0, "run": RUN, **SMALL[model], **changes}
    with one_thread():
        return Recommender.fit(planted() if data is None else data, model, **options)


@cache
def default(model: str) -> Recommender:
    """``trained(model)``, the same one at every call; nothing in a recommender changes."""
    return trained(model)


def changed(recommender: Recommender, **fields: Any) -> Recommender:
    """The same recommender with other fields of its state."""
    return Recommender(replace(recommender.fitted, **fields))


@contextmanager
def one_thread() -> Iterator[None]:
    """Tiny products gain nothing from threads, and lose much where other processes want the same cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

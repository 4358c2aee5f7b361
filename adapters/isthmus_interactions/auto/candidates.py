"""Candidates of ``auto``, depending on the size of the data, the memory and the time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import torch

from isthmus import plugins
from isthmus.machine.devices import has_float64
from isthmus.machine.hardware import available_bytes
from isthmus.models.linear import LARGEST
from isthmus_interactions.interactions import Interactions

MEMORY_SHARE = 0.6
"""Share of the free memory that a model may use while it is fitted."""

DENSE_BYTES = 20
"""Bytes per pair of items: a Gram matrix, a solution in its copy, and the weights."""

DENSE_SECONDS = 4e-11
"""Seconds on one core per cubed number of items (measured)."""

ADAM_BYTES = 20
"""Bytes per weight: the weight, its gradient, two moments and an average."""


USER_POWER = 0.5
"""The exponent of the history length in low-pass filters, which is not searched."""

FILTER_SECONDS = 2e-8
"""Seconds on one core per vector, for each interaction and each item and vector (measured)."""

SPARSE_SECONDS = 3e-3
"""Seconds on one core per item, with 100 neighbours (measured)."""


@dataclass(frozen=True)
class LinearSettings:
    """Settings of the linear models: λ, p, ξ, the exponent of the history length, and the weight of item features in
    interactions."""

    regularisation: float
    dropout: float
    xi: float
    length_power: float = 0.0
    feature_weight: float = 0.0

    @classmethod
    def within(cls, settings: Mapping[str, Any]) -> LinearSettings:
        """Those of a model's keywords."""
        return cls(*(settings[name] for name in ("regularisation", "dropout", "xi", "length_power", "feature_weight")))


def initial_settings(data: Interactions) -> LinearSettings:
    """The starting point: λ is the mean diagonal of the Gram matrix, twice the mean number of users per item.

    On six data sets with 20 to 220 users per item, the best value on held-out users was within a factor of about 4.
    """
    return LinearSettings(max(1.0, float(round(2 * data.nnz / len(data.items)))), 0.5, 0.0)


def neighbouring_settings(best: LinearSettings, weights: Sequence[float] = ()) -> Iterator[LinearSettings]:
    """Settings to try next to the best ones so far: first other scales of λ, then weights of features, weights of rows,
    ξ and p."""
    for factor in (2.5, 0.4):
        yield replace(best, regularisation=best.regularisation * factor)
    for weight in weights:
        yield replace(best, feature_weight=weight)
    for power in (0.25, 0.5, 0.0):
        yield replace(best, length_power=power)
    for xi in (0.3, 0.6, 0.0):
        yield replace(best, xi=xi)
    for dropout in (0.25, 0.7):
        yield replace(best, dropout=dropout)


def dense_fits(items: int, seconds: float) -> bool:
    """Whether items × items matrices fit in memory, and a few solutions in the time limit."""
    free = available_bytes()
    room = free is None or DENSE_BYTES * items**2 <= MEMORY_SHARE * free
    return items <= LARGEST and room and 3 * DENSE_SECONDS * items**3 / torch.get_num_threads() <= seconds


def sparse_fits(items: int, seconds: float) -> bool:
    """Whether a sparse linear model fits in the time limit."""
    return SPARSE_SECONDS * items / torch.get_num_threads() <= seconds


@dataclass(frozen=True)
class FilterSettings:
    """Settings of a low-pass filter."""

    vectors: int
    item_power: float = 0.5
    degree_power: float = 0.25
    linear: float = 0.3

    @classmethod
    def within(cls, settings: Mapping[str, Any]) -> FilterSettings:
        """Those of a model's keywords."""
        return cls(*(settings[name] for name in ("vectors", "item_power", "degree_power", "linear")))


def most_vectors(data: Interactions) -> int:
    """The largest number of singular vectors that is tried: 512, or a third of all."""
    return max(1, min(512, min(data.matrix.shape) // 3))


def neighbouring_filters(best: FilterSettings, most: int) -> Iterator[FilterSettings]:
    """Settings to try next to the best filter so far, those that share its decomposition first."""
    for vectors in (best.vectors // 2, best.vectors * 2):
        if 16 <= vectors <= most:
            yield replace(best, vectors=vectors)
    for degree in (0.0, 0.5, 0.25):
        yield replace(best, degree_power=degree)
    for linear in (0.7, 0.0):
        yield replace(best, linear=linear)
    for item in (0.3, 0.5):
        yield replace(best, item_power=item)


def filter_seconds(data: Interactions) -> float:
    """Approximate seconds of a decomposition on one core."""
    vectors, items = most_vectors(data), len(data.items)
    return FILTER_SECONDS * vectors * (data.nnz + items * vectors)


def sequences(data: Interactions) -> list[tuple[str, Mapping[str, Any]]]:
    """Models that read items in order, fastest first; those that are not installed are left out."""
    ridge = initial_settings(data).regularisation
    closed = [
        ("sequence_linear", {"tau": tau, "regularisation": factor * ridge})
        for factor in (1.0, 4.0)
        for tau in (3.0, 10.0)
    ]
    known = plugins.load("interactions").builders
    fits = dense_fits(len(data.items), float("inf"))
    return [(name, settings) for name, settings in closed if name in known and fits]


def factorisations(data: Interactions, seconds: float, device: torch.device) -> list[tuple[str, Mapping[str, Any]]]:
    """Matrix factorisations for catalogues whose items × items matrices do not fit, if ``implicit`` is installed.

    There they bring a blend more than they rank by themselves. The settings were chosen on validation items of Amazon
    CDs (35,648 items) among five.

    Args:
        data: the training data.
        seconds: time that linear models may take.
        device: where they rank; without double precision there are none.
    """
    if find_spec("implicit") is None or not has_float64(device) or dense_fits(len(data.items), seconds):
        return []
    return [("als", {"factors": 256, "alpha": 10.0, "regularisation": 10.0})]


def networks(data: Interactions, *, ordered: bool = False) -> list[tuple[str, Mapping[str, Any]]]:
    """Networks that fit in memory, fastest first, with settings for the number of users.

    Args:
        data: the training data.
        ordered: whether the order of events is meaningful, so that sequence models are tried.
    """
    # ELSA takes large steps and needs about 20 of them per epoch. No patience: most of its score comes at the end, when
    # its learning rate has fallen.
    fewer = min(512, max(64, len(data) // 20))
    everything: list[tuple[str, int, Mapping[str, Any]]] = [
        ("elsa", 256, {"batch_size": fewer}),
        ("mult_vae", 1200, {"epochs": 100, "patience": 15}),
        ("rec_vae", 800, {"epochs": 50, "patience": 6}),
    ]
    if ordered and "sequence_recommender" in plugins.load("interactions").builders:
        everything.insert(1, ("sequence_recommender", 128, {"patience": 4}))
    free = available_bytes()
    return [
        (name, settings)
        for name, columns, settings in everything
        if free is None or ADAM_BYTES * columns * len(data.items) <= MEMORY_SHARE * free
    ]

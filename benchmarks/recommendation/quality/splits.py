"""The splits that quality is compared on, the same for our models and the rivals: what to train on, what to choose
settings by, what to judge by, and in which metrics.

Settings are chosen by ``tuning`` alone. Where a split has no validation part, a tenth of each person's training items,
at least one, is carved out for it. Afterwards everything known before the test is trained on again: ``final``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import csr_array

from isthmus.metrics.ranking import METRICS as FORMULAS
from isthmus.metrics.ranking import judge
from isthmus.rowlists import from_csr
from isthmus.tasks.evaluation import MetricAt
from isthmus_interactions.datasets import (
    amazon_cds,
    demo_goodbooks,
    goodbooks_sample,
    movielens_1m_split,
    movielens_100k,
)
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.splits import FoldIn, Split, strong, weak

SEED = 0
CARVED = 0.1
"""The share of each person's training items that settings are chosen by, where a split has no validation part."""

Values = npt.NDArray[np.float64]

SPLITS: Mapping[str, Callable[[], Split]] = {
    "ml-1m-ultragcn": lambda: movielens_1m_split("ultragcn"),
    "ml-1m-infinite-ae": lambda: movielens_1m_split("infinite_ae"),
    "ml-100k": lambda: strong(movielens_100k()[0], seed=SEED),
    "goodbooks": lambda: strong(goodbooks_sample()[0], seed=SEED),
    "ml-1m-diffrec": lambda: movielens_1m_split("diffrec"),
    "amazon-cds": amazon_cds,
}
"""Loaders by name. MovieLens-100k and goodbooks: ratings of 4 and 5, people of 5 items or more, a tenth of them held
out for validation and a tenth for the test."""

DEMO = "demo"
"""A few of the bundled books and their readers, strong generalisation: what a smoke run trains on."""

STRONG = ("ml-100k", "goodbooks", DEMO)
"""Where the people asked about are not those trained on."""

CHOSEN_BY: Mapping[str, str] = {
    "ml-1m-ultragcn": "ndcg@20",
    "ml-1m-infinite-ae": "ndcg@10",
    "ml-100k": "ndcg@100",
    "goodbooks": "ndcg@100",
    "ml-1m-diffrec": "ndcg@20",
    "amazon-cds": "recall@20",
    DEMO: "ndcg@10",
}
"""What settings are chosen by, on the validation part."""


@functools.cache
def split(name: str) -> Split:
    """The split as published; loaded once."""
    return few_books() if name == DEMO else SPLITS[name]()


def few_books() -> Split:
    """The split of a smoke run."""
    data, _ = demo_goodbooks()
    return strong(data.select_items(np.arange(200)).select_users(np.arange(400)), seed=SEED)


@functools.cache
def tuning(name: str) -> tuple[Interactions, FoldIn]:
    """What to train on and what to ask for while settings are chosen; nothing of the test is in it."""
    whole = split(name)
    if whole.validation is not None:
        return whole.train, whole.validation
    carved = weak(whole.train, test=CARVED, least=1, seed=SEED)
    return carved.train, carved.test


@functools.cache
def final(name: str, *, refit: bool = True) -> tuple[Interactions, FoldIn]:
    """What to train on and what to ask for at last.

    Under strong generalisation the people of the validation part are not trained on. Otherwise history is the training
    and the validation part together, and, with ``refit``, so is what is trained on.
    """
    whole = split(name)
    if name in STRONG or whole.validation is None:
        return whole.train, whole.test
    known = _joined(whole.train, whole.validation)
    history = known.matrix[known.users.rows(list(whole.test.users))]
    return (known if refit else whole.train), replace(whole.test, history=csr_array(history))


def per_user(ranked: npt.NDArray[np.int64], fold: FoldIn, metrics: Sequence[str]) -> dict[str, Values]:
    """Each person's value of each metric.

    Args:
        ranked: the best items of each person of ``fold``, best first, without those of the history, -1 for none;
            shape (people, k).
        fold: who was asked about.
        metrics: names such as "recall@20".
    """
    judged = judge(torch.from_numpy(ranked.astype(np.int64)), from_csr(fold.held_out))
    wanted = {name: MetricAt.parse(name) for name in metrics}
    return {name: FORMULAS[one.name](judged, one.k).numpy() for name, one in wanted.items()}


@dataclass(frozen=True)
class Difference:
    """How far one ranker is ahead of another on the same people.

    Attributes:
        mean: of the differences; positive: the first is ahead.
        low: 2.5 % quantile of the mean over resampled people.
        high: 97.5 % quantile.
        ahead: share of the resamplings in which the first is ahead.
    """

    mean: float
    low: float
    high: float
    ahead: float


def paired_bootstrap(first: Values, second: Values, *, draws: int = 10_000, seed: int = SEED) -> Difference:
    """Resample people with replacement and compare the two means (Efron & Tibshirani 1993, section 13.3).

    Args:
        first: one value a person.
        second: the same people's values by the other ranker, in the same order.
        draws: resamplings.
        seed: of the resamplings.
    """
    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    generator = np.random.default_rng(seed)
    people = len(differences)
    # Blocks keep the indices small: 10,000 draws of 43,000 people would be gigabytes.
    means = np.concatenate(
        [differences[generator.integers(people, size=(100, people))].mean(1) for _ in range(-(-draws // 100))]
    )
    low, high = np.quantile(means, [0.025, 0.975])
    return Difference(float(differences.mean()), float(low), float(high), float((means > 0).mean()))


def _joined(train: Interactions, validation: FoldIn) -> Interactions:
    rows = train.users.rows(list(validation.users))
    ones = np.ones(len(rows), dtype=np.float32)
    placed = csr_array((ones, (rows, np.arange(len(rows)))), shape=(len(train), len(rows)))
    known = csr_array(train.matrix + placed @ validation.held_out)
    known.data[:] = 1
    return Interactions.from_csr(known, users=train.users, items=train.items)

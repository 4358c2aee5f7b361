"""Scores of a model and of popularity on the same users, split by users and by items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from isthmus.metrics.ranking import coverage, ndcg, novelty, recall
from isthmus.tasks.evaluation import Rankings
from isthmus_interactions.csr import Csr, Ints, row_of_entry
from isthmus_interactions.report.intervals import Estimate, Values, estimates
from isthmus_interactions.report.slices import Slice

MODEL = "model"
Key = tuple[str, str, str]
"""A ranker, a metric, and a slice, or "" for everybody and everything."""


@dataclass(frozen=True)
class Measured:
    """Scores with intervals.

    Attributes:
        rankers: the model and the baselines.
        recall, ndcg: names of the metrics.
        estimates: an estimate for each ranker, metric and slice; for baselines also the differences, as the metric
            ``"model ahead"``.
        answered: number of different items that each ranker recommends.
        shared: mean number of common items in the recommendations for two users.
    """

    rankers: Sequence[str]
    recall: str
    ndcg: str
    estimates: Mapping[Key, Estimate]
    answered: Mapping[str, int]
    shared: Mapping[str, float]

    def of(self, ranker: str, metric: str, part: str = "") -> Estimate:
        """One score of a ranker, for all users or for a slice."""
        return self.estimates[ranker, metric, part]


def measured(
    ranked: Mapping[str, Rankings],
    held_out: Csr,
    trained: Csr,
    users: Sequence[Slice],
    items: Sequence[Slice],
    samples: int,
    generator: np.random.Generator,
) -> Measured:
    """Measure rankings of the same users.

    Args:
        ranked: rankings of the model and the baselines by name, for the same rows.
        held_out: the items to find.
        trained: the training data, in which popularity is counted.
        users: slices of the ranked rows.
        items: slices of the items, for which recall is measured.
        samples: number of bootstrap samples.
        generator: random generator of the samples.

    Returns:
        The scores.
    """
    width = held_out.shape[1]
    k = next(iter(ranked.values())).answers.shape[1]
    names = {"recall": f"recall@{k}", "ndcg": f"ndcg@{k}", "novelty": f"novelty@{k}"}
    counts = torch.from_numpy(np.bincount(trained.indices, minlength=width).astype(np.int64))
    columns: dict[Key, Values] = {}
    for name, found in ranked.items():
        whole = {
            names["recall"]: recall(found.judged, k).numpy(),
            names["ndcg"]: ndcg(found.judged, k).numpy(),
            names["novelty"]: novelty(found.answers, counts, trained.shape[0], k).numpy(),
        }
        for metric, values in whole.items():
            columns[name, metric, ""] = values
            for part in users:
                columns[name, metric, part.name] = _inside(values, part.rows)
        for part in items:
            columns[name, names["recall"], part.name] = _recall_of(found, held_out, part)
    columns |= _differences(columns, list(ranked), names["ndcg"], users)
    keyed = estimates({str(place): one for place, one in enumerate(columns.values())}, samples, generator)
    found_estimates = dict(zip(columns, keyed.values(), strict=True))
    answered = {name: round(coverage(one.answers, width, k) * width) for name, one in ranked.items()}
    shared = {name: _shared(one, width) for name, one in ranked.items()}
    return Measured(list(ranked), names["recall"], names["ndcg"], found_estimates, answered, shared)


AHEAD = "model ahead"


def _differences(
    columns: Mapping[Key, Values], rankers: Sequence[str], metric: str, users: Sequence[Slice]
) -> dict[Key, Values]:
    parts = ["", *(part.name for part in users)]
    return {
        (name, AHEAD, part): columns[MODEL, metric, part] - columns[name, metric, part]
        for name in rankers
        for part in parts
        if name != MODEL
    }


def _inside(values: Values, rows: Ints) -> Values:
    kept = np.full(len(values), np.nan)
    kept[rows] = values[rows]
    return kept


def _shared(found: Rankings, width: int) -> float:
    answers, users = found.answers[found.answers >= 0].numpy(), len(found.answers)
    times = np.bincount(answers, minlength=width).astype(np.float64)
    return float((times * (times - 1)).sum() / max(1, users * (users - 1)))


def _recall_of(found: Rankings, held_out: Csr, part: Slice) -> Values:
    """For each user, the share of held-out items of a slice that were recommended."""
    inside = np.zeros(held_out.shape[1] + 1, bool)  # the last one is for answers that are missing
    inside[part.rows] = True
    hits = (found.judged.hits.numpy() & inside[found.answers.numpy()]).sum(1)
    owners = row_of_entry(held_out)[inside[held_out.indices]]
    wanted = np.bincount(owners, minlength=held_out.shape[0])[found.rows]
    return np.where(wanted > 0, hits / np.maximum(wanted, 1), np.nan)

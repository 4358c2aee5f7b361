"""What people touched, by external id, as bags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from isthmus.batch import Bags
from isthmus.errors import InputError, ValueRangeError
from isthmus.sources import BagSource
from isthmus.vocabulary import Id, Vocabulary
from isthmus_interactions.interactions import Interactions

History = Iterable[Id] | Mapping[Id, float]
"""Ids, each counting once, or ids with positive weights."""

Histories = Sequence[History] | Interactions


@dataclass(frozen=True, eq=False)
class Told:
    """Histories as far as the catalogue knows them.

    Attributes:
        bags: one row for each history.
        unknown: for each history the ids that the catalogue does not hold, in the order given.
    """

    bags: Bags
    unknown: list[list[Id]]


def tell(histories: Histories, items: Vocabulary) -> Told:
    """Turn histories into bags; an id given twice counts once.

    Raises:
        InputError: a single id where a history was expected.
        ValueRangeError: a weight that is not above zero.
    """
    if isinstance(histories, Interactions):
        known = histories.with_items(items)
        bags = BagSource.from_csr(known.matrix).batch(torch.arange(len(known))).inputs
        assert isinstance(bags, Bags)
        return Told(bags, _unknown_of(histories, items))
    if isinstance(histories, str | Mapping):
        raise InputError("one history instead of several", expected="a list of histories", remedy="write [history]")
    found = [_rows_and_weights(history, items) for history in histories]
    lengths = torch.tensor([0, *(len(rows) for rows, _, _ in found)])
    indices = torch.from_numpy(np.concatenate([np.empty(0, np.int64), *(rows for rows, _, _ in found)]))
    weights = torch.tensor([weight for _, row, _ in found for weight in row], dtype=torch.float32)
    return Told(Bags(indices, lengths.cumsum(0), weights), [unknown for _, _, unknown in found])


def _rows_and_weights(history: History, items: Vocabulary) -> tuple[np.ndarray, list[float], list[Id]]:
    if isinstance(history, str | int | np.integer):
        raise InputError(
            f"id {history!r} instead of a history", expected="a list of ids", remedy=f"write [[{history!r}]]"
        )
    weighted = dict(history) if isinstance(history, Mapping) else dict.fromkeys(history, 1.0)
    for id_, weight in weighted.items():
        if not 0 < weight < float("inf"):
            raise ValueRangeError(f"weight {weight} of item {id_!r}", expected="a positive number")
    rows, unknown = items.split(weighted)
    left_out = set(unknown)
    return rows, [float(weight) for id_, weight in weighted.items() if id_ not in left_out], unknown


def _unknown_of(histories: Interactions, items: Vocabulary) -> list[list[Id]]:
    if histories.items == items:
        return [[] for _ in range(len(histories))]
    matrix = histories.matrix
    foreign = np.isin(histories.items.ids, items.ids, invert=True)[matrix.indices]
    per_user = np.split(np.where(foreign, matrix.indices, -1), matrix.indptr[1:-1])
    return [histories.items.take(row[row >= 0]) for row in per_user]

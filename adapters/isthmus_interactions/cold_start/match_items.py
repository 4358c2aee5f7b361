"""Matches items with features: those with interactions, to learn from, and new items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from isthmus.errors import InputError
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.cold_start.features import ItemFeatures
from isthmus_interactions.csr import Csr

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MatchedItems:
    """Items and their features.

    Attributes:
        items: the old items, then those that are only in the features.
        place: row of features of each item, or -1.
        known: items with features and interactions, ascending.
        new: items with features and without interactions, ascending.
    """

    items: Vocabulary
    place: Rows
    known: Rows
    new: Rows


def match_items_to_features(items: Vocabulary, interactions: Csr, features: ItemFeatures) -> MatchedItems:
    """Find the features of each item.

    Args:
        items: items of the training data.
        interactions: training interactions, shape (users, items).
        features: features of items.

    Returns:
        The catalogue with the new items appended, and the positions of the features of each item.

    Raises:
        InputError: fewer than two items with features have interactions, or ids of another kind (text and numbers).
    """
    if not isinstance(features, ItemFeatures):
        raise InputError(f"features of type {type(features).__name__}", expected="ItemFeatures, see ItemFeatures.read")
    ids = [items.held(id_) for id_ in features.items.ids.tolist()]
    wrong = [id_ for id_ in ids if isinstance(id_, str) != (items.kind == "string")]
    if wrong:
        raise InputError(f"features of the item {wrong[0]!r}", expected=f"{items.kind} ids, as in the training data")
    whole = items.extended(ids)
    place = np.full(len(whole), -1, dtype=np.int64)
    place[whole.rows(ids)] = np.arange(len(ids))
    touched = np.zeros(len(whole), bool)
    touched[interactions.indices] = True
    known, new = (np.flatnonzero((place >= 0) & chosen) for chosen in (touched, ~touched))
    if len(known) < 2:
        raise InputError(
            f"{len(known)} of {len(features):,} items with features have interactions",
            expected="some of the training data's items, whose ids look like "
            + ", ".join(map(repr, items.take(range(min(3, len(items)))))),
            remedy="name the right column of ids (id=NAME, --feature-id NAME)",
        )
    return MatchedItems(whole, place, known, new)

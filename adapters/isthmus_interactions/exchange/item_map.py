"""Items as points: by the leading singular vectors of the training data."""

from __future__ import annotations

import numpy as np

from isthmus.core.linear.spectrum import leading
from isthmus.plots.atlas import Mapped
from isthmus_interactions.csr import item_counts
from isthmus_interactions.fitted import FittedRecommender

WIDTH = 24
"""Number of singular vectors."""


def mapped_items(fitted: FittedRecommender, most: int) -> Mapped:
    """What ``Recommender.mapped_items`` returns.

    Args:
        fitted: the model with its training data.
        most: number of items; of more, the most popular ones.

    Returns:
        Vectors of the items with their ids, titles and numbers of users.
    """
    vectors = leading(fitted.interactions, WIDTH, 0.5, 0.5, seed=0).vectors.astype(np.float64)
    # The first vector is nearly the popularity of the items.
    kept = vectors[:, 1:] if vectors.shape[1] > 2 else vectors
    lengths = np.maximum(np.linalg.norm(kept, axis=1, keepdims=True), 1e-12)
    counts = item_counts(fitted.interactions)
    # Items that were added by their features have no interactions.
    rows = np.argsort(-counts[: len(kept)], kind="stable")[:most]
    ids = fitted.adapter.items.take(rows)
    titles = [fitted.titles.get(id_, str(id_)) for id_ in ids]
    columns = {"id": [str(id_) for id_ in ids], "title": titles, "users": counts[rows].tolist()}
    return Mapped((kept / lengths)[rows].astype(np.float32), columns, "title")

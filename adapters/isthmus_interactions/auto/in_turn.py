"""Uses few held-out users several times: every part of their items is hidden once, as in cross-validation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array, vstack

from isthmus_interactions.csr import Csr, item_counts, places_in_rows, select_rows, stored_where
from isthmus_interactions.splits import FoldIn

FEW = 200
"""Number of held-out users below which a single hidden part per user is not enough."""

PARTS = 5
"""Maximum number of parts of a user's items."""


def asked_in_turn(fold: FoldIn, trained: Csr, seed: int) -> FoldIn:
    """A fold in which each part of a user's items must be found, given the other parts.

    Args:
        fold: users with a random part of their items hidden.
        trained: interactions of the training users; items that none of them has need not be found.
        seed: seed of the parts.

    Returns:
        A row for each user and part; the fold itself if there are many users, if it is in order, or if there is nothing
        to find.
    """
    if len(fold) >= FEW or fold.ordered is not None or fold.at is not None:
        return fold
    whole = csr_array(fold.history.maximum(fold.held_out)).astype(np.float32)
    whole.sort_indices()
    drawn = np.random.default_rng([seed % 2**63, 3]).random(whole.nnz)
    part = places_in_rows(whole, drawn) % PARTS
    known = item_counts(trained)[whole.indices] > 0
    histories, hidden, users = list[Csr](), list[Csr](), list[Any]()
    for number in range(PARTS):
        history, held_out = stored_where(whole, part != number), stored_where(whole, (part == number) & known)
        rows = np.flatnonzero((np.diff(history.indptr) > 0) & (np.diff(held_out.indptr) > 0))
        histories.append(select_rows(history, rows))
        hidden.append(select_rows(held_out, rows))
        users.extend(fold.users[row] for row in rows)
    if not users:
        return fold
    stacked = [csr_array(vstack(parts, format="csr")) for parts in (histories, hidden)]
    return replace(fold, history=stacked[0], held_out=stacked[1], users=users)

"""The training data of the final fit: all users, including those of a given validation fold."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array, vstack
from torch import nn

from isthmus.protocols import Source
from isthmus.sources import BagSource
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.csr import Csr, select_rows
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.order.folds import training_source
from isthmus_interactions.order.inputs import BAGS, reads_of
from isthmus_interactions.splits import FoldIn
from isthmus_interactions.vocabularies import translate


class Everybody:
    """The training data of the final fit.

    Args:
        data: the given data.
        fold: a separately given validation fold; None if users of ``data`` were held out.
    """

    def __init__(self, data: Interactions, fold: FoldIn | None) -> None:
        self.data, self.fold = data, fold
        self._joined: Csr | None = None

    def source(self, model: nn.Module) -> Source | None:
        """The rows in the form that a model reads; None if they contain no additional data.

        The order of items to find in a given fold is not known, so models that read it are trained on ``data`` alone.
        """
        if self.fold is None:
            return training_source(self.data, model)
        if reads_of(model, training=True) != BAGS:
            return None
        if self._joined is None:
            self._joined = joined(self.data, self.fold)
        return BagSource.from_csr(self._joined)


def joined(data: Interactions, fold: FoldIn) -> Csr:
    """The training users and those of a fold, with histories and held-out items.

    Args:
        data: the training data.
        fold: histories and held-out items, over the same items; if a user has several rows, the longest is used.

    Returns:
        A row for each user. Rows of the fold replace rows of the training data that they contain; others are added as
        further users, because ids of both may be equal by chance.
    """
    whole = csr_array(fold.history.maximum(fold.held_out)).astype(np.float32)
    lengths = np.diff(whole.indptr)
    order = np.argsort(-lengths, kind="stable")
    ids = np.asarray(fold.users, dtype=object)[order]
    first = np.sort(order[np.unique(ids.astype(str), return_index=True)[1]])
    whole = select_rows(whole, first[lengths[first] > 0])
    users = Vocabulary([fold.users[row] for row in first if lengths[row]])
    rows = translate(users, data.users)
    known = np.flatnonzero(rows >= 0)
    before = select_rows(data.matrix, rows[known])
    shared: Csr = csr_array(before.astype(bool).multiply(select_rows(whole, known).astype(bool)))
    contained = np.diff(shared.indptr) == np.diff(before.indptr)
    rest = np.setdiff1d(np.arange(len(data)), rows[known[contained]])
    both: Csr = csr_array(vstack([select_rows(data.matrix, rest), whole], format="csr"))
    both.sort_indices()
    return both

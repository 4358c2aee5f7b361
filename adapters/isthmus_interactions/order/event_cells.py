"""Matrices of some of the events of interactions, such as those before a moment."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from isthmus_interactions.csr import Csr, Ints
from isthmus_interactions.interactions import Interactions
from isthmus_interactions.ordered_histories import OrderedHistories


def event_amounts(data: Interactions, histories: OrderedHistories) -> npt.NDArray[np.float64] | None:
    """The contribution of each event to its cell, an equal part of the amount; None if every cell is 1.

    Args:
        data: the interactions.
        histories: their events in order.
    """
    if data.report.weights == "binary" or bool((data.matrix.data == 1).all()):
        return None
    amounts = data.matrix.data.astype(np.float64)
    amounts = np.expm1(amounts) if data.report.weights == "log" else amounts
    cells = histories.cells_in(data.matrix)
    counts = np.bincount(cells[cells >= 0], minlength=len(amounts)).clip(min=1)
    shares: npt.NDArray[np.float64] = np.where(cells >= 0, (amounts / counts)[cells], 0.0)
    return shares


def matrix_of(
    rows: Ints, items: Ints, amounts: npt.NDArray[np.float64] | None, weights: str, shape: tuple[int, int]
) -> Csr:
    """The matrix of some events.

    Args:
        rows: the row of each event.
        items: its column.
        amounts: its contribution to the cell; None if every cell is 1.
        weights: content of a cell, as in ``Interactions.read(weights=)``.
        shape: (rows, items).

    Returns:
        Float32 CSR with sorted columns and without duplicates.
    """
    values: npt.NDArray[Any] = np.ones(len(rows)) if amounts is None else amounts
    matrix: Csr = csr_array((values, (rows, items)), shape=shape).tocsr()
    matrix.sum_duplicates()
    if amounts is None:
        matrix.data = np.ones(matrix.nnz, np.float32)
    elif weights == "log":
        matrix.data = np.log1p(matrix.data)
    matrix.data = matrix.data.astype(np.float32)
    matrix.sort_indices()
    return matrix

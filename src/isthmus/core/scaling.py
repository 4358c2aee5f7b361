"""Fixed changes of the inputs, in training and after it, before any corruption."""

from __future__ import annotations

import torch

from isthmus.batch import Bags


def unit_norm(bags: Bags) -> Bags:
    """Each row divided by its L2 norm, so that a person's number of interactions does not set the scale."""
    squares = bags.reweighted(bags.weights.square()).totals()
    norms = squares.sqrt().clamp(min=torch.finfo(squares.dtype).tiny)
    return bags.reweighted(bags.weights / norms[bags.rows()])

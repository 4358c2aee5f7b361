"""Which entries of a bag speak for a column."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.batch import Bags
from isthmus.protocols import Ranker


def contributions(ranker: Ranker, bag: Bags, column: int) -> Float[Tensor, " entries"]:
    """How much the score of ``column`` falls when one entry of the bag is taken away, for each entry.

    Higher speaks more for it, negative against it. For a linear ranker this is exactly the entry's term of the sum; for
    any other it is the leave-one-out difference (Li, Monroe & Jurafsky 2016, "erasure").

    Args:
        bag: a single row.
    """
    entries = len(bag.indices)
    without = ~torch.eye(entries, dtype=torch.bool, device=bag.indices.device)
    lengths = torch.tensor([entries] + [entries - 1] * entries, device=bag.indices.device)
    offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    rest = without.nonzero()[:, 1]
    bags = Bags(torch.cat([bag.indices, bag.indices[rest]]), offsets, torch.cat([bag.weights, bag.weights[rest]]))
    scores = ranker.scores(ranker.prepare(bags), torch.tensor([column], device=bag.indices.device))[:, 0]
    return scores[0] - scores[1:]

"""The k best columns of a block of scores in a defined order: descending score, ties by ascending column."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from isthmus.errors import ValueRangeError

GROUP = 8
"""Columns per group."""

FEWEST_GROUPS = 2
"""Minimum number of groups per result for which grouping is worth it."""


class Best(NamedTuple):
    """The best columns so far and their scores."""

    scores: Float[Tensor, "batch found"]
    columns: Int64[Tensor, "batch found"]


def best_of(scores: Float[Tensor, "batch columns"], k: int) -> Best:
    """The ``min(k, columns)`` best columns of each row; a score of -inf marks a column that must not be returned.

    Raises:
        ValueRangeError: a score is NaN.
    """
    width = scores.shape[1]
    if k >= width:
        best = Best(*scores.sort(dim=1, descending=True, stable=True))
        return _without_nan(best)
    # One more than k: if it equals the k-th, a tie is cut, and topk cuts ties in no defined order.
    values, columns = _largest(scores, k + 1)
    last = values[:, k - 1]
    cut = (last == values[:, k]) & (last > -torch.inf)
    best = _without_nan(Best(values[:, :k], columns[:, :k]))
    if bool(cut.any()):
        best.columns[cut] = _first_of_equals(scores[cut], last[cut, None], k)
        best.scores[cut] = scores[cut].gather(1, best.columns[cut])
        return by_score(*best)
    return _in_order(best)


def merge(first: Best, second: Best, k: int) -> Best:
    """The ``k`` best of two.

    Args:
        first: of earlier columns.
        second: of later columns.
        k: number of results to keep.
    """
    scores = torch.cat([first.scores, second.scores], 1)
    columns = torch.cat([first.columns, second.columns], 1)
    # A stable sort keeps the order of ties, which is by ascending column.
    values, order = scores.sort(dim=1, descending=True, stable=True)
    return Best(values[:, :k], columns.gather(1, order[:, :k]))


def by_score(scores: Float[Tensor, "batch found"], columns: Int64[Tensor, "batch found"]) -> Best:
    """The same results in the defined order."""
    columns, order = columns.sort(dim=1)
    values, by_value = scores.gather(1, order).sort(dim=1, descending=True, stable=True)
    return Best(values, columns.gather(1, by_value))


def _largest(scores: Float[Tensor, "batch columns"], k: int) -> Best:
    """``topk``, two to three times as fast on wide rows: the k largest of a row lie in the k groups of columns with the
    largest maxima, so only these groups are searched."""
    batch, width = scores.shape
    groups = width // GROUP
    # A single row is selected by one thread, without synchronisation.
    if groups < FEWEST_GROUPS * k or batch == 1:
        return Best(*scores.topk(k, dim=1))
    # Group g holds the columns g, g + groups, g + 2 groups, ...: the maximum of neighbours in memory is slower to take.
    whole = groups * GROUP
    peaks = scores[:, :whole].view(batch, GROUP, groups).amax(1)
    chosen = peaks.topk(k, dim=1, sorted=False).indices
    steps = torch.arange(0, whole, groups, device=scores.device)
    columns = (chosen[:, :, None] + steps).flatten(1)
    rest = torch.arange(whole, width, device=scores.device).expand(batch, -1)
    columns = torch.cat([columns, rest], 1)
    values, places = scores.gather(1, columns).topk(k, dim=1)
    return Best(values, columns.gather(1, places))


def _in_order(best: Best) -> Best:
    """Sort ties, which ``topk`` returns in any order."""
    equal = (best.scores[:, 1:] == best.scores[:, :-1]) & (best.scores[:, 1:] > -torch.inf)
    return by_score(*best) if bool(equal.any()) else best


def _first_of_equals(
    scores: Float[Tensor, "tied columns"], last: Float[Tensor, "tied 1"], k: int
) -> Int64[Tensor, "tied k"]:
    """The columns above the k-th score, and the first of those equal to it until there are k."""
    above, equal = scores > last, scores == last
    missing = k - above.sum(1, keepdim=True)
    chosen = above | (equal & (equal.cumsum(1, dtype=torch.int32) <= missing))
    return chosen.nonzero()[:, 1].view(len(scores), k)


def _without_nan(best: Best) -> Best:
    # A sort puts NaN before everything else, so the first column shows whether there is one.
    if bool(best.scores[:, :1].isnan().any()):
        raise ValueRangeError("a score is NaN", expected="numbers", remedy="check the model's weights and inputs")
    return best

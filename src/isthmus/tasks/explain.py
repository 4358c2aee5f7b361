"""Contributions of the entries of a bag, or of items in order, to the score of a column."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from isthmus.batch import Bags, Tensors, TokenRows, require_tokens
from isthmus.core.rankers import Blend, is_linear, ranker_of, read_by
from isthmus.protocols import Ranker

ENTRIES = 1 << 20
"""Maximum number of entries, over all bags with one entry left out, at a time."""


@torch.no_grad()
def contributions(ranker: Ranker, bag: Bags, column: int) -> Float[Tensor, " entries"]:
    """The decrease of the score of ``column`` when one entry of the bag is removed, for each entry.

    Positive values support the column, negative ones count against it. For a linear ranker this is the entry's term of
    the sum, ``weight · B[entry, column]``; for all other rankers the leave-one-out difference is computed (Li, Monroe &
    Jurafsky 2016, "erasure").

    Args:
        ranker: the ranker.
        bag: a single row.
        column: the column to explain.
    """
    if is_linear(ranker):
        return bag.weights * ranker.weights_for(column)[bag.indices]
    entries = len(bag.indices)
    columns = torch.tensor([column], device=bag.indices.device)
    whole = ranker.scores(ranker.prepare(bag), columns)[:, 0]
    places = torch.arange(entries, device=bag.indices.device)
    parts = [
        ranker.scores(ranker.prepare(_without(bag, some)), columns)[:, 0]
        for some in places.split(max(1, ENTRIES // max(1, entries)))
    ]
    return whole - torch.cat(parts)


@torch.no_grad()
def contributions_in_order(
    model: nn.Module, inputs: Tensors, column: int
) -> tuple[Int64[Tensor, " items"], Float[Tensor, " items"]]:
    """The same for a model that reads items in order, or a blend with one: the contribution of each item of a history.

    The contribution of an item that occurs several times is the sum of those of its events. For linear models, and
    blends of them, the contributions of all items add up to the score.

    Args:
        model: the model.
        inputs: a single row, as the model reads it.
        column: the column to explain.

    Returns:
        The items, in ascending order, and their contributions.
    """
    items, parts = _by_event(model, inputs, column)
    distinct, places = items.unique(return_inverse=True)
    return distinct, torch.zeros(len(distinct), device=items.device).index_add_(0, places, parts.float())


def _by_event(model: nn.Module, inputs: Tensors, column: int) -> tuple[Tensor, Tensor]:
    if isinstance(model, Blend):
        found = [(_by_event(model.parts[part], inputs, column), factor) for part, factor, _ in model.prepare(inputs)]
        items = torch.cat([own for (own, _), _ in found])
        return items, torch.cat([parts.float() * factor for (_, parts), factor in found])
    ranker, inputs = ranker_of(model), read_by(model, inputs)
    # A linear model converts its input to a weighted bag.
    bags = ranker.prepare(inputs) if is_linear(ranker) else inputs
    if isinstance(bags, Bags):
        return bags.indices, contributions(ranker, bags, column)
    return _left_out(ranker, require_tokens(inputs, "an explanation"), column)


def _left_out(ranker: Ranker, tokens: TokenRows, column: int) -> tuple[Tensor, Tensor]:
    """The decrease of the score without each event."""
    length = int(tokens.mask.sum())
    columns = torch.tensor([column], device=tokens.device)
    whole = ranker.scores(ranker.prepare(tokens), columns)[:, 0]
    stays = ~torch.eye(length, dtype=torch.bool, device=tokens.device)
    rest = torch.arange(length, device=tokens.device).expand(length, -1)[stays].view(length, -1)
    mask = torch.ones_like(rest, dtype=torch.bool)
    if length == 1:
        # The history is empty then, which is a row of padding.
        rest, mask = rest.new_zeros(1, 1), mask.new_zeros(1, 1)
    ids = tokens.ids[0, :length]
    times = None if tokens.times is None else tokens.times[0, rest]
    less = TokenRows(ids[rest], mask, times=times)
    return ids, whole - ranker.scores(ranker.prepare(less), columns)[:, 0]


def _without(bag: Bags, left_out: Tensor) -> Bags:
    """One copy of the bag for each of some entries, without that entry."""
    entries = len(bag.indices)
    stays = torch.arange(entries, device=left_out.device) != left_out[:, None]
    rest = stays.nonzero()[:, 1]
    offsets = torch.arange(len(left_out) + 1, device=left_out.device) * max(0, entries - 1)
    return bag.entries(rest, offsets)

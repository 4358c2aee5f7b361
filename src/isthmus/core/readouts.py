"""The last layer: logits as inner products, a part of its own, asked for any columns."""

from __future__ import annotations

from typing import TypeGuard

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.core.ops.layers import small_bias, xavier
from isthmus.protocols import Columns, RankingReadout, Readout


class LinearReadout(nn.Module):
    """logit_i = w_i · d + b_i = [w_i, b_i] · [d, 1]: an index over ``vectors()`` asked with ``queries(d)`` ranks as the
    decoder does.

    Args:
        hidden: width of the decoded state.
        width: how many columns (items, words, features).
    """

    def __init__(self, hidden: int, width: int, *, generator: Generator) -> None:
        super().__init__()
        self.weight = xavier(width, hidden, generator)
        self.bias = small_bias(width, generator)

    def logits(self, decoded: Float[Tensor, "batch hidden"], columns: Columns = None) -> Float[Tensor, "batch columns"]:
        """Inner products of the decoded state with all columns, a slice of them, or some by number."""
        if columns is None:
            return nn.functional.linear(decoded, self.weight, self.bias)
        return nn.functional.linear(decoded, self.weight[columns], self.bias[columns])

    def vectors(self) -> Float[Tensor, "width hidden_plus_one"]:
        """[w_i, b_i], detached: the rows of an index."""
        return torch.cat([self.weight, self.bias[:, None]], 1).detach()

    def queries(self, decoded: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch hidden_plus_one"]:
        """[d, 1]."""
        return torch.cat([decoded, decoded.new_ones(len(decoded), 1)], 1)


def ranks(readout: Readout) -> TypeGuard[RankingReadout]:
    """Whether a readout has all members of ``RankingReadout``, the parameters of a module among them."""
    return all(hasattr(readout, name) for name in ("weight", "bias", "vectors", "queries"))

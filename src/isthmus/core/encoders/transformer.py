"""A Transformer encoder of tokens."""

from __future__ import annotations

from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Tensors
from isthmus.core.ops.attention import Block, check_length
from isthmus.core.ops.layers import SeededDropout, uniform
from isthmus.core.ops.token_embeddings import BOUND, mean_max, real_positions, token_rows


class TransformerEncoder(nn.Module):
    """``enter``: token vectors [batch, steps, embedding]; ``trunk``: attention among all tokens, then the concatenated
    mean and maximum of the states, [batch, ``width``] with ``width`` twice the width of a state.

    Args:
        vocabulary: number of token ids.
        width: width of the token vectors and of the states.
        layers, heads: number of blocks, and of heads in each.
        length: maximum length of a row; each position has a learned vector.
        dropout: dropout rate on the input of the first block and the output of each block, in training.

    Raises:
        SettingError: a width that the heads do not divide, or a dropout outside 0 <= rate < 1.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        layers: int,
        heads: int,
        length: int,
        *,
        generator: Generator,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.table = uniform(vocabulary, width, bound=BOUND, generator=generator)
        self.positions = uniform(length, width, bound=BOUND, generator=generator)
        self.dropout = SeededDropout(dropout, generator)
        self.blocks = nn.ModuleList(
            Block(width, heads, layers, generator=generator, dropout=dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.width = 2 * width

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch steps embedding"]:
        """The vector of each token, without its position.

        Raises:
            SettingError: inputs that are not tokens.
        """
        return nn.functional.embedding(token_rows(inputs).ids, self.table)

    def trunk(
        self, entered: Float[Tensor, "batch steps embedding"], inputs: Tensors | None
    ) -> Float[Tensor, "batch width"]:
        """The pooled states; without ``inputs`` every position counts.

        Raises:
            ValueRangeError: a row that is longer than ``length``, without tokens, or with padding before a token.
        """
        steps = entered.shape[1]
        check_length(steps, len(self.positions))
        mask, lengths = real_positions(entered, inputs)
        # Attention without a mask is faster, and batches of rows of equal length need no mask.
        places = None if inputs is None else token_rows(inputs).places
        full = bool((lengths == steps).all()) if places is None else places.full
        seen = None if full else mask[:, None, None, :]
        x = self.dropout(entered + self.positions[:steps])
        for block in self.blocks:
            x, _ = block(x, seen=seen)
        return mean_max(self.norm(x), mask)

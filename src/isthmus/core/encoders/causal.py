"""From tokens to a state at each of them: a causal Transformer."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from isthmus.batch import Prefixes, Tensors, TokenRows, Tokens
from isthmus.core.ops.attention import Block, check_length
from isthmus.core.ops.layers import SeededDropout, uniform
from isthmus.core.ops.token_embeddings import BOUND, token_rows, widened


class CausalEncoder(nn.Module):
    """``enter``: token vectors [batch, steps, embedding]; ``trunk``: the state of each row's last token, [batch,
    width]; of ``Prefixes``, the state of every token, [prefixes, width].

    A state depends on its own token and on those before it, so that the states of one pass are the states of all
    prefixes. Positions are counted from the newest token, which is number 0: wherever a row was cut, what was recent
    has the same vector (in SASRec, rows padded on the left have the same effect).

    Args:
        signal: how many token ids there are, and the longest row.
        width: of a token vector and of every state.
        layers, heads: how many blocks, and how many heads in each.
        dropout: on what enters the first block and on what each one adds, in training.
        gated: whether blocks are gated, see ``isthmus.core.ops.attention.Block``.

    Attributes:
        signal: as given; whoever prepares data for the model reads it.
        width: of a state.

    Raises:
        SettingError: a width that the heads do not divide, or a dropout outside 0 <= rate < 1.
    """

    def __init__(
        self,
        signal: Tokens,
        width: int,
        layers: int,
        heads: int,
        *,
        generator: Generator,
        dropout: float = 0.0,
        gated: bool = False,
    ) -> None:
        super().__init__()
        self.signal, self.width = signal, width
        self.table = uniform(signal.vocabulary, width, bound=BOUND, generator=generator)
        self.positions = uniform(signal.length, width, bound=BOUND, generator=generator)
        self.dropout = SeededDropout(dropout, generator)
        self.blocks = nn.ModuleList(
            Block(width, heads, layers, generator=generator, dropout=dropout, gated=gated) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch steps embedding"]:
        """The vector of each token, without its position.

        Raises:
            SettingError: inputs that are not tokens.
        """
        return nn.functional.embedding(_rows(inputs).ids, self.table)

    def trunk(
        self, entered: Float[Tensor, "batch steps embedding"], inputs: Tensors | None
    ) -> Float[Tensor, "states width"]:
        """The states, fp32 at least; without ``inputs`` every position counts. That of a row without tokens means
        nothing.

        Raises:
            ValueRangeError: a row that is longer than ``signal.length``.
        """
        batch, steps, _ = entered.shape
        check_length(steps, self.signal.length)
        ends = torch.full((batch,), steps, device=entered.device) if inputs is None else _rows(inputs).mask.sum(1)
        x = self.dropout(entered + self.positions[_from_the_newest(ends, steps)])
        for block in self.blocks:
            # Padding stands behind the last token, where no token looks: no mask is needed.
            x, _ = block(x, causal=True)
        if isinstance(inputs, Prefixes):
            wanted = inputs.places()
        else:
            wanted = torch.arange(batch, device=ends.device) * steps + (ends - 1).clamp(min=0)
        return widened(self.norm(x.flatten(0, 1)[wanted]))


def _rows(inputs: Tensors) -> TokenRows:
    return inputs.rows if isinstance(inputs, Prefixes) else token_rows(inputs)


def _from_the_newest(ends: Int64[Tensor, " batch"], steps: int) -> Int64[Tensor, "batch steps"]:
    """The number of each position: 0 for a row's last token, 1 for the one before it; 0 for padding, too."""
    return (ends[:, None] - 1 - torch.arange(steps, device=ends.device)).clamp(min=0)

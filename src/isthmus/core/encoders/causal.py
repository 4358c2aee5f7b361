"""A causal Transformer that returns a state for each token."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64, Int64
from torch import Generator, Tensor, nn

from isthmus.batch import Tensors, TokenRows, Tokens
from isthmus.core.ops.attention import Block, check_length
from isthmus.core.ops.layers import SeededDropout, uniform
from isthmus.core.ops.token_embeddings import BOUND, token_rows, widened
from isthmus.core.placement import Rows, current
from isthmus.errors import InputError

GAPS = 64
"""Number of intervals of time that are distinguished: less than 1, then each twice as long as the one before."""


AT_A_TIME = 1 << 16
"""Number of tokens whose states are computed together when no gradient is needed."""


class CausalEncoder(nn.Module):
    """``enter``: token vectors [batch, steps, embedding]; ``trunk``: the state of each row's last token, [batch,
    width]; for rows with ``every``, the states of all tokens, [tokens, width].

    A state depends on its own token and on those before it, so the states of one pass are those of all prefixes.
    Positions are counted from the newest token, which is number 0, so that recent tokens have the same position vectors
    wherever a row was cut (in SASRec, padding on the left has the same effect).

    Args:
        signal: number of token ids, and maximum length of a row.
        width: width of token vectors and states.
        layers, heads: number of blocks, and of heads in each.
        dropout: dropout rate on the input of the first block and on the output of each block, in training.
        gated: whether blocks are gated, see ``isthmus.core.ops.attention.Block``.
        timed: whether the time since the previous token is read, as one of ``GAPS`` intervals with a learned vector
            each.

    Attributes:
        signal, timed: as given; read by the code that prepares data for the model.
        width: width of a state.

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
        timed: bool = False,
    ) -> None:
        super().__init__()
        self.signal, self.width, self.timed = signal, width, timed
        self.rows = current().rows(signal.vocabulary)
        self.table = uniform(signal.vocabulary, width, bound=BOUND, generator=generator, placed=self.rows)
        self.positions = uniform(signal.length, width, bound=BOUND, generator=generator)
        self.gaps = uniform(GAPS, width, bound=BOUND, generator=generator) if timed else None
        self.dropout = SeededDropout(dropout, generator)
        self.blocks = nn.ModuleList(
            Block(width, heads, layers, generator=generator, dropout=dropout, gated=gated) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch steps embedding"]:
        """The vector of each token, without its position.

        Raises:
            SettingError: inputs that are not tokens.
            InputError: tokens without times, for an encoder that reads them.
        """
        rows = token_rows(inputs)
        entered = self.rows.lookup(self.table, rows.ids)
        if self.gaps is None:
            return entered
        if rows.times is None:
            raise InputError(
                "events without times, for a model that reads them",
                expected="histories as pairs (item, time), or a column of times",
            )
        return entered + nn.functional.embedding(gaps_of(rows.times), self.gaps)

    def trunk(
        self, entered: Float[Tensor, "batch steps embedding"], inputs: Tensors | None
    ) -> Float[Tensor, "states width"]:
        """The states, in fp32 or more; without ``inputs`` every position is a token. The state of a row without tokens
        is meaningless.

        Raises:
            ValueRangeError: a row that is longer than ``signal.length``.
        """
        batch, steps, _ = entered.shape
        check_length(steps, self.signal.length)
        if not steps:
            return entered.new_zeros(0 if _every(inputs) else batch, self.width)
        rows = max(1, AT_A_TIME // steps)
        if torch.is_grad_enabled() or batch <= rows:
            return self._states(entered, inputs)
        starts = range(0, batch, rows)
        parts = [None if inputs is None else inputs.part(start, min(batch, start + rows)) for start in starts]
        return torch.cat([self._states(entered[a : a + rows], part) for a, part in zip(starts, parts, strict=True)])

    def tables(self) -> dict[str, Rows]:
        """The table of token vectors, see ``isthmus.core.placement``."""
        return {"table": self.rows}

    def _states(self, entered: Tensor, inputs: Tensors | None) -> Tensor:
        batch, steps, _ = entered.shape
        ends = torch.full((batch,), steps, device=entered.device) if inputs is None else token_rows(inputs).mask.sum(1)
        x = self.dropout(entered + self.positions[_from_the_newest(ends, steps)])
        for block in self.blocks:
            # Padding follows the last token, and tokens do not attend to what follows: no mask is needed.
            x, _ = block(x, causal=True)
        if inputs is not None and _every(inputs):
            wanted = token_rows(inputs).real()
        else:
            wanted = torch.arange(batch, device=ends.device) * steps + (ends - 1).clamp(min=0)
        return widened(self.norm(x.flatten(0, 1)[wanted]))


def gaps_of(times: Float64[Tensor, "batch steps"]) -> Int64[Tensor, "batch steps"]:
    """The number of the interval between each event and the previous one: 0 for less than 1 (second, or unit of the
    data) and for the first event, otherwise 1 + ⌊log₂⌋ of the difference."""
    since = times.diff(dim=1, prepend=times[:, :1]).clamp(min=0.5)
    return (since.log2().floor().long() + 1).clamp(min=0, max=GAPS - 1)


def _every(inputs: Tensors | None) -> bool:
    return isinstance(inputs, TokenRows) and inputs.every


def _from_the_newest(ends: Int64[Tensor, " batch"], steps: int) -> Int64[Tensor, "batch steps"]:
    """The number of each position: 0 for the last token of a row and for padding, 1 for the token before the last."""
    return (ends[:, None] - 1 - torch.arange(steps, device=ends.device)).clamp(min=0)

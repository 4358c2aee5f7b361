"""An LSTM encoder of tokens."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Tensors
from isthmus.core.ops.layers import SeededDropout, lstm, uniform
from isthmus.core.ops.token_embeddings import BOUND, mean_max, real_positions, token_rows, widened
from isthmus.errors import SettingError


class LstmEncoder(nn.Module):
    """``enter``: token vectors [batch, steps, embedding]; ``trunk``: an LSTM over them to [batch, ``width``].

    Args:
        vocabulary: number of token ids.
        embedding, hidden: width of the token vectors, and of the LSTM's state.
        dropout: dropout rate on the token vectors, in training.
        pooling: ``last``, the state at the last token (Bowman et al. 2016); or ``mean_max``, the concatenated mean and
            maximum of all states, twice as wide.

    Raises:
        SettingError: another pooling, or a dropout outside 0 <= rate < 1.
    """

    # Fused LSTMs have no second derivative on CUDA and a slow one on other devices.
    twice_differentiable = False

    def __init__(
        self,
        vocabulary: int,
        embedding: int,
        hidden: int,
        *,
        generator: Generator,
        dropout: float = 0.0,
        pooling: str = "last",
    ) -> None:
        super().__init__()
        if pooling not in ("last", "mean_max"):
            raise SettingError(f"pooling {pooling!r}", expected="last or mean_max")
        self.table = uniform(vocabulary, embedding, bound=BOUND, generator=generator)
        self.lstm = lstm(embedding, hidden, generator)
        self.dropout = SeededDropout(dropout, generator)
        self.pooling = pooling
        self.width = hidden if pooling == "last" else 2 * hidden

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch steps embedding"]:
        """The vector of each token.

        Raises:
            SettingError: inputs that are not tokens.
        """
        return nn.functional.embedding(token_rows(inputs).ids, self.table)

    def trunk(
        self, entered: Float[Tensor, "batch steps embedding"], inputs: Tensors | None
    ) -> Float[Tensor, "batch width"]:
        """The pooled states; without ``inputs`` every position counts.

        Raises:
            ValueRangeError: a row without tokens, or with padding before a token.
        """
        mask, lengths = real_positions(entered, inputs)
        states, _ = self.lstm(self.dropout(entered))
        if self.pooling == "mean_max":
            return mean_max(states, mask)
        return widened(states[torch.arange(len(states), device=states.device), lengths - 1])

"""An LSTM decoder, from a code to a sequence of states."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from isthmus.batch import Batch
from isthmus.capabilities import CodeWeights
from isthmus.core.ops.layers import SeededDropout, lstm, xavier
from isthmus.core.ops.token_embeddings import TeacherForcing
from isthmus.protocols import Readout


class LstmState(NamedTuple):
    """The input of the next step: state and cell [batch, hidden], and the code [batch, code]."""

    hidden: Tensor
    cell: Tensor
    code: Tensor


class LstmDecoder(nn.Module):
    """Teacher-forced in training, one step at a time in generation. The code is concatenated to every input, and
    initialises the LSTM with the cell W z and the state tanh(W z) (He et al. 2019, and their code).

    Args:
        vocabulary: number of token ids.
        embedding, hidden: width of the token vectors, and of the states that the readout reads.
        code: dimensions of the code.
        dropout: dropout rate on the token vectors and on the states, in training.

    Raises:
        SettingError: a dropout outside 0 <= rate < 1.
    """

    def __init__(
        self,
        vocabulary: int,
        embedding: int,
        hidden: int,
        code: int,
        *,
        generator: Generator,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.shown = TeacherForcing(vocabulary, embedding, generator=generator)
        self.first_cell = xavier(hidden, code, generator)
        self.lstm = lstm(embedding + code, hidden, generator)
        self.dropout = nn.ModuleList(SeededDropout(dropout, generator) for _ in range(2))

    def forward(
        self, sample: Float[Tensor, "batch_samples code"], given: Batch | None
    ) -> Float[Tensor, "batch_samples steps hidden"]:
        """Position t predicts ``given.targets.ids[:, t]`` from the code and the tokens before it.

        Raises:
            SettingError: no targets, a different number of rows, or ``unseen`` of a different shape.
        """
        states, _ = self._steps(self.shown(given, len(sample)), self._first(sample))
        return states

    def start(self, sample: Float[Tensor, "batch code"]) -> tuple[Float[Tensor, "batch hidden"], LstmState]:
        """The state that predicts the first token, and the cache for ``advance``."""
        return self._step(self.shown.begin(len(sample)), self._first(sample))

    def advance(
        self, state: LstmState, ids: Int64[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch hidden"], LstmState]:
        """The state that predicts the token after ``ids``, and the cache for the next call; ``state`` is not
        changed."""
        return self._step(self.shown.lookup(ids), state)

    def reorder(self, state: LstmState, rows: Int64[Tensor, " rows"]) -> LstmState:
        """The state of the given rows, which may be repeated."""
        return LstmState(*(part[rows] for part in state))

    def code_weights(self, readout: Readout) -> tuple[CodeWeights, ...]:
        """The weights of the initial cell, and those by which the LSTM reads the code with each token."""
        tokens = self.lstm.input_size - self.first_cell.shape[1]
        reads = self.lstm.weight_ih_l0
        assert isinstance(reads, nn.Parameter)
        return CodeWeights(self.first_cell), CodeWeights(reads, tokens)

    def _first(self, sample: Tensor) -> LstmState:
        cell = nn.functional.linear(sample, self.first_cell)
        return LstmState(torch.tanh(cell), cell, sample)

    def _step(self, tokens: Tensor, state: LstmState) -> tuple[Tensor, LstmState]:
        states, after = self._steps(tokens[:, None], state)
        return states[:, 0], after

    def _steps(self, tokens: Tensor, state: LstmState) -> tuple[Tensor, LstmState]:
        code = state.code[:, None].expand(-1, tokens.shape[1], -1)
        entered = torch.cat([self.dropout[0](tokens), code], 2)
        first = (state.hidden[None].to(entered.dtype), state.cell[None].to(entered.dtype))
        states, (hidden, cell) = self.lstm(entered, first)
        return self.dropout[1](states), LstmState(hidden[0], cell[0], state.code)

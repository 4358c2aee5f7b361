"""A Transformer decoder, from a code to a sequence of states, with a cache for generation."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from isthmus.batch import Batch
from isthmus.capabilities import CodeWeights
from isthmus.core.ops.attention import Block, CachedState, check_length, run_blocks
from isthmus.core.ops.layers import SeededDropout, linear, uniform, weight_of
from isthmus.core.ops.token_embeddings import BOUND, TeacherForcing
from isthmus.protocols import Readout


class TransformerDecoder(nn.Module):
    """Teacher-forced in training, one step at a time with a cache in generation. The code is added to every input and,
    through separate linear layers, inside every block, so that the decoder is less likely to ignore it (Li et al. 2020;
    Hu et al. 2022).

    Args:
        vocabulary: number of token ids.
        width: width of the token vectors and of the states that the readout reads.
        layers, heads: number of blocks, and of heads in each.
        length: maximum length of a row; each position has a learned vector.
        code: dimensions of the code.
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
        code: int,
        *,
        generator: Generator,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.shown = TeacherForcing(vocabulary, width, generator=generator)
        self.positions = uniform(length, width, bound=BOUND, generator=generator)
        self.pushes = nn.ModuleList(linear(code, width, generator) for _ in range(layers + 1))
        self.dropout = SeededDropout(dropout, generator)
        self.blocks = nn.ModuleList(
            Block(width, heads, layers, generator=generator, dropout=dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(
        self, sample: Float[Tensor, "batch_samples code"], given: Batch | None
    ) -> Float[Tensor, "batch_samples steps hidden"]:
        """Position t predicts ``given.targets.ids[:, t]`` from the code and the tokens before it.

        Raises:
            SettingError: no targets, a different number of rows, or ``unseen`` of a different shape.
            ValueRangeError: targets longer than ``length``.
        """
        states, _ = self._steps(self.shown(given, len(sample)), CachedState((), self._pushes(sample)))
        return states

    def start(self, sample: Float[Tensor, "batch code"]) -> tuple[Float[Tensor, "batch hidden"], CachedState]:
        """The state that predicts the first token, and the cache for ``advance``."""
        return self._step(self.shown.begin(len(sample)), CachedState((), self._pushes(sample)))

    def advance(
        self, state: CachedState, ids: Int64[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch hidden"], CachedState]:
        """The state that predicts the token after ``ids``, and the cache for the next call; ``state`` is not changed.

        Raises:
            ValueRangeError: there are ``length`` tokens already; no state is needed after the last one.
        """
        return self._step(self.shown.lookup(ids), state)

    def reorder(self, state: CachedState, rows: Int64[Tensor, " rows"]) -> CachedState:
        """The state of the given rows, which may be repeated."""
        return state.select(rows)

    def code_weights(self, readout: Readout) -> tuple[CodeWeights, ...]:
        """The weights that add the code to the input and inside every block."""
        return tuple(CodeWeights(weight_of(push)) for push in self.pushes)

    def _pushes(self, sample: Tensor) -> Tensor:
        return torch.stack([push(sample) for push in self.pushes], 1)

    def _step(self, tokens: Tensor, state: CachedState) -> tuple[Tensor, CachedState]:
        states, after = self._steps(tokens[:, None], state)
        return states[:, 0], after

    def _steps(self, tokens: Tensor, state: CachedState) -> tuple[Tensor, CachedState]:
        """All positions at once if there are none before, otherwise one more position."""
        before, steps = state.caches[0][0].shape[2] if state.caches else 0, tokens.shape[1]
        check_length(before + steps, len(self.positions))
        x = self.dropout(tokens + self.positions[before : before + steps] + state.code[:, :1])
        x, caches = run_blocks(self.blocks, x, state.caches, causal=not state.caches, pushes=state.code[:, 1:])
        return self.norm(x), CachedState(caches, state.code)

"""A decoder of superposed codes, each a sum of tokens bound to their positions: a causal Transformer that reads, at
each position, the part of the code that belongs to it."""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from isthmus.batch import Batch
from isthmus.core.ops.attention import Block, CachedState, check_length, run_blocks
from isthmus.core.ops.layers import SeededDropout, uniform
from isthmus.core.ops.places import places, read
from isthmus.core.ops.token_embeddings import BOUND, TeacherForcing


class SuperposedDecoder(nn.Module):
    """The counterpart of ``SuperposedEncoder``: the input of position t is

        x_t = P_t √d z / |z| + e(w_{t−1}) + p_t

    where the first term is e(w_t) plus noise from the other positions, if P are the encoder's matrices. The clean-up of
    Plate (1995, section II-F) is a causal Transformer, which knows the previous words, and a readout over the same
    token vectors. Only the direction of a code matters.

    Args:
        vocabulary: number of token ids.
        width: width of the token vectors and of the states that the readout reads.
        layers, heads: number of blocks, and of heads in each.
        length: maximum length of a row; each position has a matrix and a learned vector.
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
        self.places = places(length, width, code, generator=generator)
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
        shown = self.shown(given, len(sample))
        # Only the positions that these rows have.
        return self._steps(shown, CachedState((), read(sample, self.places[: shown.shape[1]])))[0]

    def start(self, sample: Float[Tensor, "batch code"]) -> tuple[Float[Tensor, "batch hidden"], CachedState]:
        """The state that predicts the first token, and the cache for ``advance``."""
        return self._step(self.shown.begin(len(sample)), CachedState((), read(sample, self.places)))

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

    def _step(self, tokens: Tensor, state: CachedState) -> tuple[Tensor, CachedState]:
        states, after = self._steps(tokens[:, None], state)
        return states[:, 0], after

    def _steps(self, tokens: Tensor, state: CachedState) -> tuple[Tensor, CachedState]:
        """All positions at once if there are none before, otherwise one more position."""
        before, steps = state.caches[0][0].shape[2] if state.caches else 0, tokens.shape[1]
        check_length(before + steps, len(self.positions))
        here = slice(before, before + steps)
        x = self.dropout(tokens + self.positions[here] + state.code[:, here])
        x, caches = run_blocks(self.blocks, x, state.caches, causal=not state.caches)
        return self.norm(x), CachedState(caches, state.code)

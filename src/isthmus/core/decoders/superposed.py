"""From one vector that holds tokens at their places back to the sequence: a causal Transformer that is handed, at each
position, what the code holds there."""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from isthmus.batch import Batch
from isthmus.core.ops.attention import Block, CachedState, check_length, run_blocks
from isthmus.core.ops.layers import SeededDropout, uniform
from isthmus.core.ops.places import places, read
from isthmus.core.ops.token_embeddings import BOUND, TeacherForcing


class SuperposedDecoder(nn.Module):
    """The counterpart of ``SuperposedEncoder``: position t enters as

        x_t = P_t √d z / |z| + e(w_{t−1}) + p_t

    where the first term is e(w_t) and noise from the other positions, if P are the encoder's matrices: the clean-up of
    Plate (1995, section II-F) is a causal Transformer, which knows the words before, and a readout over the same token
    vectors. Only the direction of a code counts.

    Args:
        vocabulary: how many token ids.
        width: of a token vector and of every state, which the readout reads.
        layers, heads: how many blocks, and how many heads in each.
        length: the longest row; each position has a matrix and a learned vector.
        code: dimensions of the code.
        dropout: on what enters the first block and on what each one adds, in training.

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
            SettingError: no targets, targets of another number of rows, or ``unseen`` of another shape than theirs.
            ValueRangeError: targets that are longer than ``length``.
        """
        shown = self.shown(given, len(sample))
        # Only the positions that these rows have: the rest would be computed for nothing.
        return self._steps(shown, CachedState((), read(sample, self.places[: shown.shape[1]])))[0]

    def start(self, sample: Float[Tensor, "batch code"]) -> tuple[Float[Tensor, "batch hidden"], CachedState]:
        """The state that predicts the first token, and what ``advance`` needs."""
        return self._step(self.shown.begin(len(sample)), CachedState((), read(sample, self.places)))

    def advance(
        self, state: CachedState, ids: Int64[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch hidden"], CachedState]:
        """The state that predicts the token after ``ids``, and what the next call needs; ``state`` stays as it is.

        Raises:
            ValueRangeError: ``length`` tokens are there already; no state is needed after the last one.
        """
        return self._step(self.shown.lookup(ids), state)

    def reorder(self, state: CachedState, rows: Int64[Tensor, " rows"]) -> CachedState:
        """The state of the given rows, any of them any number of times."""
        return state.select(rows)

    def _step(self, tokens: Tensor, state: CachedState) -> tuple[Tensor, CachedState]:
        states, after = self._steps(tokens[:, None], state)
        return states[:, 0], after

    def _steps(self, tokens: Tensor, state: CachedState) -> tuple[Tensor, CachedState]:
        """All positions at once where none came before, else one position more."""
        before, steps = state.caches[0][0].shape[2] if state.caches else 0, tokens.shape[1]
        check_length(before + steps, len(self.positions))
        here = slice(before, before + steps)
        x = self.dropout(tokens + self.positions[here] + state.code[:, here])
        x, caches = run_blocks(self.blocks, x, state.caches, causal=not state.caches)
        return self.norm(x), CachedState(caches, state.code)

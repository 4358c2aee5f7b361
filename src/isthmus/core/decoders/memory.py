"""A decoder of given vectors, such as sentence embeddings: a causal Transformer that attends to the vector in every
layer."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor, nn

from isthmus.batch import Batch
from isthmus.capabilities import CodeWeights
from isthmus.core.ops.attention import Block, CachedState, check_length, run_blocks
from isthmus.core.ops.layers import SeededDropout, linear, uniform, weight_of
from isthmus.core.ops.token_embeddings import BOUND, TeacherForcing
from isthmus.protocols import Readout


class MemoryDecoder(nn.Module):
    """Unfolds a code into ``slots`` vectors, to which every position of every layer can attend in addition to the
    previous tokens, and also adds the code inside every block (the memory of Li et al., "Optimus", EMNLP 2020, section
    3.2; slots of an embedding as in Morris et al., EMNLP 2023, section 5).

        s = unfold(√code · z)  [slots, width],     keys and values of layer l = W_l s

    √code scales a vector of length 1 to the magnitude that layers are initialised for. This is computed once per row.

    Args:
        vocabulary: number of token ids.
        width: width of the token vectors and of the states that the readout reads.
        layers, heads: number of blocks, and of heads in each.
        length: maximum length of a row; each position has a learned vector.
        code: dimensions of the code.
        slots: number of vectors that the code is unfolded into.
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
        slots: int = 8,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.heads, self.slots, self.scale = heads, slots, code**0.5
        self.shown = TeacherForcing(vocabulary, width, generator=generator)
        self.positions = uniform(length, width, bound=BOUND, generator=generator)
        self.unfold = linear(code, slots * width, generator)
        self.refine = linear(slots * width, width, generator)
        self.norm_slots = nn.LayerNorm(width)
        self.pushes = nn.ModuleList(linear(code, width, generator) for _ in range(layers + 1))
        self.memories = nn.ModuleList(linear(width, 2 * width, generator) for _ in range(layers))
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
        states, _ = self._steps(self.shown(given, len(sample)), self._recall(sample))
        return states

    def start(self, sample: Float[Tensor, "batch code"]) -> tuple[Float[Tensor, "batch hidden"], CachedState]:
        """The state that predicts the first token, and the cache for ``advance``."""
        return self._step(self.shown.begin(len(sample)), self._recall(sample))

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
        """The weights that unfold the code, and those that add it to the input and inside every block."""
        return tuple(CodeWeights(weight_of(layer)) for layer in (self.unfold, *self.pushes))

    def _recall(self, sample: Tensor) -> CachedState:
        """The state before the first position: only the memory and the pushes."""
        scaled = self.scale * sample
        slots = self.unfold(scaled).view(len(sample), self.slots, -1)
        # A slot may be a non-linear function of the whole code.
        mixed = self.refine(nn.functional.silu(slots.flatten(1)))[:, None]
        slots = self.norm_slots(slots + mixed)
        caches = []
        for memory in self.memories:
            parts = memory(slots).view(len(sample), self.slots, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
            caches.append((parts[0], parts[1]))
        return CachedState(tuple(caches), torch.stack([push(scaled) for push in self.pushes], 1))

    def _step(self, tokens: Tensor, state: CachedState) -> tuple[Tensor, CachedState]:
        states, after = self._steps(tokens[:, None], state)
        return states[:, 0], after

    def _steps(self, tokens: Tensor, state: CachedState) -> tuple[Tensor, CachedState]:
        """All positions at once directly after the memory, otherwise one more position."""
        before, steps = state.caches[0][0].shape[2] - self.slots, tokens.shape[1]
        check_length(before + steps, len(self.positions))
        x = self.dropout(tokens + self.positions[before : before + steps] + state.code[:, :1])
        seen = _seen(self.slots + before, steps, tokens.device)
        x, caches = run_blocks(self.blocks, x, state.caches, seen=seen, pushes=state.code[:, 1:])
        return self.norm(x), CachedState(caches, state.code)


def _seen(before: int, steps: int, device: torch.device) -> Bool[Tensor, "1 1 steps keys"]:
    """A mask in which every position sees all earlier positions and itself."""
    return torch.ones(steps, before + steps, dtype=torch.bool, device=device).tril(before)[None, None]

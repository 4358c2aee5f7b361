"""Pre-norm self-attention (Vaswani et al. 2017; Xiong et al. 2020) with a cache."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from isthmus.core.ops.layers import SeededDropout, linear
from isthmus.errors import SettingError, ValueRangeError

Cache = tuple[Tensor, Tensor]
"""Keys and values of the positions so far, each [batch, heads, steps, width / heads]."""

WIDENING = 4
"""The inner layer is this many times as wide."""

MULTIPLIED_OUT = 128 * 128
"""Maximum steps × keys for which attention in bf16 training on CPU is computed by explicit products."""


class Block(nn.Module):
    """x + Attention(Norm(x)), then x + Mlp(Norm(x)) with SiLU (in bf16 on CPU, GELU takes eight times as long, and a
    third of a training step), and dropout on both branches.

    A gated block is that of LiGR (Borisyuk et al., "From Features to Transformers: Redefining Ranking for Scalable
    Impact", 2025): the output of each branch is multiplied by σ(W x), a linear layer of the state, and the inner layer
    is SiLU(A x) ⊙ B x (SwiGLU: Shazeer, "GLU Variants Improve Transformer", 2020).

    Args:
        width: width of the states, a multiple of ``heads``.
        heads: number of attention heads.
        depth: number of blocks in the network; the initial output of each branch is scaled by 1/√(2 · depth) (Radford
            et al. 2019, section 2.3).
        gated: use gated blocks.

    Raises:
        SettingError: a width that the heads do not divide.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        depth: int,
        *,
        generator: Generator,
        dropout: float = 0.0,
        gated: bool = False,
    ) -> None:
        super().__init__()
        if width % heads:
            raise SettingError(f"width {width} with {heads} heads", expected="a width that the heads divide")
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.query_key_value = linear(width, 3 * width, generator)
        self.attended = linear(width, width, generator)
        self.widen = linear(width, WIDENING * width, generator)
        self.narrow = linear(WIDENING * width, width, generator)
        self.dropout = SeededDropout(dropout, generator)
        self.gates = nn.ModuleList(linear(width, width, generator) for _ in range(2)) if gated else None
        self.multiplied = linear(width, WIDENING * width, generator) if gated else None
        with torch.no_grad():
            for layer in (self.attended, self.narrow):
                layer.weight /= math.sqrt(2 * depth)

    def forward(
        self,
        x: Float[Tensor, "batch steps width"],
        *,
        seen: Bool[Tensor, "#batch 1 #steps keys"] | None = None,
        causal: bool = False,
        past: Cache | None = None,
        push: Float[Tensor, "batch 1 width"] | None = None,
    ) -> tuple[Float[Tensor, "batch steps width"], Cache]:
        """States of the next layer, and the cache of all positions so far.

        Args:
            seen: which positions may be attended to.
            causal: each position attends to itself and to earlier ones.
            past: cache of earlier positions, to all of which the steps attend.
            push: added to every state between the two branches.
        """
        batch, steps, width = x.shape
        parts = self.query_key_value(self.norms[0](x)).view(batch, steps, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        if past is not None:
            key, value = (torch.cat(pair, 2) for pair in zip(past, (key, value), strict=True))
        heads = attend(query, key, value, seen=seen, causal=causal)
        x = x + self._gate(0, x, self.attended(heads.transpose(1, 2).reshape(batch, steps, width)))
        if push is not None:
            x = x + push
        entered = self.norms[1](x)
        inner = F.silu(self.widen(entered))
        if self.multiplied is not None:
            inner = inner * self.multiplied(entered)
        return x + self._gate(1, x, self.narrow(inner)), (key, value)

    def _gate(self, part: int, x: Tensor, added: Tensor) -> Tensor:
        """The output of a branch after dropout and its gate, if there is one."""
        added = self.dropout(added)
        return added if self.gates is None else torch.sigmoid(self.gates[part](x)) * added


def attend(
    query: Float[Tensor, "batch heads steps part"],
    key: Float[Tensor, "batch heads keys part"],
    value: Float[Tensor, "batch heads keys part"],
    *,
    seen: Bool[Tensor, "#batch 1 #steps keys"] | None = None,
    causal: bool = False,
) -> Float[Tensor, "batch heads steps part"]:
    """softmax(q kᵀ / √part) v over the visible positions.

    Short rows in bf16 training on CPU are computed by explicit products: there, the forward and backward pass of the
    fused kernel takes five times as long for 25 steps, twice as long for 128, and as long for 256. In fp32 both take
    the same time.
    """
    steps, keys = query.shape[2], key.shape[2]
    slow = query.device.type == "cpu" and query.dtype == torch.bfloat16 and torch.is_grad_enabled()
    if not slow or steps * keys > MULTIPLIED_OUT:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=seen, is_causal=causal)
    if causal:
        seen = torch.ones(steps, keys, dtype=torch.bool).tril()[None, None]
    scores = (query @ key.transpose(2, 3)).float() / math.sqrt(query.shape[3])
    if seen is not None:
        scores = scores.masked_fill(~seen, -torch.inf)
    return scores.softmax(3).to(value.dtype) @ value


def check_length(steps: int, length: int) -> None:
    """Raises ValueRangeError for more steps than there are positions."""
    if steps > length:
        raise ValueRangeError(
            f"{steps} tokens in a row",
            expected=f"at most {length}",
            remedy="cut the rows, or build with a larger length",
        )


class CachedState(NamedTuple):
    """The cache of a decoder: keys and values of each layer so far, and the contributions of the code [batch, ...,
    width]."""

    caches: tuple[Cache, ...]
    code: Tensor

    def select(self, rows: Int64[Tensor, " rows"]) -> CachedState:
        """The state of the given rows, which may be repeated."""
        return CachedState(tuple((key[rows], value[rows]) for key, value in self.caches), self.code[rows])


def run_blocks(
    blocks: nn.ModuleList,
    x: Float[Tensor, "batch steps width"],
    pasts: tuple[Cache, ...],
    *,
    seen: Bool[Tensor, "#batch 1 #steps keys"] | None = None,
    causal: bool = False,
    pushes: Float[Tensor, "batch layers width"] | None = None,
) -> tuple[Float[Tensor, "batch steps width"], tuple[Cache, ...]]:
    """All blocks one after the other, each with its own cache.

    Args:
        blocks: the blocks, each a ``Block``.
        x: input of the first block.
        pasts: the cache of each block; empty if there are no earlier positions.
        seen, causal: as for ``Block``.
        pushes: the ``push`` of each block, or None.

    Returns:
        The output of the last block, and the caches of all positions so far.
    """
    caches = []
    for layer, (block, past) in enumerate(zip(blocks, pasts or (None,) * len(blocks), strict=True)):
        push = None if pushes is None else pushes[:, layer : layer + 1]
        x, cache = block(x, seen=seen, causal=causal, past=past, push=push)
        caches.append(cache)
    return x, tuple(caches)

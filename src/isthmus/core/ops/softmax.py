"""The softmax over a catalogue, in chunks of columns, forward and backward; nothing of size batch × catalogue in fp32.

With logits z_bi = w_i · d_b + b_i and a bag of targets x_b with n_b = Σ_i x_bi, the multinomial log-likelihood is

    log p_b = Σ_{i ∈ x_b} x_bi z_bi − n_b · log Σ_i exp z_bi

A chunk k of columns gives up the logits of its targets for the first term; then its own maximum m_bk and
e_bi = exp(z_bi − m_bk) are all that is needed of it. With s_bk = exp(m_bk − lse_b) the gradient with respect to a logit
of that chunk is

    g_b · (x_bi − n_b s_bk e_bi)  =  r_bk · (e_bi − x_bi / (n_b s_bk)),     r_bk = −g_b n_b s_bk

so no pass over the logits is left for the backward: the targets are subtracted at their few places, and r scales the
small factor of each product. The e are kept, in the dtype of the products, while they fit the byte budget; beyond it
they are computed again. Products run in bf16 under autocast; maximum, exponential and sum are fp32 at least.

Logits of a chunk are laid out column by column, [columns, batch]: in this layout the two products of the backward run
about twice as fast on CPU as in the other, and the first one as fast.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from isthmus.batch import Bags

KEEP_BYTES = 512 << 20
"""Exponentials of one batch are kept for the backward up to this size."""

CHUNK_BYTES = {"cpu": 16 << 20, "cuda": 256 << 20}
"""Logits of one chunk, in fp32: what stays in a cache on CPU, what fills the device on CUDA."""

LOWEST = -80.0
"""Exponents are cut here: exp(-80) is nothing beside 1, and lower ones become denormal numbers, which are slow."""

SMALLEST_SHARE = 1e-30
"""A chunk's share of the sum is never taken to be smaller, so that its inverse stays finite."""


def multinomial_log_prob(
    decoded: Float[Tensor, "batch hidden"],
    weight: Float[Tensor, "width hidden"],
    bias: Float[Tensor, " width"],
    targets: Bags,
    *,
    keep_bytes: int = KEEP_BYTES,
    chunk_bytes: int | None = None,
) -> Float[Tensor, " batch"]:
    """Log-likelihood of bags under the softmax of ``decoded @ weight.T + bias``, nats a row.

    The multinomial coefficient is left out, as in Liang et al. 2018, equation 2. Target weights must not be negative
    and receive no gradient. A second derivative does not exist.

    Args:
        keep_bytes: exponentials are kept for the backward up to this size, else computed again.
        chunk_bytes: logits of one chunk in fp32; by default what suits the device.
    """
    device = decoded.device.type
    autocast = torch.is_autocast_enabled(device)
    plan = _Plan(
        product=torch.get_autocast_dtype(device) if autocast else weight.dtype,
        columns=_columns(len(decoded), len(weight), chunk_bytes or CHUNK_BYTES.get(device, CHUNK_BYTES["cuda"])),
        keep_bytes=keep_bytes,
    )
    positives = targets.reweighted(targets.weights.detach().to(weight.dtype))
    with torch.autocast(device, enabled=False):
        log_prob: Tensor = _Multinomial.apply(  # type: ignore[no-untyped-call]
            decoded.to(weight.dtype), weight, bias, positives, plan
        )
    return log_prob


@dataclass(frozen=True)
class _Plan:
    product: torch.dtype
    columns: list[slice]
    keep_bytes: int

    def keeps(self, batch: int, width: int) -> bool:
        return batch * width * self.product.itemsize <= self.keep_bytes


@dataclass
class _Chunk:
    """Exponentials of one chunk [columns, batch], their maximum [batch], and the rows in the dtype of the products."""

    weight: Tensor
    peak: Tensor
    exps: Tensor


@dataclass
class _Kept:
    """What the backward needs beside the tensors that autograd saves."""

    plan: _Plan
    places: _Places
    chunks: list[_Chunk] = field(default_factory=list)


class _Wanted(NamedTuple):
    """Which sides train: phases that freeze one of them save its product."""

    decoded: bool
    readout: bool


class _Multinomial(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, decoded: Tensor, weight: Tensor, bias: Tensor, targets: Bags, plan: _Plan) -> Tensor:
        product = decoded.to(plan.product)
        keep = any(ctx.needs_input_grad) and plan.keeps(len(decoded), len(weight))
        places = _Places.of(targets, plan.columns)
        kept, lses, positives = _Kept(plan, places), [], bias.new_zeros(len(decoded))
        for index, columns in enumerate(plan.columns):
            logits, rows = _logits(product, weight[columns], bias[columns])
            places.add_to(positives, index, logits)
            chunk = _exponentials(logits, rows)
            total = chunk.exps.sum(0)
            lses.append(total.log_().add_(chunk.peak))
            if keep:
                chunk.exps = chunk.exps.to(plan.product)
                kept.chunks.append(chunk)
        lse = torch.stack(lses).logsumexp(0)
        ctx.kept = kept
        ctx.save_for_backward(decoded, weight, bias, lse)
        return positives - places.totals * lse

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        decoded, weight, bias, lse = ctx.saved_tensors
        kept: _Kept = ctx.kept
        # A second backward through the same graph finds nothing kept and computes the exponentials again.
        chunks, kept.chunks = kept.chunks, []
        wanted = _Wanted(ctx.needs_input_grad[0], ctx.needs_input_grad[1] or ctx.needs_input_grad[2])
        return *_gradients(grad, decoded, weight, bias, lse, kept, chunks, wanted), None, None


def _columns(batch: int, width: int, chunk_bytes: int) -> list[slice]:
    most = max(1, chunk_bytes // (4 * max(batch, 1)))
    size = most if most < 64 else most // 64 * 64
    return [slice(start, min(start + size, width)) for start in range(0, width, size)]


def _logits(product: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [columns, batch] in fp32 at least, and the rows in the dtype of the products."""
    rows = weight.to(product.dtype)
    logits = torch.mm(rows, product.T)
    return logits.to(torch.promote_types(product.dtype, torch.float32)).add_(bias[:, None]), rows


def _exponentials(logits: Tensor, rows: Tensor) -> _Chunk:
    """The logits are overwritten."""
    peak = logits.amax(0)
    return _Chunk(rows, peak, logits.sub_(peak).clamp_(min=LOWEST).exp_())


def _gradients(
    grad: Tensor,
    decoded: Tensor,
    weight: Tensor,
    bias: Tensor,
    lse: Tensor,
    kept: _Kept,
    chunks: list[_Chunk],
    wanted: _Wanted,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    product = decoded.to(kept.plan.product)
    places = kept.places
    grad_decoded = torch.zeros_like(decoded) if wanted.decoded else None
    grad_weight = torch.empty_like(weight) if wanted.readout else None
    grad_bias = torch.empty_like(bias) if wanted.readout else None
    for index, columns in enumerate(kept.plan.columns):
        chunk = chunks[index] if chunks else _exponentials(*_logits(product, weight[columns], bias[columns]))
        share = (chunk.peak - lse).exp_().clamp_(min=SMALLEST_SHARE)
        scale = grad * places.totals * -share
        exps = places.subtract_from(chunk.exps.to(kept.plan.product), index, share)
        if grad_decoded is not None:
            grad_decoded += (exps.T @ chunk.weight).mul_(scale[:, None])
        if grad_weight is not None and grad_bias is not None:
            scaled = torch.cat([decoded * scale[:, None], scale[:, None]], 1).to(kept.plan.product)
            both = exps @ scaled
            grad_weight[columns], grad_bias[columns] = both[:, :-1], both[:, -1]
    return grad_decoded, grad_weight, grad_bias


@dataclass(frozen=True)
class _Places:
    """Where the targets of each chunk stand: rows, columns and weights in order of column, and the chunks' bounds."""

    rows: Tensor
    items: Tensor
    weights: Tensor
    totals: Tensor
    bounds: list[int]
    starts: list[int]

    @staticmethod
    def of(targets: Bags, columns: list[slice]) -> _Places:
        order = targets.by_item()
        items = targets.indices[order]
        bounds = [0, len(items)]
        if len(columns) > 1:
            edges = torch.tensor([c.start for c in columns] + [columns[-1].stop], device=items.device)
            bounds = torch.searchsorted(items, edges).tolist()
        starts = [c.start for c in columns]
        return _Places(targets.rows()[order], items, targets.weights[order], targets.totals(), bounds, starts)

    def add_to(self, sums: Tensor, index: int, logits: Tensor) -> None:
        """Add x · z of the targets of chunk ``index`` to the sums of their rows, in place."""
        rows, items, weights = self._chunk(index)
        sums.index_add_(0, rows, weights * logits[items, rows])

    def subtract_from(self, exps: Tensor, index: int, share: Tensor) -> Tensor:
        """``exps`` less x / (n · share) at the targets of chunk ``index``, in place."""
        rows, items, weights = self._chunk(index)
        scale = (self.totals * share)[rows].clamp_(min=torch.finfo(share.dtype).tiny)
        return exps.index_put_((items, rows), (-weights / scale).to(exps.dtype), accumulate=True)

    def _chunk(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        here = slice(self.bounds[index], self.bounds[index + 1])
        return self.rows[here], self.items[here] - self.starts[index], self.weights[here]

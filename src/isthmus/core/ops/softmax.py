"""The softmax over a catalogue in chunks of columns, forward and backward, without fp32 tensors of size batch ×
catalogue.

With logits z_bi = w_i · d_b + b_i and a bag of targets x_b with n_b = Σ_i x_bi, the multinomial log-likelihood is

    log p_b = Σ_{i ∈ x_b} x_bi z_bi − n_b · log Σ_i exp z_bi

Of a chunk k of columns, the logits of its targets are needed for the first term; afterwards only its maximum m_bk and
e_bi = exp(z_bi − m_bk) are needed. With s_bk = exp(m_bk − lse_b) the gradient with respect to a logit of that chunk is

    g_b · (x_bi − n_b s_bk e_bi)  =  r_bk · (e_bi − x_bi / (n_b s_bk)),     r_bk = −g_b n_b s_bk

so the backward pass does not go over the logits again: the targets are subtracted at their few positions, and r scales
the small factor of each product. The e are kept in the dtype of the products if they fit in the byte budget; otherwise
they are computed again. Products run in bf16 under autocast; maximum, exponential and sum are computed in fp32 or more.

Logits of a chunk have the layout [columns, batch], in which the two products of the backward pass are about twice as
fast on a CPU as in the other layout, and the product of the forward pass is as fast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from isthmus.batch import Bags
from isthmus.core.placement import AllRows, Rows

KEEP_BYTES = 512 << 20
"""Maximum size of the exponentials of one batch that are kept for the backward pass."""

CHUNK_BYTES = {"cpu": 16 << 20, "cuda": 256 << 20}
"""Size of the logits of one chunk in fp32: it fits in the cache of a CPU, and fills a CUDA device."""

BLOCK = 16
"""Columns that are added up in one go on a CPU."""

LOWEST = -80.0
"""Lower bound of exponents: exp(-80) is negligible next to 1, and lower ones give denormal numbers, which are slow."""

SMALLEST_SHARE = 1e-30
"""Lower bound of a chunk's share of the sum, so that its inverse is finite."""


def multinomial_log_prob(
    decoded: Float[Tensor, "batch hidden"],
    weight: Float[Tensor, "width hidden"],
    bias: Float[Tensor, " width"],
    targets: Bags,
    *,
    rows: Rows | None = None,
    keep_bytes: int = KEEP_BYTES,
    chunk_bytes: int | None = None,
) -> Float[Tensor, " batch"]:
    """Log-likelihood of bags under the softmax of ``decoded @ weight.T + bias``, in nats per row.

    The multinomial coefficient is left out, as in Liang et al. 2018, equation 2. Target weights must not be negative
    and receive no gradient. A second derivative does not exist.

    Args:
        rows: location of the rows of ``weight`` and ``bias``; None if all are in this process. Chunks consist of local
            rows; the maximum and the sum of exponentials are over all rows.
        keep_bytes: maximum size of exponentials that are kept for the backward pass; otherwise they are computed again.
        chunk_bytes: size of the logits of one chunk in fp32; by default a size that suits the device.
    """
    device = decoded.device.type
    autocast = torch.is_autocast_enabled(device)
    plan = _Plan(
        product=torch.get_autocast_dtype(device) if autocast else weight.dtype,
        columns=_columns(len(decoded), len(weight), chunk_bytes or CHUNK_BYTES.get(device, CHUNK_BYTES["cuda"])),
        keep_bytes=keep_bytes,
        rows=rows or AllRows(len(weight)),
    )
    positives = targets.reweighted(targets.weights.detach().to(weight.dtype))
    with torch.autocast(device, enabled=False):
        log_prob: Tensor = _Multinomial.apply(  # type: ignore[no-untyped-call]
            plan.rows.handed(decoded.to(weight.dtype)), weight, bias, positives, plan
        )
    return log_prob


@dataclass(frozen=True)
class _Plan:
    product: torch.dtype
    columns: list[slice]
    keep_bytes: int
    rows: Rows

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
    """What the backward pass needs in addition to the tensors that autograd saves."""

    plan: _Plan
    places: _Places
    chunks: list[_Chunk] = field(default_factory=list)


class _Wanted(NamedTuple):
    """Which sides are trained; if one is frozen, its product is not computed."""

    decoded: bool
    readout: bool


class _Multinomial(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, decoded: Tensor, weight: Tensor, bias: Tensor, targets: Bags, plan: _Plan) -> Tensor:
        product = decoded.to(plan.product)
        keep = any(ctx.needs_input_grad) and plan.keeps(len(decoded), len(weight))
        places = _Places.of(plan.rows.own(targets), targets.totals(), plan.columns)
        kept, lses, positives = _Kept(plan, places), [], bias.new_zeros(len(decoded))
        for index, columns in enumerate(plan.columns):
            logits, rows = _logits(product, weight[columns], bias[columns])
            places.add_to(positives, index, logits)
            chunk = _exponentials(logits, rows)
            lses.append(over_columns(chunk.exps, Tensor.sum).log_().add_(chunk.peak))
            if keep:
                chunk.exps = chunk.exps.to(plan.product)
                kept.chunks.append(chunk)
        lse = lses[0] if len(lses) == 1 else torch.stack(lses).logsumexp(0)
        lse, positives = _over_all(plan.rows, lse, positives)
        ctx.kept = kept
        ctx.save_for_backward(decoded, weight, bias, lse)
        return positives - places.totals * lse

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        decoded, weight, bias, lse = ctx.saved_tensors
        kept: _Kept = ctx.kept
        # In a second backward pass through the same graph nothing is kept, and the exponentials are computed again.
        chunks, kept.chunks = kept.chunks, []
        wanted = _Wanted(ctx.needs_input_grad[0], ctx.needs_input_grad[1] or ctx.needs_input_grad[2])
        return *_gradients(grad, decoded, weight, bias, lse, kept, chunks, wanted), None, None


def _over_all(rows: Rows, lse: Tensor, positives: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithm of the sum of exponentials and the logits of targets over all rows, from those of the local
    rows."""
    if rows.whole:
        return lse, positives
    peak = rows.largest(lse)
    both = rows.added(torch.stack([(lse - peak).exp(), positives]))
    return both[0].log().add_(peak), both[1]


def _columns(batch: int, width: int, chunk_bytes: int) -> list[slice]:
    most = max(1, chunk_bytes // (4 * max(batch, 1)))
    size = most if most < 64 else most // 64 * 64
    return [slice(start, min(start + size, width)) for start in range(0, width, size)]


def _logits(product: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [columns, batch] in fp32 or more, and the rows in the dtype of the products."""
    rows = weight.to(product.dtype)
    if product.dtype == bias.dtype and product.device.type != "cpu":
        return torch.addmm(bias[:, None], rows, product.T), rows
    logits = multiplied(rows, product.T)
    return logits.to(torch.promote_types(product.dtype, torch.float32)).add_(bias[:, None]), rows


def multiplied(left: Float[Tensor, "rows inner"], right: Float[Tensor, "inner columns"]) -> Tensor:
    """A product of two matrices. CUDA accumulates 16-bit products in fp32; here the result is not rounded to 16 bits if
    it is needed in fp32."""
    if left.is_cuda and left.dtype in (torch.bfloat16, torch.float16):
        return torch.mm(left, right, out_dtype=torch.float32)
    return torch.mm(left, right)


def _exponentials(logits: Tensor, rows: Tensor) -> _Chunk:
    """The exponentials of a chunk; they overwrite the logits."""
    peak = over_columns(logits, Tensor.amax)
    below = logits.sub_(peak)
    # Denormal numbers are only slow on a CPU.
    return _Chunk(rows, peak, (below.clamp_(min=LOWEST) if below.device.type == "cpu" else below).exp_())


def over_columns(chunk: Float[Tensor, "columns batch"], reduced: Callable[[Tensor, int], Tensor]) -> Tensor:
    """The sum or the maximum over all columns of a chunk. On a CPU it is that of blocks of columns first, so that every
    thread reads what it has just written; otherwise this and the next operation wait for the cache of the other."""
    whole = len(chunk) // BLOCK * BLOCK if chunk.device.type == "cpu" else 0
    if not whole:
        return reduced(chunk, 0)
    blocks = reduced(chunk[:whole].view(-1, BLOCK, chunk.shape[1]), 1)
    return reduced(blocks if whole == len(chunk) else torch.cat([blocks, chunk[whole:]]), 0)


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
    grad_decoded: Tensor | None = None
    here = decoded.device.type == "cpu"
    in_parts = wanted.readout and (here or len(kept.plan.columns) > 1)
    grad_weight = torch.empty_like(weight) if in_parts else None
    grad_bias = torch.empty_like(bias) if in_parts else None
    for index, columns in enumerate(kept.plan.columns):
        chunk = chunks[index] if chunks else _exponentials(*_logits(product, weight[columns], bias[columns]))
        less = -(chunk.peak - lse).exp_().clamp_(min=SMALLEST_SHARE)
        scale = grad * places.totals * less
        exps = places.subtract_from(chunk.exps.to(kept.plan.product), index, less)
        if wanted.decoded:
            part = multiplied(exps.T, chunk.weight).mul_(scale[:, None])
            grad_decoded = part.to(decoded.dtype) if grad_decoded is None else grad_decoded.add_(part)
        if wanted.readout:
            weights, biases = _readout_gradient(exps, decoded, scale)
            if grad_weight is None or grad_bias is None:
                return grad_decoded, weights.to(weight.dtype), biases.to(bias.dtype)
            grad_weight[columns], grad_bias[columns] = weights, biases
    return grad_decoded, grad_weight, grad_bias


def _readout_gradient(exps: Tensor, decoded: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient of the weights and biases of a chunk."""
    scaled = decoded * scale[:, None]
    if exps.device.type == "cpu":
        # Here a second product takes longer than copying both parts of one.
        both = exps @ torch.cat([scaled, scale[:, None]], 1).to(exps.dtype)
        return both[:, :-1], both[:, -1]
    return multiplied(exps, scaled.to(exps.dtype)), torch.mv(exps, scale.to(exps.dtype))


@dataclass(frozen=True)
class _Places:
    """The positions of the targets of each chunk: rows, columns and weights in order of column.

    On a CPU, the range of each chunk is known. On an accelerator this would require waiting for the device, so every
    chunk uses all targets, with weight 0 for those of other chunks.
    """

    rows: Tensor
    items: Tensor
    weights: Tensor
    totals: Tensor
    columns: list[slice]
    bounds: list[int] | None

    @staticmethod
    def of(targets: Bags, totals: Tensor, columns: list[slice]) -> _Places:
        items = targets.items_by_item()
        bounds = [0, len(items)] if len(columns) == 1 else None
        if bounds is None and items.device.type == "cpu":
            edges = torch.tensor([c.start for c in columns] + [columns[-1].stop])
            bounds = torch.searchsorted(items, edges).tolist()
        weights = targets.weights[targets.by_item()]
        return _Places(targets.rows_by_item(), items, weights, totals, columns, bounds)

    def add_to(self, sums: Tensor, index: int, logits: Tensor) -> None:
        """Add x · z of the targets of chunk ``index`` to the sums of their rows, in place."""
        rows, items, weights, outside = self._chunk(index)
        products = weights * logits[items, rows]
        sums.index_add_(0, rows, products if outside is None else products.masked_fill_(outside, 0.0))

    def subtract_from(self, exps: Tensor, index: int, less: Tensor) -> Tensor:
        """``exps`` less x / (n · share) at the targets of chunk ``index``, in place; ``less`` is −share."""
        rows, items, weights, outside = self._chunk(index)
        scale = (self.totals * less)[rows].clamp_(max=-torch.finfo(less.dtype).tiny)
        parts = (weights / scale).to(exps.dtype)
        parts = parts if outside is None else parts.masked_fill_(outside, 0.0)
        return exps.index_put_((items, rows), parts, accumulate=True)

    def _chunk(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Rows, columns within the chunk and weights of targets, and which of them belong to other chunks."""
        columns = self.columns[index]
        if self.bounds is None:
            outside = (self.items < columns.start) | (self.items >= columns.stop)
            items = self.items.clamp(columns.start, columns.stop - 1)
            return self.rows, items - columns.start if columns.start else items, self.weights, outside
        here = slice(self.bounds[index], self.bounds[index + 1])
        items = self.items[here]
        return self.rows[here], items - columns.start if columns.start else items, self.weights[here], None

"""The log-likelihood of bags under a sampled softmax, and its gradient.

With logits z of a row's own items P and corrected logits z' of the negatives S that are not among them, a maximum m
over both and T = Σ_P exp(z − m) + Σ_S exp(z' − m):

    log p = Σ_{i ∈ P} x_i z_i − n (m + log T),     ∂ log p / ∂ z_i = x_i − n exp(z_i − m) / T,
                                                   ∂ log p / ∂ z'_j = −n exp(z'_j − m) / T

Logits of negatives have the layout [drawn, batch], as in ``softmax``; those of a row's own items are a list of entries.
Products run in bf16 under autocast; maximum, exponential and sum are computed in fp32 or more.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

from isthmus.batch import Bags
from isthmus.core.ops.bags import transposed_sums, weighted_sums
from isthmus.core.ops.softmax import multiplied, over_columns
from isthmus.core.placement import AllRows, Rows

ENTRIES = 16384
"""Number of entries whose logits are computed at a time, for which two blocks of rows are gathered."""


def sampled_log_prob(
    decoded: Float[Tensor, "batch hidden"],
    weight: Float[Tensor, "touched hidden"],
    bias: Float[Tensor, " touched"],
    targets: Bags,
    negatives: Int64[Tensor, " drawn"],
    log_chance: Float[Tensor, " drawn"],
    *,
    totals: Float[Tensor, " batch"] | None = None,
    rows: Rows | None = None,
) -> Float[Tensor, " batch"]:
    """Estimated log-likelihood of bags in nats per row, without the multinomial coefficient; 0 for empty bags.

    Args:
        weight, bias: the rows of the readout that are used.
        targets: bags over those rows. Their weights must not be negative and receive no gradient.
        negatives: positions of the negatives among those rows, ascending.
        log_chance: the log of each negative's probability of being drawn, which is subtracted from its logits. Infinity
            for duplicates.
        totals: sums of the weights of whole bags, if ``targets`` only has the entries whose rows are in this process.
        rows: location of the rows of the whole table; None if all are in this process.

    Returns:
        [batch], nats, higher is more probable.
    """
    device = decoded.device.type
    autocast = torch.is_autocast_enabled(device)
    product = torch.get_autocast_dtype(device) if autocast else weight.dtype
    bags = targets.reweighted(targets.weights.detach().to(weight.dtype))
    rows = rows or AllRows(len(weight))
    drawn = _Drawn(
        negatives, log_chance.to(weight.dtype), bags.totals() if totals is None else totals.to(weight.dtype), rows
    )
    with torch.autocast(device, enabled=False):
        log_prob: Tensor = _Sampled.apply(  # type: ignore[no-untyped-call]
            rows.handed(decoded.to(weight.dtype)), weight, bias, bags, drawn, product
        )
    return log_prob


class _Drawn(NamedTuple):
    """The negatives of a batch, and the data of all rows."""

    places: Tensor
    log_chance: Tensor
    totals: Tensor
    all_rows: Rows


class _Sampled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, decoded: Tensor, weight: Tensor, bias: Tensor, targets: Bags, drawn: _Drawn, product: torch.dtype
    ) -> Tensor:
        rows, totals = targets.rows(), drawn.totals
        own = _entry_logits(decoded, weight, targets) + bias[targets.indices]
        columns = weight[drawn.places].to(product)
        others = multiplied(columns, decoded.to(product).T).to(bias.dtype)
        others += (bias[drawn.places] - drawn.log_chance)[:, None]
        _leave_out(others, drawn.places, targets)
        peak = drawn.all_rows.largest(_peak(others).scatter_reduce(0, rows, own, "amax"))
        own_exps, other_exps = (own - peak[rows]).exp(), others.sub_(peak).exp_()
        total = over_columns(other_exps, Tensor.sum).index_add_(0, rows, own_exps)
        positive = totals.new_zeros(len(totals)).index_add_(0, rows, targets.weights * own)
        total, positive = drawn.all_rows.added(torch.stack([total, positive]))
        ctx.targets, ctx.drawn, ctx.product, ctx.other_exps = targets, drawn, product, other_exps.to(product)
        ctx.save_for_backward(decoded, weight, own_exps, total, columns, totals)
        log_prob: Tensor = positive - totals * (peak + total.log())
        return log_prob

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        decoded, weight, own_exps, total, columns, totals = ctx.saved_tensors
        targets, drawn = ctx.targets, ctx.drawn
        rows = targets.rows()
        scale = -grad * totals / total
        own = targets.reweighted(grad[rows] * targets.weights + scale[rows] * own_exps)
        grad_decoded = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_decoded = weighted_sums(weight, targets.indices, targets.offsets, own.weights)
            grad_decoded += multiplied(ctx.other_exps.T, columns).to(decoded.dtype) * scale[:, None]
        if ctx.needs_input_grad[1] or ctx.needs_input_grad[2]:
            extended = torch.cat([decoded, decoded.new_ones(len(decoded), 1)], 1)
            both = transposed_sums(extended, own, len(weight))
            products = multiplied(ctx.other_exps, (extended * scale[:, None]).to(ctx.product))
            both.index_add_(0, drawn.places, products.to(both.dtype))
            grad_weight, grad_bias = both[:, :-1], both[:, -1]
        return grad_decoded, grad_weight, grad_bias, None, None, None


def _peak(logits: Tensor) -> Tensor:
    """The maximum of each column of logits [drawn, batch]; −∞ if nothing was drawn."""
    return over_columns(logits, Tensor.amax) if len(logits) else logits.new_full(logits.shape[1:], -torch.inf)


def _entry_logits(decoded: Tensor, weight: Tensor, targets: Bags) -> Tensor:
    """w_i · d_b for each entry, one block of entries at a time."""
    rows = targets.rows()
    blocks = zip(rows.split(ENTRIES), targets.indices.split(ENTRIES), strict=True)
    return torch.cat([(decoded[row] * weight[item]).sum(1) for row, item in blocks])


def _leave_out(logits: Tensor, negatives: Tensor, targets: Bags) -> None:
    """Set the logits [drawn, batch] of negatives that are among a row's own items to −∞, in place."""
    if len(negatives) == 0:
        return
    places = torch.searchsorted(negatives, targets.indices).clamp_(max=len(negatives) - 1)
    # Entries that are not negatives add nothing, so that their number need not be known.
    own = torch.zeros_like(targets.weights, dtype=logits.dtype)
    own.masked_fill_(negatives[places] == targets.indices, -torch.inf)
    logits.index_put_((places, targets.rows()), own, accumulate=True)

"""Some rows of a table as a table of its own, whose gradient reaches the large one without a dense copy."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

from isthmus.batch import Bags
from isthmus.core.ops.bags import bag_sum


def rows_of(
    table: Float[Tensor, "width ..."], rows: Int64[Tensor, " touched"], *, sparse: bool = False
) -> Float[Tensor, "touched ..."]:
    """The given rows of a table.

    Args:
        rows: ascending, each once.
        sparse: the gradient holds these rows and no others (a coalesced sparse tensor, which a row-wise optimiser
            reads); otherwise it is dense, with zeros everywhere else.
    """
    taken: Tensor = _Rows.apply(table, rows, sparse)  # type: ignore[no-untyped-call]
    return taken


def sparse_bag_sum(table: Float[Tensor, "width entered"], bags: Bags) -> Float[Tensor, "batch entered"]:
    """``bag_sum`` whose gradient is sparse: work and memory grow with the items that occur, not with the table."""
    if not (torch.is_grad_enabled() and table.requires_grad):
        return bag_sum(table, bags)
    rows, places = bags.indices.unique(return_inverse=True)
    return bag_sum(rows_of(table, rows, sparse=True), Bags(places, bags.offsets, bags.weights))


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, sparse: bool) -> Tensor:
        ctx.rows, ctx.shape, ctx.sparse = rows, table.shape, sparse
        return table.index_select(0, rows)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        if ctx.sparse:
            return (
                torch.sparse_coo_tensor(ctx.rows[None], grad, ctx.shape, is_coalesced=True, check_invariants=False),
                None,
                None,
            )
        return grad.new_zeros(ctx.shape).index_copy_(0, ctx.rows, grad), None, None

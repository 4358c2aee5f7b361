"""A linear model with a low-rank change of its weights, without copying them."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.batch import Bags, Tensors
from isthmus.core.linear.changing import ChangingInverse
from isthmus.core.linear.dense import LinearAutoencoder
from isthmus.core.ops.bags import bag_sum
from isthmus.protocols import Columns


class CorrectedLinear(nn.Module):
    """scores = x B with B = base · diag(scale) + left · right + diag(own).

    Args:
        base: the model before the change; it is shared and not modified.
        changes: the inverse, whose ``base`` belongs to the weights of ``base``.
    """

    scale: Tensor
    left: Tensor
    right: Tensor
    own: Tensor

    def __init__(self, base: LinearAutoencoder, changes: ChangingInverse) -> None:
        super().__init__()
        self.base = base
        scale, device = changes.scale(), base.weights.device
        relative, right = scale / changes.base_scale, changes.right * scale
        before = base.weights.diagonal().cpu().numpy().astype(np.float64) * relative
        own = changes.own_weights() - before - (changes.base.diagonal() - changes.diagonal) * scale
        parts = {"scale": relative, "left": changes.left, "right": right, "own": own}
        for name, part in parts.items():
            self.register_buffer(name, torch.from_numpy(part.astype(np.float32)).to(device))

    @property
    def width(self) -> int:
        """The number of columns that are ranked."""
        return self.base.width

    def prepare(self, inputs: Tensors) -> Bags:
        """The bags themselves. Raises SettingError for other inputs."""
        return self.base.prepare(inputs)

    def scores(self, state: Bags, columns: Columns = None) -> Float[Tensor, "batch columns"]:
        """x B, for some columns or all."""
        some = slice(None) if columns is None else columns
        scored = self.base.scores(state, columns) * self.scale[some]
        scored += bag_sum(self.left, state) @ self.right[:, some]
        return self._with_own(scored, state, columns)

    def weights_for(self, column: int) -> Float[Tensor, " width"]:
        """A column of B."""
        found = self.base.weights_for(column) * self.scale[column] + self.left @ self.right[:, column]
        found[column] += self.own[column]
        return found

    def _with_own(self, scored: Tensor, state: Bags, columns: Columns) -> Tensor:
        """Add x · diag(own), in place if all columns or a range of them are requested."""
        rows, parts = state.rows(), state.weights.to(scored.dtype) * self.own[state.indices]
        if columns is None or isinstance(columns, slice):
            start, stop, _ = (columns or slice(None)).indices(self.width)
            # For columns outside the range, 0 is added to the last column.
            inside = (state.indices >= start) & (state.indices < stop)
            places = (state.indices - start).clamp(0, stop - start - 1)
            return scored.index_put_((rows, places), parts * inside, accumulate=True)
        everywhere = scored.new_zeros(len(scored), self.width).index_put_((rows, state.indices), parts, accumulate=True)
        return scored + everywhere[:, columns]

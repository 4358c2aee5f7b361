"""A ranker that extends a model by items that are known only by their features."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from isthmus.batch import Bags, Tensors, require_bags
from isthmus.core.ops.bags import bag_sum
from isthmus.core.rankers import ranker_of
from isthmus.protocols import Columns

NEAR = 5
"""Number of known items that replace a new one in a history."""


class ColdStartRanker(nn.Module):
    """Scores of a model, and of further columns: score_j = s̄ + α Σ_k s_k M_kj + γ Σ_k x_k M_kj.

    A column j with features and without interactions has ``place[j] >= 0``; the other columns have exactly the scores
    of the model. s̄ is the mean score of the items from which M predicts. In a history a new item is replaced by the
    ``NEAR`` most similar known ones.

    Args:
        model: ranks the first columns.
        tensors: ``left`` [known, 1 + inner], whose first column is the mean and whose others are M's left factor;
            ``right`` [inner, unknown], empty if the left factor is M; ``place`` [width]; ``near`` and ``near_weights``
            [unknown, NEAR]; ``sizes`` [2], α and γ.
    """

    left: Tensor
    right: Tensor
    place: Tensor
    near: Tensor
    near_weights: Tensor
    sizes: Tensor

    def __init__(self, model: nn.Module, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.model = model
        for name in NAMES:
            self.register_buffer(name, tensors[name])
        self._ranker = ranker_of(model)

    @property
    def width(self) -> int:
        """The number of items."""
        return len(self.place)

    @property
    def known(self) -> int:
        """The number of columns of the model itself."""
        return len(self.left)

    def prepare(self, inputs: Tensors) -> tuple[Any, Float[Tensor, "batch inner"]]:
        """The state of the model, and the parts of s̄ and both sums that do not depend on the column."""
        readable = self.with_known_items(require_bags(inputs, "a ranking by features"))
        state = self._ranker.prepare(readable)
        with torch.no_grad():
            summed = self._ranker.scores(state).to(self.left.dtype) @ self.left
            summed[:, 1:] *= self.sizes[0]
            summed[:, 1:] += self.sizes[1] * bag_sum(self.left, readable)[:, 1:]
        return state, summed

    def scores(
        self, state: tuple[Any, Float[Tensor, "batch inner"]], columns: Columns = None
    ) -> Float[Tensor, "batch columns"]:
        """Scores of the model for the columns that it knows, otherwise by features."""
        inner, summed = state
        with torch.no_grad():
            own = self._own(inner, len(summed), columns)
            places = self.place[slice(None) if columns is None else columns]
            new = (places >= 0).nonzero()[:, 0]
            if len(new):
                own[:, new] = self.new_scores(summed, places[new]).to(own.dtype)
        return own

    def new_scores(
        self, summed: Float[Tensor, "batch inner"], places: Int64[Tensor, " new"]
    ) -> Float[Tensor, "batch new"]:
        """s̄ plus the prediction by features, for some new items."""
        above = summed[:, 1:][:, places] if not self.right.numel() else summed[:, 1:] @ self.right[:, places]
        return above + summed[:, :1]

    def with_known_items(self, bags: Bags) -> Bags:
        """The bags with new items replaced by known ones, as the model reads them."""
        new = self.place[bags.indices] >= 0
        if not bool(new.any()):
            return bags
        copies = torch.where(new, NEAR, 1)
        entries = torch.arange(len(new), device=new.device).repeat_interleave(copies)
        starts = copies.cumsum(0) - copies
        within = torch.arange(len(entries), device=new.device) - starts[entries]
        place = self.place[bags.indices[entries]].clamp(min=0)
        stands = new[entries]
        indices = torch.where(stands, self.near[place, within.clamp(max=NEAR - 1)], bags.indices[entries])
        parts = torch.where(stands, self.near_weights[place, within.clamp(max=NEAR - 1)], 1.0)
        ends = F.pad(copies.cumsum(0), (1, 0))
        ages, times = (None if of is None else of[entries] for of in (bags.ages, bags.times))
        return Bags(indices, ends[bags.offsets], bags.weights[entries] * parts, ages, times)

    def _own(self, inner: Any, batch: int, columns: Columns) -> Float[Tensor, "batch columns"]:
        if isinstance(columns, Tensor):
            return self._ranker.scores(inner, columns.clamp(max=self.known - 1))
        start, stop, _ = (columns or slice(None)).indices(self.width)
        if start >= self.known:
            return self.left.new_zeros(batch, max(0, stop - start))
        own = self._ranker.scores(inner, slice(start, min(stop, self.known)))
        return F.pad(own, (0, max(0, stop - max(start, self.known))))


NAMES = ("left", "right", "place", "near", "near_weights", "sizes")

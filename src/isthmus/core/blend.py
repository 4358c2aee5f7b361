"""Several models that answer as one: a deep core and a linear path, each with its weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.batch import Bags
from isthmus.core.rankers import ranker_of
from isthmus.errors import SettingError
from isthmus.protocols import Columns


class Blend(nn.Module):
    """score(x) = Σ_p weight_p · score_p(x) / max(1, |x|) ** exponent_p, with |x| the entries of the bag.

    The logits of a deep core hardly grow with a history, those of a linear one are a sum over it: the exponent says how
    much of that growth is taken back. A part of weight 0 is not asked at all.

    Args:
        parts: models over the same columns.

    Raises:
        SettingError: no parts, parts of different widths, or one that cannot rank.
    """

    weights: Tensor
    exponents: Tensor

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self._rankers = [ranker_of(part) for part in parts]
        if not parts or len({ranker.width for ranker in self._rankers}) != 1:
            raise SettingError("models over different columns, or none", expected="models over the same columns")
        self.register_buffer("weights", torch.zeros(len(parts)))
        self.register_buffer("exponents", torch.zeros(len(parts)))

    @property
    def width(self) -> int:
        """How many columns are ranked."""
        return self._rankers[0].width

    def weigh(self, weights: Sequence[float], exponents: Sequence[float]) -> None:
        """Set what each part counts, in place."""
        self.weights.copy_(torch.tensor(weights))
        self.exponents.copy_(torch.tensor(exponents))

    def prepare(self, inputs: Bags) -> list[tuple[int, Float[Tensor, " batch"], Any]]:
        """Of each part that counts: its number, its factor for each row, its own state."""
        lengths = inputs.lengths().clamp(min=1).to(self.weights.dtype)
        return [
            (part, self.weights[part] / lengths ** self.exponents[part], self._rankers[part].prepare(inputs))
            for part in self.weights.nonzero()[:, 0].tolist()
        ]

    def scores(
        self, state: list[tuple[int, Float[Tensor, " batch"], Any]], columns: Columns = None
    ) -> Float[Tensor, "batch columns"]:
        """The weighted sum. Raises SettingError where every weight is 0."""
        if not state:
            raise SettingError("a blend whose weights are all 0", expected="a blend that was fitted")
        total: Tensor | None = None
        for part, factor, inner in state:
            scored = self._rankers[part].scores(inner, columns).float() * factor[:, None]
            total = scored if total is None else total.add_(scored)
        assert total is not None
        return total

"""Whatever scores every column for a bag: the face that tasks see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.batch import Bags
from isthmus.core.autoencoder import Autoencoder
from isthmus.errors import SettingError
from isthmus.protocols import Columns, Ranker, RankingReadout


class AutoencoderRanker:
    """Scores are the logits of the clean, unsampled code.

    Args:
        model: an autoencoder with a ranking readout.

    Raises:
        SettingError: its readout ranks nothing.
    """

    def __init__(self, model: Autoencoder) -> None:
        if not isinstance(model.readout, RankingReadout):
            raise SettingError("a model whose readout has no rows", expected="a readout with weight and bias")
        self.model = model
        self.readout: RankingReadout = model.readout

    @property
    def width(self) -> int:
        """How many columns are ranked."""
        return len(self.readout.weight)

    def prepare(self, inputs: Bags) -> Float[Tensor, "batch hidden"]:
        """The decoded state of the mean code."""
        with torch.no_grad():
            decoded: Tensor = self.model.decode(self.model.encode(inputs).point)
            return decoded

    def scores(self, state: Float[Tensor, "batch hidden"], columns: Columns = None) -> Float[Tensor, "batch columns"]:
        """Logits."""
        with torch.no_grad():
            return self.readout.logits(state, columns)


class WeightedSum:
    """Σ weight · scores of several rankers over the same columns."""

    def __init__(self, parts: Sequence[tuple[float, Ranker]]) -> None:
        if not parts or len({ranker.width for _, ranker in parts}) != 1:
            raise SettingError("rankers of different widths, or none", expected="rankers over the same columns")
        self.parts = tuple(parts)

    @property
    def width(self) -> int:
        """How many columns are ranked."""
        return self.parts[0][1].width

    def prepare(self, inputs: Bags) -> list[Any]:
        """The state of each part."""
        return [ranker.prepare(inputs) for _, ranker in self.parts]

    def scores(self, state: list[Any], columns: Columns = None) -> Float[Tensor, "batch columns"]:
        """The weighted sum of the parts' scores."""
        total: Tensor | None = None
        for (weight, ranker), inner in zip(self.parts, state, strict=True):
            scored = ranker.scores(inner, columns) * weight
            total = scored if total is None else total.add_(scored)
        assert total is not None
        return total


def ranker_of(model: nn.Module) -> Ranker:
    """The ranking face of a model that a builder made.

    Raises:
        SettingError: it cannot rank.
    """
    if isinstance(model, Autoencoder):
        return AutoencoderRanker(model)
    if isinstance(model, Ranker):
        return model
    raise SettingError(f"{type(model).__name__} cannot rank", expected="an autoencoder or a ranker")

"""Whatever scores every column for a bag: the face that tasks see."""

from __future__ import annotations

from typing import TypeGuard

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.batch import Bags
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.readouts import ranks
from isthmus.errors import SettingError
from isthmus.protocols import Columns, LinearRanker, Ranker, RankingReadout


class AutoencoderRanker:
    """Scores are the logits of the clean, unsampled code.

    Args:
        model: an autoencoder with a ranking readout.

    Raises:
        SettingError: its readout ranks nothing.
    """

    def __init__(self, model: Autoencoder) -> None:
        if not ranks(model.readout):
            raise SettingError("a model whose readout has no rows", expected="weight, bias, vectors and queries")
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


def ranker_of(model: nn.Module) -> Ranker:
    """The ranking face of a model that a builder made.

    Raises:
        SettingError: it cannot rank.
    """
    if isinstance(model, Autoencoder):
        return AutoencoderRanker(model)
    if _is_ranker(model):
        return model
    raise SettingError(f"{type(model).__name__} cannot rank", expected="an autoencoder or a ranker")


def is_linear(ranker: object) -> TypeGuard[LinearRanker]:
    """Whether the weights of a ranker can be read off, column by column."""
    return hasattr(ranker, "weights_for")


def _is_ranker(model: object) -> TypeGuard[Ranker]:
    return all(hasattr(model, name) for name in ("width", "prepare", "scores"))

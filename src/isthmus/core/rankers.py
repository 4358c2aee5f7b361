"""Rankers, which score columns for rows of inputs: the interface of models that tasks use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.batch import Histories, Tensors, Tokens, require_bags
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.placement import rows_of
from isthmus.core.readouts import ranks
from isthmus.errors import SettingError
from isthmus.protocols import Columns, LinearRanker, Ranker, RankingReadout


class AutoencoderRanker:
    """A ranker whose scores are the logits of an autoencoder for uncorrupted inputs, without sampling the code.

    Args:
        model: an autoencoder with a ranking readout.

    Raises:
        SettingError: its readout cannot rank.
    """

    def __init__(self, model: Autoencoder) -> None:
        if not ranks(model.readout):
            raise SettingError("a model whose readout has no rows", expected="weight, bias, vectors and queries")
        self.model = model
        self.readout: RankingReadout = model.readout
        self.rows = rows_of(self.readout)

    @property
    def width(self) -> int:
        """How many columns are ranked."""
        return self.rows.width

    def prepare(self, inputs: Tensors) -> Float[Tensor, "batch hidden"]:
        """The decoded state of the mean code, for any inputs of the encoder."""
        with torch.no_grad():
            decoded: Tensor = self.model.decode(self.model.encode(read_by(self.model, inputs)).point)
            return decoded

    def scores(self, state: Float[Tensor, "batch hidden"], columns: Columns = None) -> Float[Tensor, "batch columns"]:
        """The logits of all items; higher ranks earlier."""
        with torch.no_grad():
            return self.readout.logits(state, columns)


def ranker_of(model: nn.Module) -> Ranker:
    """The ranker of a model that a builder returned.

    Raises:
        SettingError: it cannot rank.
    """
    if isinstance(model, Autoencoder):
        return AutoencoderRanker(model)
    if _is_ranker(model):
        return model
    raise SettingError(f"{type(model).__name__} cannot rank", expected="an autoencoder or a ranker")


def is_linear(ranker: object) -> TypeGuard[LinearRanker]:
    """Whether a ranker is linear, so that its weights can be read column by column."""
    return hasattr(ranker, "weights_for")


def _is_ranker(model: object) -> TypeGuard[Ranker]:
    return all(hasattr(model, name) for name in ("width", "prepare", "scores"))


def read_by(model: nn.Module, inputs: Tensors) -> Tensors:
    """The inputs that one of several models reads: token rows if its signal is that of tokens, otherwise bags."""
    if not isinstance(inputs, Histories):
        return inputs
    signal = getattr(model, "signal", None)
    return inputs.tokens.last(signal.length) if isinstance(signal, Tokens) else inputs.bags


class Blend(nn.Module):
    """score(x) = Σ_p weight_p · score_p(x) / max(1, |x|) ** exponent_p, where |x| is the number of entries of the bag.

    The logits of a network hardly grow with the length of a history, whereas those of a linear model are sums over it;
    the exponent determines how much of this growth is removed. Parts with weight 0 are not computed.

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
        there = next(parts[0].parameters(), next(parts[0].buffers(), torch.empty(0))).device
        self.register_buffer("weights", torch.zeros(len(parts), device=there))
        self.register_buffer("exponents", torch.zeros(len(parts), device=there))

    @property
    def width(self) -> int:
        """How many columns are ranked."""
        return self._rankers[0].width

    def weigh(self, weights: Sequence[float], exponents: Sequence[float]) -> None:
        """Set the weights and exponents of the parts, in place."""
        self.weights.copy_(torch.tensor(weights))
        self.exponents.copy_(torch.tensor(exponents))

    def prepare(self, inputs: Tensors) -> list[tuple[int, Float[Tensor, " batch"], Any]]:
        """For each part with a weight: its number, its factor for each row, and its own state.

        Parts that read order receive the token rows of ``Histories``, with as many of the last tokens as they read.

        Raises:
            SettingError: inputs without bags, whose length the factors need.
        """
        lengths = require_bags(inputs, "a blend").lengths().clamp(min=1).to(self.weights.dtype)
        counting = self.weights.nonzero()[:, 0].tolist()
        states = [self._rankers[part].prepare(read_by(self.parts[part], inputs)) for part in counting]
        factors = [self.weights[part] / lengths ** self.exponents[part] for part in counting]
        return list(zip(counting, factors, states, strict=True))

    def scores(
        self, state: list[tuple[int, Float[Tensor, " batch"], Any]], columns: Columns = None
    ) -> Float[Tensor, "batch columns"]:
        """The weighted sum. Raises SettingError if all weights are 0."""
        if not state:
            raise SettingError("a blend whose weights are all 0", expected="a blend that was fitted")
        total: Tensor | None = None
        for part, factor, inner in state:
            scored = self._rankers[part].scores(inner, columns).float() * factor[:, None]
            total = scored if total is None else total.add_(scored)
        assert total is not None
        return total

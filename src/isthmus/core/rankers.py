"""Whatever scores every column for a bag: the face that tasks see."""

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
        self.rows = rows_of(self.readout)

    @property
    def width(self) -> int:
        """How many columns are ranked."""
        return self.rows.width

    def prepare(self, inputs: Tensors) -> Float[Tensor, "batch hidden"]:
        """The decoded state of the mean code, whatever the encoder reads."""
        with torch.no_grad():
            decoded: Tensor = self.model.decode(self.model.encode(read_by(self.model, inputs)).point)
            return decoded

    def scores(self, state: Float[Tensor, "batch hidden"], columns: Columns = None) -> Float[Tensor, "batch columns"]:
        """The logits of all items; higher ranks earlier."""
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


def read_by(model: nn.Module, inputs: Tensors) -> Tensors:
    """Inputs as one of several models reads them: token rows if its signal says so, otherwise bags."""
    if not isinstance(inputs, Histories):
        return inputs
    signal = getattr(model, "signal", None)
    return inputs.tokens.last(signal.length) if isinstance(signal, Tokens) else inputs.bags


class Blend(nn.Module):
    """score(x) = Σ_p weight_p · score_p(x) / max(1, |x|) ** exponent_p, with |x| the entries of the bag.

    The logits of a deep core hardly grow with a history, those of a linear one are a sum over it: the exponent says how
    much of that growth is taken back. A part of weight 0 is not computed at all.

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
        """Set what each part counts, in place."""
        self.weights.copy_(torch.tensor(weights))
        self.exponents.copy_(torch.tensor(exponents))

    def prepare(self, inputs: Tensors) -> list[tuple[int, Float[Tensor, " batch"], Any]]:
        """Of each part that counts: its number, its factor for each row, its own state.

        Parts that read order receive the token rows of ``Histories``, as many of the last tokens as they read.

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
        """The weighted sum. Raises SettingError where every weight is 0."""
        if not state:
            raise SettingError("a blend whose weights are all 0", expected="a blend that was fitted")
        total: Tensor | None = None
        for part, factor, inner in state:
            scored = self._rankers[part].scores(inner, columns).float() * factor[:, None]
            total = scored if total is None else total.add_(scored)
        assert total is not None
        return total

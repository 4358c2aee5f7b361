"""Recency weighting: entries of a bag get a lower weight the older their last event is.

The weight of an entry is multiplied by ½ ** (age / half-life). The age is the number of later events of the same row,
or the time between the event and the last one of the row. The model is trained on such bags and applied to them, so
that any model of bags can have a half-life without supporting it itself.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.batch import Bags, Tensors, require_bags
from isthmus.core.rankers import ranker_of, read_by
from isthmus.errors import SettingError
from isthmus.protocols import Columns

UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0, "y": 365.25 * 86_400.0}
"""Seconds of the units of time."""

EXPECTED = 'a number of events such as 20, or a time such as "30d" (s, min, h, d, w or y)'

LEAST, MOST = 1e-3, 1e12
"""Limits of a half-life in events, so that ages can be divided by it in 32 bits."""

SMALLEST = 1e-30
"""Smallest factor, because an entry with the weight 0 would no longer count as an entry."""


def seconds_of(text: str, name: str = "half_life") -> float:
    """A length of time in seconds.

    Args:
        text: a duration such as "30d" or "12h".
        name: name of the setting, for the message.

    Raises:
        SettingError: not a duration.
    """
    form = r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([a-z]{1,3})\s*"
    found = re.fullmatch(form, text.lower()) if isinstance(text, str) else None
    seconds = float(found[1]) * UNITS.get(found[2], 0.0) if found else 0.0
    if not seconds:
        raise SettingError(f"{name}={text!r}", expected='a time such as "30d" (s, min, h, d, w or y)')
    return seconds


@dataclass(frozen=True)
class HalfLife:
    """The age at which an entry counts half.

    Attributes:
        length: number of events, or seconds.
        timed: whether it is a duration.
    """

    length: float
    timed: bool = False

    @classmethod
    def parse(cls, given: object) -> HalfLife:
        """Read a setting.

        Raises:
            SettingError: neither a positive number nor a duration.
        """
        if isinstance(given, str):
            number = re.fullmatch(r"\s*[0-9]{1,9}(\.[0-9]{1,9})?\s*", given)
            return cls.parse(float(given)) if number else cls(seconds_of(given), timed=True)
        if isinstance(given, bool) or not isinstance(given, int | float) or not LEAST <= given <= MOST:
            raise SettingError(f"half_life={given!r}", expected=EXPECTED)
        return cls(float(given))

    def factors(self, bags: Bags) -> Float[Tensor, " entries"]:
        """The factor of each entry, above 0 and up to 1; 1 for entries of unknown age."""
        ages = self._elapsed(bags) if self.timed else bags.ages
        if ages is None:
            return torch.ones_like(bags.weights)
        return torch.exp2(-ages / self.length).clamp(min=SMALLEST).to(bags.weights.dtype)

    def _elapsed(self, bags: Bags) -> Tensor | None:
        """Seconds between each entry and the newest one of its row."""
        if bags.times is None:
            return None
        rows = bags.rows()
        newest = torch.full((bags.size,), -math.inf, dtype=bags.times.dtype, device=bags.times.device)
        newest.scatter_reduce_(0, rows, bags.times, "amax")
        return newest[rows] - bags.times


class Recent(nn.Module):
    """A model that is applied to bags with recency weights.

    Args:
        model: a model of bags.
        half_life: the age at which an entry counts half.
    """

    def __init__(self, model: nn.Module, half_life: HalfLife) -> None:
        super().__init__()
        self.model, self.half_life = model, half_life
        self._ranker = ranker_of(model)

    @property
    def width(self) -> int:
        """The number of columns that are ranked."""
        return self._ranker.width

    def weighed(self, inputs: Tensors) -> Bags:
        """The bags that the model itself reads.

        Raises:
            SettingError: inputs without bags.
        """
        bags = require_bags(read_by(self, inputs), "a model with a half-life")
        return bags.reweighted(bags.weights * self.half_life.factors(bags))

    def prepare(self, inputs: Tensors) -> Any:
        """The state of the model for the weighed bags."""
        return self._ranker.prepare(self.weighed(inputs))

    def scores(self, state: Any, columns: Columns = None) -> Float[Tensor, "batch columns"]:
        """The scores of the model."""
        return self._ranker.scores(state, columns)

"""Masking noise for an ensemble: members see a part of a row, with a mask channel, and predict the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from isthmus.batch import Batch, Tensors, Values
from isthmus.machine.devices import sent

Decoded = tuple[Tensor, Tensor | None]
"""The input of the readout, and the mask of the numbers hidden from each member."""

LOG_2PI = math.log(2 * math.pi)


def with_mask_channel(inputs: Tensors) -> Tensors:
    """Add a mask channel of ones, for visible numbers: [batch, width] to [batch, 2 · width]."""
    assert isinstance(inputs, Values), "with_mask_channel reads values"
    return Values(torch.cat([inputs.values, torch.ones_like(inputs.values)], 1))


def mask(inputs: Values, hidden: Bool[Tensor, "#batch members width"]) -> Values:
    """Numbers with their mask channel for each member: both are 0 where ``hidden``."""
    shown = (~hidden).to(inputs.values.dtype).repeat(1, 1, 2)
    return Values(inputs.values[:, None] * shown)


@dataclass(frozen=True)
class MemberMasks:
    """Hides numbers from each member independently: for every row and member a probability is drawn between ``low`` and
    ``high``, and each number is hidden with this probability."""

    members: int
    low: float
    high: float

    def __call__(self, inputs: Tensors, generator: Generator) -> Tensors:
        """[batch, 2 · width] to [batch, members, 2 · width]."""
        assert isinstance(inputs, Values), "masks hide values"
        batch, width = len(inputs.values), inputs.values.shape[1] // 2
        drawn = torch.empty(batch, self.members, width + 1, device=inputs.values.device).uniform_(generator=generator)
        share = self.low + (self.high - self.low) * drawn[..., :1]
        return mask(inputs, drawn[..., 1:] < share)


class MemberGaussian:
    """N(mean, scale²) of each number and member, with mean and scale predicted from the member's visible numbers.

    Hidden numbers have the weight 1, visible ones ``shown``; NaN targets are ignored. The sum over columns is averaged
    over members.

    Args:
        shown: weight of visible numbers.
        floor: minimum scale, in units of the scaled column.
    """

    def __init__(self, shown: float = 0.1, floor: float = 0.05) -> None:
        self.shown, self.floor = shown, floor

    def __call__(
        self, readout: Any, decoded: Decoded, targets: Tensors, *, generator: Generator | None = None
    ) -> Float[Tensor, " batch"]:
        """log p of the hidden numbers, in nats per member."""
        assert isinstance(targets, Values), "a likelihood of values"
        nats = self.each(readout, decoded, targets.values)
        hidden = decoded[1]
        if hidden is not None:
            nats = torch.where(hidden, nats, self.shown * nats)
        return -nats.sum(2).mean(1)

    def each(
        self, readout: Any, decoded: Decoded, targets: Float[Tensor, "batch *members width"]
    ) -> Float[Tensor, "batch members width"]:
        """−log p of every number for every member.

        Args:
            readout: readout of the model.
            decoded: output of the decoder for the same rows.
            targets: the numbers, for each member if they differ.

        Returns:
            Nats, shape (batch, members, width); 0 where the target is NaN.
        """
        mean, log_scale = self._parameters(readout, decoded)
        numbers = targets if targets.dim() == 3 else targets[:, None]
        known = ~numbers.isnan()
        standard = (numbers.nan_to_num() - mean) * torch.exp(-log_scale)
        return (0.5 * standard.square() + log_scale + 0.5 * LOG_2PI) * known

    def means(self, readout: Any, decoded: Decoded) -> Float[Tensor, "batch members width"]:
        """The mean that each member predicts."""
        return self._parameters(readout, decoded)[0]

    def mean(self, readout: Any, decoded: Decoded) -> Float[Tensor, "batch width"]:
        """The mean over members of the predicted means."""
        return self.means(readout, decoded).mean(1)

    def sample(self, readout: Any, decoded: Decoded, generator: Generator) -> Float[Tensor, "batch width"]:
        """A sample from the distribution of one member for each row.

        Args:
            readout: readout of the model.
            decoded: output of the decoder.
            generator: random generator for the member and the sample.
        """
        mean, log_scale = self._parameters(readout, decoded)
        drawn = mean + log_scale.exp() * torch.empty_like(mean).normal_(generator=generator)
        chosen = torch.randint(mean.shape[1], (len(mean),), device=mean.device, generator=generator)
        return drawn[torch.arange(len(mean), device=mean.device), chosen]

    def _parameters(self, readout: Any, decoded: Decoded) -> tuple[Tensor, Tensor]:
        mean, raw = readout.logits(decoded[0]).unbind(3)
        lowest = math.log(self.floor)
        # A soft floor and a soft ceiling keep a gradient everywhere.
        return mean, lowest + torch.nn.functional.softplus(2 - torch.nn.functional.softplus(2 - raw) - lowest)


@dataclass(frozen=True, eq=False)
class LeaveMembersOutSource:
    """Rows whose targets are NaN for the members that are not trained on them.

    Attributes:
        values: the rows.
        kept: whether a member is trained on a row.
    """

    values: Float[Tensor, "rows width"]
    kept: Bool[Tensor, "rows members"]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """The width, for each row."""
        return torch.full((len(self),), self.values.shape[1], device=self.values.device)

    def to(self, device: torch.device) -> LeaveMembersOutSource:
        """The same rows on another device."""
        return LeaveMembersOutSource(self.values.to(device), self.kept.to(device))

    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch:
        """The given rows, in the given order."""
        rows = sent(rows, self.values.device)
        values = self.values[rows]
        targets = values[:, None].masked_fill(~self.kept[rows][:, :, None], torch.nan)
        return Batch(rows, Values(values), Values(targets))


def assign_folds(rows: int, members: int, absent: int, *, generator: Generator) -> Bool[Tensor, "rows members"]:
    """Assign rows to members: ``absent`` members are left out for each row, and all members miss the same number of
    rows.

    Args:
        rows, members: numbers of rows and members.
        absent: number of members that are not trained on a row.
        generator: random generator for the assignment.

    Returns:
        True where the member is trained on the row.
    """
    first = torch.randperm(rows, generator=generator) % members
    offsets = (torch.arange(members) - first[:, None]) % members
    return offsets >= absent

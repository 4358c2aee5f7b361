"""Three anomaly scores of a row: its negative log-likelihood under the ensemble, its distance from known rows, and the
distance of its code from theirs.

For distances, the code is extended by the prediction errors of the ensemble, since a row can be anomalous in aspects
that its code does not keep (Zong et al. 2018, "Deep autoencoding Gaussian mixture model", equation 3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Generator, Tensor

from isthmus.batch import Batch, Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.reprs import brief
from isthmus.tasks.anomaly import Nearest, hidden_in_turn
from isthmus_vectors.detection.grouped import GroupedEncoder
from isthmus_vectors.detection.masking import MemberGaussian, mask, with_mask_channel

MOST = 8.0
"""Maximum contribution of one number in nats, so that a single extreme cell does not outweigh a whole row."""

BLOCK = 2048
"""Number of rows that are scored together."""

SPREAD = 1e-6
"""Units of a code that vary less are ignored."""


@brief
@dataclass(frozen=True, eq=False)
class Scorers:
    """A trained ensemble in fp64 with the known rows. Created by ``fit`` or ``of``.

    Attributes:
        model: model of ``masked_ensemble``.
        masks: numbers to hide from each member in each pass; every number is hidden once.
        inputs: the known rows.
        codes: their codes concatenated with the prediction errors of the ensemble, on the scale of the known rows.
        centre, scale: centre and scale of codes and errors.
    """

    model: Autoencoder
    masks: Bool[Tensor, "passes members width"]
    inputs: Nearest
    codes: Nearest
    centre: Float64[Tensor, " units"]
    scale: Float64[Tensor, " units"]

    @classmethod
    def fit(
        cls,
        model: Autoencoder,
        values: Float64[Tensor, "rows width"],
        passes: int,
        k: int,
        *,
        generator: Generator,
    ) -> Scorers:
        """Draw the masks, and use these rows as the known ones.

        Args:
            model: trained model of ``masked_ensemble``.
            values: the known rows, on the scale of the training.
            passes: number of masks for each member.
            k: number of neighbours over which distances are averaged.
            generator: random generator for the masks.
        """
        width, encoder = values.shape[1], model.encoder
        assert isinstance(encoder, GroupedEncoder)
        turns = [hidden_in_turn((width,), max(2, min(passes, width)), generator=generator) for _ in encoder.open]
        masks = torch.stack(turns, 1)
        return cls.of(model, masks, values, k)

    @classmethod
    def of(
        cls,
        model: Autoencoder,
        masks: Bool[Tensor, "passes members width"],
        values: Float64[Tensor, "rows width"],
        k: int,
    ) -> Scorers:
        """Restore scorers from given masks.

        Args:
            model: trained model of ``masked_ensemble``.
            masks: numbers to hide from each member in each pass.
            values: the known rows, on the scale of the training.
            k: number of neighbours over which distances are averaged.
        """
        codes, predicted = _codes(model, values), _predicted(model, masks, values)
        coded = torch.cat([codes, predicted.errors], 1)
        spread, centre = torch.std_mean(coded, 0, correction=0)
        # All codes together have the same weight as all errors together.
        parts = torch.tensor([codes.shape[1]] * codes.shape[1] + [values.shape[1]] * values.shape[1])
        scale = torch.where(spread > SPREAD, spread * parts.sqrt(), torch.inf)
        return cls(model, masks, Nearest.build(values, k), Nearest.build((coded - centre) / scale, k), centre, scale)

    def scores(self, values: Float64[Tensor, "rows width"]) -> Float64[Tensor, "scorers rows"]:
        """Scores of rows that are not among the known rows; higher is more anomalous."""
        predicted = _predicted(self.model, self.masks, values)
        coded = (torch.cat([_codes(self.model, values), predicted.errors], 1) - self.centre) / self.scale
        return torch.stack([predicted.nats.mean(1), self.inputs.scores(values), self.codes.scores(coded)])

    def known_scores(self, kept: Bool[Tensor, "rows members"]) -> Float64[Tensor, "scorers rows"]:
        """Scores of the known rows, each without itself: by the members that were not trained on it, and by its
        distance from the other rows."""
        nats = _predicted(self.model, self.masks, self.inputs.vectors.double()).nats
        left_out = (nats * ~kept).sum(1) / (~kept).sum(1)
        return torch.stack([left_out, self.inputs.own(), self.codes.own()])

    def columns(self, values: Float64[Tensor, "rows width"]) -> Float64[Tensor, "rows width"]:
        """Nats of each number, averaged over members."""
        return _predicted(self.model, self.masks, values).columns


@brief
@dataclass(frozen=True)
class Predictions:
    """Predictions of the members for the numbers hidden from them.

    Attributes:
        nats: −log p of all numbers of a row, each at most ``MOST``, for each member.
        columns: the same of each number, averaged over members.
        errors: number − prediction, averaged over members.
    """

    nats: Float64[Tensor, "rows members"]
    columns: Float64[Tensor, "rows width"]
    errors: Float64[Tensor, "rows width"]


@torch.no_grad()
def _predicted(
    model: Autoencoder, masks: Bool[Tensor, "passes members width"], values: Float64[Tensor, "rows width"]
) -> Predictions:
    likelihood = model.likelihood
    assert isinstance(likelihood, MemberGaussian)
    found = []
    for block in values.split(BLOCK):
        shown = with_mask_channel(Values(block))
        assert isinstance(shown, Values)
        nats, predicted = (torch.zeros(len(block), *masks.shape[1:], dtype=block.dtype) for _ in range(2))
        for hidden in masks:
            seen = mask(shown, hidden[None])
            code = model.bottleneck(model.encoder.trunk(model.encoder.enter(seen), seen)).sample
            decoded = model.decode(code, Batch(torch.arange(len(block)), seen, Values(block)))
            nats += likelihood.each(model.readout, decoded, block).clamp(max=MOST) * hidden
            predicted += likelihood.means(model.readout, decoded) * hidden
        found.append((nats.sum(2), nats.mean(1), block - predicted.mean(1)))
    return Predictions(*(torch.cat(parts) for parts in zip(*found, strict=True)))


@torch.no_grad()
def _codes(model: Autoencoder, values: Float64[Tensor, "rows width"]) -> Float64[Tensor, "rows units"]:
    return torch.cat([model.encode(Values(block)).point.flatten(1) for block in values.split(BLOCK)])

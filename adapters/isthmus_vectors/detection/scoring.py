"""Three views of how strange a row is: what the ensemble did not expect of it, and how far it is from known rows, as it
stands and as the ensemble codes it.

The code that distances are taken in is extended by the errors of the ensemble's guesses, as a row can be strange in
what no code keeps (Zong et al. 2018, "Deep autoencoding Gaussian mixture model", equation 3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Generator, Tensor

from isthmus.batch import Batch, Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.tasks.anomaly import Nearest, hidden_in_turn
from isthmus_vectors.detection.grouped import GroupedEncoder
from isthmus_vectors.detection.masking import MemberGaussian, announced, concealed

MOST = 8.0
"""Nats that one number may add: a single wild cell does not outweigh a whole row."""

BLOCK = 2048
"""Rows that are scored together."""

SPREAD = 1e-6
"""Units of a code that vary less say nothing."""


@dataclass(frozen=True, eq=False)
class Scorers:
    """A trained ensemble in fp64 with the rows that it is compared with. Made by ``fit`` or ``of``.

    Attributes:
        model: of ``masked_ensemble``.
        masks: what is hidden from each member, pass after pass; every number once.
        inputs: the known rows.
        codes: their codes beside the errors of the ensemble's guesses, on the scale of the known rows.
        middle, scale: of codes and errors.
    """

    model: Autoencoder
    masks: Bool[Tensor, "passes members width"]
    inputs: Nearest
    codes: Nearest
    middle: Float64[Tensor, " units"]
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
        """Draw the masks, and take these rows as the known ones."""
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
        """With masks that were drawn before; all that is known of the rows follows from them."""
        codes, guesses = _codes(model, values), _guessed(model, masks, values)
        coded = torch.cat([codes, guesses.errors], 1)
        spread, middle = torch.std_mean(coded, 0, correction=0)
        # Codes together weigh as much as errors together.
        parts = torch.tensor([codes.shape[1]] * codes.shape[1] + [values.shape[1]] * values.shape[1])
        scale = torch.where(spread > SPREAD, spread * parts.sqrt(), torch.inf)
        return cls(model, masks, Nearest.build(values, k), Nearest.build((coded - middle) / scale, k), middle, scale)

    def scores(self, values: Float64[Tensor, "rows width"]) -> Float64[Tensor, "scorers rows"]:
        """Of rows that are not among the known; higher is stranger."""
        guesses = _guessed(self.model, self.masks, values)
        coded = (torch.cat([_codes(self.model, values), guesses.errors], 1) - self.middle) / self.scale
        return torch.stack([guesses.nats.mean(1), self.inputs.scores(values), self.codes.scores(coded)])

    def own(self, kept: Bool[Tensor, "rows members"]) -> Float64[Tensor, "scorers rows"]:
        """Of the known rows, each judged by others: by the members that did not learn from it, and by its distance to
        the other rows."""
        nats = _guessed(self.model, self.masks, self.inputs.vectors.double()).nats
        judged = (nats * ~kept).sum(1) / (~kept).sum(1)
        return torch.stack([judged, self.inputs.own(), self.codes.own()])

    def columns(self, values: Float64[Tensor, "rows width"]) -> Float64[Tensor, "rows width"]:
        """Nats of each number, averaged over members."""
        return _guessed(self.model, self.masks, values).columns


@dataclass(frozen=True)
class Guesses:
    """What members made of the numbers that were hidden from them.

    Attributes:
        nats: −log p of all numbers of a row, each at most ``MOST``, for each member.
        columns: the same of each number, averaged over members.
        errors: number − guess, averaged over members.
    """

    nats: Float64[Tensor, "rows members"]
    columns: Float64[Tensor, "rows width"]
    errors: Float64[Tensor, "rows width"]


@torch.no_grad()
def _guessed(
    model: Autoencoder, masks: Bool[Tensor, "passes members width"], values: Float64[Tensor, "rows width"]
) -> Guesses:
    likelihood = model.likelihood
    assert isinstance(likelihood, MemberGaussian)
    found = []
    for block in values.split(BLOCK):
        shown = announced(Values(block))
        assert isinstance(shown, Values)
        nats, guesses = (torch.zeros(len(block), *masks.shape[1:], dtype=block.dtype) for _ in range(2))
        for mask in masks:
            seen = concealed(shown, mask[None])
            hidden = model.encoder.trunk(model.encoder.enter(seen), seen)
            given = Batch(torch.arange(len(block)), seen, Values(block))
            decoded = model.decode(model.bottleneck(hidden).sample, given)
            nats += likelihood.each(model.readout, decoded, block).clamp(max=MOST) * mask
            guesses += likelihood.means(model.readout, decoded) * mask
        found.append((nats.sum(2), nats.mean(1), block - guesses.mean(1)))
    return Guesses(*(torch.cat(parts) for parts in zip(*found, strict=True)))


@torch.no_grad()
def _codes(model: Autoencoder, values: Float64[Tensor, "rows width"]) -> Float64[Tensor, "rows units"]:
    return torch.cat([model.encode(Values(block)).point.flatten(1) for block in values.split(BLOCK)])

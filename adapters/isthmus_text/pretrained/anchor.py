"""What keeps a pretrained encoder good at similarity while it learns to rebuild texts.

Denoising alone makes a trained sentence encoder worse at similarity. Two terms, in nats a record like all others, hold
against it: the vectors stay near those they started from, and texts stay apart from each other.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from isthmus.core.encoders.pretrained import PretrainedEncoder
from isthmus.errors import SettingError
from isthmus.protocols import Source, Step
from isthmus_text.pretrained.cached_vectors import vectors_of


class Anchored:
    """A penalty: weight · mean(1 − cos(e, e₀)), and beside it an in-batch contrast of noisy and clean vectors.

    e is the vector of the clean text now and e₀ the one before training, which ``learns`` computes once for all rows.
    The contrast is InfoNCE (van den Oord et al. 2018, equation 4) in both directions: of all clean vectors of the batch
    a noisy one is to find its own, by cosine / temperature, and the other way round.

    Args:
        anchor: the weight of the first term; 0 leaves it out.
        contrastive: the weight of the second; 0 leaves it out.
        temperature: the smaller, the more the hardest rows count.

    Raises:
        SettingError: a negative weight, or a temperature that is not above 0.
    """

    def __init__(self, anchor: float, contrastive: float, temperature: float = 0.05) -> None:
        if anchor < 0 or contrastive < 0 or not temperature > 0:
            raise SettingError(
                f"anchor={anchor}, contrastive={contrastive}, temperature={temperature}",
                expected="weights of 0 or more, and a temperature above 0",
            )
        self.anchor, self.contrastive, self.temperature = anchor, contrastive, temperature
        self.original: Float[Tensor, "rows width"] | None = None

    def learns(self, encoder: PretrainedEncoder, source: Source) -> None:
        """The vectors of all rows before training: 4 · width bytes a row."""
        if self.anchor:
            self.original = vectors_of(encoder, source)

    def __call__(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        """The weighted terms by name.

        Raises:
            SettingError: ``learns`` was not called, so that there is nothing to stay near.
        """
        clean = _clean(step)
        terms = {}
        if self.anchor:
            terms["anchor"] = self.anchor * (1 - F.cosine_similarity(clean, self._original(step), dim=1)).mean()
        if self.contrastive:
            terms["contrast"] = self.contrastive * info_nce(step.code.point, clean, self.temperature)
        return terms

    def _original(self, step: Step) -> Float[Tensor, "batch width"]:
        if self.original is None:
            raise SettingError("an anchor without the vectors before training", remedy="call learns(encoder, source)")
        self.original = self.original.to(step.code.point.device)
        return self.original[step.batch.rows]


def info_nce(
    first: Float[Tensor, "batch width"], second: Float[Tensor, "batch width"], temperature: float
) -> Float[Tensor, ""]:
    """−mean log softmax(cos(first_i, second_j) / temperature)_ii, the mean of both directions, nats a row."""
    scores = F.normalize(first.float(), dim=1) @ F.normalize(second.float(), dim=1).T / temperature
    own = torch.arange(len(scores), device=scores.device)
    return 0.5 * (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own))


def _clean(step: Step) -> Float[Tensor, "batch width"]:
    """The vectors of the texts without noise; computed again only where there was noise."""
    model = step.model
    return step.code.point if model.corruption is None else model.encode(step.batch.inputs).point

"""Penalties that preserve the similarity of a pretrained encoder while it learns to reconstruct texts.

Training on reconstruction alone makes a sentence encoder worse at similarity. Two penalties, in nats per record,
counteract this: embeddings stay close to the original ones, and different texts stay apart.
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


class AnchorPenalty:
    """weight · mean(1 − cos(e, e₀)), and an in-batch contrastive loss between the embeddings of noisy and clean texts.

    e is the embedding of the clean text and e₀ its embedding before training, which ``before_training`` computes once
    for all rows. The contrastive loss is InfoNCE (van den Oord et al. 2018, equation 4) with cosine / temperature as
    the score: each noisy text is matched with its clean version among the batch, and the reverse.

    Args:
        anchor: weight of the first term; 0 disables it.
        contrastive: weight of the second term; 0 disables it.
        temperature: temperature of the contrastive loss; smaller values emphasise the most similar other texts.

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

    def before_training(self, encoder: PretrainedEncoder, source: Source) -> None:
        """Compute the embeddings of all rows before training: 4 · width bytes per row."""
        if self.anchor:
            self.original = vectors_of(encoder, source)

    def __call__(self, step: Step) -> Mapping[str, Float[Tensor, ""]]:
        """The weighted terms by name.

        Raises:
            SettingError: ``before_training`` was not called.
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
            raise SettingError(
                "an anchor without the vectors before training", remedy="call before_training(encoder, source)"
            )
        self.original = self.original.to(step.code.point.device)
        return self.original[step.batch.rows]


def info_nce(
    first: Float[Tensor, "batch width"], second: Float[Tensor, "batch width"], temperature: float
) -> Float[Tensor, ""]:
    """−mean log softmax(cos(first_i, second_j) / temperature)_ii, averaged over both directions.

    Args:
        first: embeddings.
        second: embeddings of the same texts, row by row.
        temperature: above 0.

    Returns:
        Nats per row; lower if each row of ``first`` is nearest to the same row of ``second``.
    """
    scores = F.normalize(first.float(), dim=1) @ F.normalize(second.float(), dim=1).T / temperature
    own = torch.arange(len(scores), device=scores.device)
    return 0.5 * (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own))


def _clean(step: Step) -> Float[Tensor, "batch width"]:
    """The embeddings of the texts without noise; computed again only if there was noise."""
    model = step.model
    return step.code.point if model.corruption is None else model.encode(step.batch.inputs).point

"""Checks whether an image model reconstructs and generates images, on some held-out ones."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.errors import IsthmusError
from isthmus.fitted import FittedAutoencoder, draw_codes, quality
from isthmus.sources import even_rows
from isthmus.tasks.coding import codes_of, decoded, reconstructions
from isthmus_images.adapter import ImageAdapter, ImageSource

SAMPLE = 200
"""Number of held-out images that are reconstructed, evenly spaced."""

FEWEST = 8
"""Minimum number of images for a check."""

DRAWN, SEED = 32, 0

LIMIT = 0.97
"""Share of unexplained variance from which a reconstruction counts as no better than the mean image."""

ROUGH = 2.0
"""Samples count as noise if their neighbouring pixels differ by this factor more than those of real images."""

ALIKE = 0.02
"""Samples count as equal if they vary by less than this share of the variance of real images."""


def findings(fitted: FittedAutoencoder[ImageAdapter], held_out: ImageSource) -> list[str | None]:
    """Problems of reconstructions and samples.

    Args:
        fitted: a model with codes, including the prior for samples.
        held_out: images that it was not trained on.

    Returns:
        Sentences; None for each check that passed.
    """
    some = ImageSource(held_out.pixels[even_rows(len(held_out), SAMPLE)])
    if len(some) < FEWEST:
        return []
    meant = some.batch(torch.arange(len(some))).targets.values.float().cpu()  # type: ignore[union-attr]
    back = reconstructions(fitted.model, some).reshape(meant.shape)
    variance = float((meant - meant.mean(0)).square().sum())
    error = float((meant - back).square().sum())
    return [
        quality.same_codes(codes_of(fitted.model, some).flatten(1)),
        quality.unexplained(error, variance, "images", LIMIT),
        _samples(fitted, meant),
    ]


def _samples(fitted: FittedAutoencoder[ImageAdapter], meant: Float[Tensor, "images ..."]) -> str | None:
    try:
        codes = draw_codes(fitted.model, fitted.latent_prior, DRAWN, seed=SEED)
    except IsthmusError:
        # The model cannot generate samples.
        return None
    drawn = decoded(fitted.model, codes).reshape(DRAWN, *meant.shape[1:])
    rough, usual = _roughness(drawn), _roughness(meant)
    if rough > ROUGH * usual:
        return (
            f"the samples are noise: their neighbouring pixels differ by {rough:.3f} on average, those of held-out "
            f"images by {usual:.3f}; {quality.MORE}"
        )
    spread, varied = (float((some - some.mean(0)).square().mean()) for some in (drawn, meant))
    if spread < ALIKE * varied:
        return (
            f"the samples are all the same image: they vary by {spread / varied:.1%} of what held-out images do; "
            f"{quality.MORE}, or with a smaller beta"
        )
    return None


def _roughness(images: Float[Tensor, "images channels height width"]) -> float:
    """Mean absolute difference of horizontally and vertically neighbouring pixels."""
    parts = [images.diff(dim=axis).abs().flatten() for axis in (2, 3) if images.shape[axis] > 1]
    return float(torch.cat(parts).mean()) if parts else float(np.nan)

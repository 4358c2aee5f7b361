"""A denoiser of images that keeps their size, whatever it is: there is no narrow code, but the noise is all that is
written."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from isthmus.batch import Batch, Grid, Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.gaussian import Deterministic
from isthmus.core.denoiser import IdentityReadout, NoiseEncoder, ResidualDecoder, UniformNoiseLevel
from isthmus.core.likelihoods.discrete import Gaussian
from isthmus.errors import SettingError
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Phase
from isthmus.training.plan import Plan, Shuffled

TILE = 512
"""Pixels of the edge of what is cleaned at once: maps of 64 filters take some 70 MB each."""


def residual_denoiser(
    signal: Grid,
    *,
    generator: Generator,
    low: float = 0.0,
    high: float = 55 / 255,
    filters: int = 64,
    depth: int = 17,
    shrink: int = 1,
    epochs: int = 50,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    decay: str = "cosine",
    weight_decay: float = 0.0,
    patience: int | None = None,
) -> GradientRecipe:
    """DnCNN: predicts the noise and takes it away, for images of any size (Zhang et al., IEEE TIP 2017).

    Advice: to clean photographs, which no narrow code can hold; train it on crops, and clean whole images with it.

    The size of the signal is that of the crops; nothing of the network depends on it. One network serves all levels of
    noise between ``low`` and ``high``, which it is not told; equal ones make it a network for that level.

    Args:
        low, high: standard deviations of the noise that it is trained on, for pixels from 0 to 1: 25/255 is what tables
            call σ = 25.
        filters: maps of each layer.
        depth: layers; published: 17 for one level, 20 for a range, 15 with ``shrink`` 2.
        shrink: 2 puts rows and columns side by side in pairs, for about a quarter of the cost (Zhang et al. 2018).
        decay: of the learning rate: "constant", or "cosine" to 0.
        patience: epochs without a better validation score before training stops; None trains all epochs.
    """
    check_settings(epochs=epochs, batch_size=batch_size)
    model = Autoencoder(
        encoder=NoiseEncoder(signal.channels, filters, depth, shrink, generator=generator),
        bottleneck=Deterministic(),
        decoder=ResidualDecoder(filters, signal.channels, shrink, generator=generator),
        readout=IdentityReadout(),
        likelihood=Gaussian(),
        corruption=UniformNoiseLevel(low, high),
    )
    plan = Plan(
        phases=(Phase(epochs),),
        batching=Shuffled(batch_size),
        learning_rate=learning_rate,
        decay=decay,
        weight_decay=weight_decay,
        patience=patience,
    )
    return GradientRecipe(model, plan)


@torch.inference_mode()
def restored(
    model: Autoencoder, images: Float[Tensor, "batch channels height width"], *, tile: int = TILE
) -> Float[Tensor, "batch channels height width"]:
    """Images without their noise, as a trained ``residual_denoiser`` sees them; not clipped.

    Large images are cleaned a tile at a time, each with as much around it as its pixels depend on: the result is that
    of the whole image.

    Args:
        images: of any size, pixels from 0 to 1, on the model's device.
        tile: pixels of the edge of what is cleaned at once.

    Raises:
        SettingError: another model, or a tile without pixels.
        InputError: images of other channels.
    """
    encoder = model.encoder
    if not isinstance(encoder, NoiseEncoder):
        raise SettingError(f"an image restored with {type(encoder).__name__}", expected="a residual_denoiser")
    if tile < 1:
        raise SettingError(f"tile={tile}", expected="at least 1 pixel")
    # Tiles begin where rows begin to go side by side, or other pixels would come together.
    step = -(-tile // encoder.shrink) * encoder.shrink
    height, width = images.shape[2:]
    training = model.training
    model.eval()
    result = torch.empty_like(images)
    for top in range(0, height, step):
        for left in range(0, width, step):
            _restore(model, images, result, (top, left), step, encoder.reach)
    model.train(training)
    return result


def _restore(
    model: Autoencoder, images: Tensor, result: Tensor, corner: tuple[int, int], step: int, reach: int
) -> None:
    """One tile of the result, in place."""
    (top, left), (above, before) = corner, (max(0, side - reach) for side in corner)
    seen = images[:, :, above : top + step + reach, before : left + step + reach]
    values = Values(seen)
    given = Batch(torch.arange(len(seen), device=seen.device), values, values)
    clean = model.decode(model.encode(values).point, given)[:, :, top - above :, left - before :]
    place = result[:, :, top : top + step, left : left + step]
    place.copy_(clean[:, :, : place.shape[2], : place.shape[3]])

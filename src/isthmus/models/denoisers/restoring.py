"""What networks that clean images of any size share: how they are applied, tile by tile, and their last layer."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Batch, Tensors, Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.ops.convolutions import convolution, images_of
from isthmus.errors import SettingError
from isthmus.protocols import Columns

TILE = 512
"""Edge length in pixels of the tiles that are processed at once: 64 feature maps take about 70 MB each."""


class RestoringEncoder(nn.Module, ABC):
    """An encoder whose maps are as large as the image, so that the noise of each pixel can be read from them.

    Attributes:
        channels: channels of the images.
        step: rows and columns that are combined; tiles start at multiples of it.
        reach: a pixel of the result depends on pixels at most this far away from its block of ``step`` x ``step``
            pixels.
    """

    channels: int
    step: int
    reach: int

    @abstractmethod
    def told(
        self, images: Float[Tensor, "batch channels height width"], level: float | None
    ) -> Float[Tensor, "batch given height width"]:
        """The images with what the network has to be told about them.

        Args:
            images: pixels from 0 to 1.
            level: standard deviation of the noise; None if it is not known.

        Raises:
            SettingError: a level for a network that is not told one, or one below 0.
        """


@torch.inference_mode()
def restored(
    model: Autoencoder,
    images: Float[Tensor, "batch channels height width"],
    *,
    level: float | None = None,
    tile: int = TILE,
) -> Float[Tensor, "batch channels height width"]:
    """Remove the noise from images with a trained ``residual_denoiser`` or ``unet_denoiser``; the result is not
    clipped.

    Large images are processed in tiles, each with the margin that its pixels depend on, so the result is the same as
    for the whole image.

    Args:
        model: a trained denoiser.
        images: of any size, pixels from 0 to 1, on the model's device.
        level: standard deviation of the noise, for a ``unet_denoiser``; None estimates it for each image.
        tile: edge length of a tile in pixels.

    Returns:
        Denoised images of the same shape.

    Raises:
        SettingError: another model, a tile without pixels, or a level that the model cannot be told.
        InputError: images with other channels.
    """
    encoder = model.encoder
    if not isinstance(encoder, RestoringEncoder):
        raise SettingError(
            f"an image restored with {type(encoder).__name__}", expected="a residual_denoiser or a unet_denoiser"
        )
    if tile < 1:
        raise SettingError(f"tile={tile}", expected="at least 1 pixel")
    images_of(Values(images), encoder.channels)
    told = encoder.told(images, level)
    # Tiles start at multiples of ``step``, so that the same rows and columns are combined as in the whole image.
    step = -(-tile // encoder.step) * encoder.step
    height, width = images.shape[2:]
    training = model.training
    model.eval()
    result = torch.empty_like(images)
    for top in range(0, height, step):
        for left in range(0, width, step):
            _restore(model, told, result, (top, left), step, encoder.reach)
    model.train(training)
    return result


def _restore(model: Autoencoder, told: Tensor, result: Tensor, corner: tuple[int, int], step: int, reach: int) -> None:
    """Compute one tile of the result, in place."""
    (top, left), (above, before) = corner, (max(0, side - reach) for side in corner)
    seen = told[:, :, above : top + step + reach, before : left + step + reach]
    values = Values(seen)
    given = Batch(torch.arange(len(seen), device=seen.device), values, values)
    clean = model.decode(model.encode(values).point, given)[:, :, top - above :, left - before :]
    place = result[:, :, top : top + step, left : left + step]
    place.copy_(clean[:, :, : place.shape[2], : place.shape[3]])


class ResidualDecoder(nn.Module):
    """The last layer: subtracts the predicted noise from ``given.inputs``.

    Args:
        filters: number of input feature maps.
        channels: channels of the images; ``given.inputs`` may have more, which are not pixels.
        shrink: step of the rows and columns that are split.
    """

    def __init__(self, filters: int, channels: int, shrink: int = 1, *, generator: Generator) -> None:
        super().__init__()
        self.channels, self.shrink = channels, shrink
        self.noise = convolution(filters, channels * shrink**2, generator, bias=False)
        with torch.no_grad():
            # At the scale of noise: with the usual initialisation, the first predictions would be ten times as strong.
            self.noise.weight.mul_(0.1)

    def forward(
        self, sample: Float[Tensor, "batch filters rows columns"], given: Batch | None
    ) -> Float[Tensor, "batch channels height width"]:
        """Denoised images, fp32 also under autocast.

        Raises:
            SettingError: no inputs from which to subtract the noise.
        """
        if given is None:
            raise SettingError("a denoiser without its inputs", expected="the batch that was encoded")
        pixels = pixels_of(given.inputs, self.channels)
        height, width = pixels.shape[2:]
        noise = nn.functional.pixel_shuffle(self.noise(sample), self.shrink)[:, :, :height, :width]
        return pixels - noise.to(pixels.dtype)


class IdentityReadout:
    """Returns the images of the decoder unchanged."""

    def logits(
        self, decoded: Float[Tensor, "batch channels height width"], columns: Columns = None
    ) -> Float[Tensor, "batch channels height width"]:
        """The decoded images.

        Raises:
            SettingError: only some columns are requested.
        """
        if columns is not None:
            raise SettingError("some columns of an image", expected="columns=None: images are read whole")
        return decoded


def pixels_of(inputs: Tensors, channels: int) -> Float[Tensor, "batch channels height width"]:
    """The pixels of a batch whose inputs may have a further channel, the level of the noise.

    Raises:
        InputError: not images, or images with other channels.
    """
    shape = inputs.values.shape if isinstance(inputs, Values) else ()
    with_level = len(shape) == 4 and shape[1] == channels + 1
    return images_of(inputs, channels + 1 if with_level else channels)[:, :channels]


def folded(pixels: Float[Tensor, "batch channels height width"], step: int, shrink: int) -> Tensor:
    """The images of every ``shrink``-th row and column, after the borders are repeated up to a multiple of ``step``."""
    height, width = pixels.shape[2:]
    border = (0, -width % step, 0, -height % step)
    whole = nn.functional.pad(pixels, border, mode="replicate") if any(border) else pixels
    return nn.functional.pixel_unshuffle(whole, shrink).contiguous(memory_format=torch.channels_last)

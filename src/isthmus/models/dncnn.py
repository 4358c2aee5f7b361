"""DnCNN: Zhang, Zuo, Chen, Meng & Zhang, "Beyond a Gaussian Denoiser", IEEE TIP 2017: a residual denoiser for images of
any size, without a bottleneck, and its parts."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Batch, Grid, Tensors, Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.likelihoods.continuous import Gaussian
from isthmus.core.ops.convolutions import convolution, images_of
from isthmus.errors import SettingError
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Columns, Phase
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan

TILE = 512
"""Edge length in pixels of the tiles that are processed at once: 64 feature maps take about 70 MB each."""


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
    """DnCNN: predicts the noise and subtracts it, for images of any size (Zhang et al., IEEE TIP 2017).

    Advice: to denoise photographs, which no narrow code can represent; train it on crops, and apply it to whole images.

    The loss is equation 1 of the paper. The size of the signal is that of the crops; the network does not depend on it.
    One network handles all noise levels between ``low`` and ``high``, without the level as an input; equal values give
    a network for a single level.

    Args:
        low: smallest standard deviation of the noise in training, for pixels from 0 to 1. Published: 0 for the network
            of a range of levels.
        high: largest standard deviation of the noise; 25/255 is σ = 25 in published tables. Published: 55/255 for the
            network of a range of levels.
        filters: feature maps of each layer. Published: 64.
        depth: number of layers. Published: 17 for one level, 20 for a range, 15 with ``shrink`` 2.
        shrink: 2 splits the image into every second row and column, for about a quarter of the cost (Zhang et al.
            2018); 1 does not.
        epochs: passes over the crops. Published: 50.
        batch_size: crops per batch. Published: 128.
        learning_rate: initial step size of Adam.
        decay: how the learning rate changes: "constant", or "cosine", which lowers it to 0.
        weight_decay: weight of an L2 penalty on the weight matrices, added to the gradient.
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
    # Its batch norm is inside encoder and decoder.
    return GradientRecipe(model, plan, by_batches=False)


@torch.inference_mode()
def restored(
    model: Autoencoder, images: Float[Tensor, "batch channels height width"], *, tile: int = TILE
) -> Float[Tensor, "batch channels height width"]:
    """Remove the noise from images with a trained ``residual_denoiser``; the result is not clipped.

    Large images are processed in tiles, each with the margin that its pixels depend on, so the result is the same as
    for the whole image.

    Args:
        model: a trained ``residual_denoiser``.
        images: of any size, pixels from 0 to 1, on the model's device.
        tile: edge length of a tile in pixels.

    Returns:
        Denoised images of the same shape.

    Raises:
        SettingError: another model, or a tile without pixels.
        InputError: images with other channels.
    """
    encoder = model.encoder
    if not isinstance(encoder, NoiseEncoder):
        raise SettingError(f"an image restored with {type(encoder).__name__}", expected="a residual_denoiser")
    if tile < 1:
        raise SettingError(f"tile={tile}", expected="at least 1 pixel")
    # Tiles start at multiples of ``shrink``, so that the same rows and columns are combined as in the whole image.
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
    """Compute one tile of the result, in place."""
    (top, left), (above, before) = corner, (max(0, side - reach) for side in corner)
    seen = images[:, :, above : top + step + reach, before : left + step + reach]
    values = Values(seen)
    given = Batch(torch.arange(len(seen), device=seen.device), values, values)
    clean = model.decode(model.encode(values).point, given)[:, :, top - above :, left - before :]
    place = result[:, :, top : top + step, left : left + step]
    place.copy_(clean[:, :, : place.shape[2], : place.shape[3]])


class NoiseEncoder(nn.Module):
    """DnCNN (Zhang, Zuo, Chen, Meng & Zhang, "Beyond a Gaussian Denoiser", IEEE TIP 2017, section III) without its last
    layer: ``enter`` returns the pixels, ``trunk`` the feature maps [batch, filters, rows, columns] from which the noise
    is predicted.

    The first layer has biases and ReLU, the others batch normalisation and ReLU. These others are initialised near the
    identity (Zagoruyko & Komodakis, "DiracNets", 2017): with the usual initialisation, hundreds of steps pass before
    the noise reaches the output.

    With ``shrink`` 2 the layers work on the four images of every second row and column (Zhang, Zuo & Zhang, "FFDNet",
    IEEE TIP 2018, section III), at about a quarter of the cost. A pixel of the result depends on pixels at most
    ``reach`` away from its block of ``shrink`` x ``shrink`` pixels.

    Args:
        channels: channels of the images.
        filters: feature maps of each layer; published: 64.
        depth: number of layers, including the last one; published: 17 for one noise level, 20 for a range, 15 with
            ``shrink`` 2.
        shrink: step of the rows and columns that are split.

    Raises:
        SettingError: fewer than 3 layers, or a size below 1.
    """

    # Running statistics of few batches: a batch of crops has many pixels.
    momentum = 0.05

    def __init__(
        self, channels: int, filters: int = 64, depth: int = 17, shrink: int = 1, *, generator: Generator
    ) -> None:
        super().__init__()
        if depth < 3 or min(filters, shrink) < 1:
            raise SettingError(
                f"depth={depth}, filters={filters}, shrink={shrink}",
                expected="3 layers or more, and at least 1",
            )
        self.channels, self.shrink, self.reach = channels, shrink, depth * shrink
        self.first = convolution(channels * shrink**2, filters, generator)
        self.layers = nn.ModuleList(_near_identity(filters, generator) for _ in range(depth - 2))
        self.norms = nn.ModuleList(nn.BatchNorm2d(filters, 1e-4, self.momentum) for _ in range(depth - 2))

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch channels height width"]:
        """The pixels.

        Raises:
            InputError: not images, or images with other channels.
        """
        return images_of(inputs, self.channels)

    def trunk(
        self, entered: Float[Tensor, "batch channels height width"], inputs: Tensors | None
    ) -> Float[Tensor, "batch filters rows columns"]:
        """All layers but the last."""
        height, width = entered.shape[2:]
        border = (0, -width % self.shrink, 0, -height % self.shrink)
        whole = nn.functional.pad(entered, border, mode="replicate") if any(border) else entered
        folded = nn.functional.pixel_unshuffle(whole, self.shrink).contiguous(memory_format=torch.channels_last)
        x = nn.functional.relu(self.first(folded))
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = nn.functional.relu(norm(layer(x)))
        return x


class ResidualDecoder(nn.Module):
    """The last layer: subtracts the predicted noise from ``given.inputs``.

    Args:
        filters: number of input feature maps.
        channels: channels of the images.
        shrink: as in ``NoiseEncoder``.
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
        pixels = images_of(given.inputs, self.channels)
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


class UniformNoiseLevel:
    """Adds N(0, σ²) to every pixel; σ is drawn for each image, uniformly from ``low`` to ``high``.

    Raises:
        SettingError: a level below 0, or ``low`` above ``high``.
    """

    def __init__(self, low: float, high: float) -> None:
        if not 0 <= low <= high or not high > 0:
            raise SettingError(f"noise from {low} to {high}", expected="0 <= low <= high, and some noise")
        self.low, self.high = low, high

    def __call__(self, inputs: Tensors, generator: Generator) -> Tensors:
        """Noisy images.

        Raises:
            SettingError: inputs that are not dense values.
        """
        if not isinstance(inputs, Values):
            raise SettingError(f"noise on {type(inputs).__name__}", expected="dense values")
        pixels = inputs.values
        level = torch.empty(len(pixels), *(1,) * (pixels.dim() - 1), dtype=pixels.dtype, device=pixels.device)
        level.uniform_(self.low, self.high, generator=generator)
        return Values(pixels + level * torch.empty_like(pixels).normal_(generator=generator))


def _near_identity(filters: int, generator: Generator) -> nn.Conv2d:
    layer = convolution(filters, filters, generator, bias=False)
    with torch.no_grad():
        layer.weight.mul_(0.1)
        layer.weight[:, :, 1, 1] += torch.eye(filters)
    return layer

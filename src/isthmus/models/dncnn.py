"""DnCNN: Zhang, Zuo, Chen, Meng & Zhang, "Beyond a Gaussian Denoiser", IEEE TIP 2017: a residual denoiser for images
of any size, without a bottleneck, and the parts that it alone uses."""

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
    noise between ``low`` and ``high``, which is not an input of it; equal ones make it a network for that level.

    Args:
        low: smallest standard deviation of the noise that it is trained on, for pixels from 0 to 1. Published: 0 for
            the network of a range of levels.
        high: largest standard deviation of the noise; 25/255 is what tables call σ = 25. Published: 55/255 for the
            network of a range of levels.
        filters: maps of each layer. Published: 64.
        depth: number of layers. Published: 17 for one level, 20 for a range, 15 with ``shrink`` 2.
        shrink: 2 puts rows and columns side by side in pairs, for about a quarter of the cost (Zhang et al. 2018); 1
            leaves them.
        epochs: passes over the crops. Published: 50.
        batch_size: crops in a batch. Published: 128.
        learning_rate: step size of Adam at the start of training.
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


class NoiseEncoder(nn.Module):
    """DnCNN (Zhang, Zuo, Chen, Meng & Zhang, "Beyond a Gaussian Denoiser", IEEE TIP 2017, section III) without its last
    layer: ``enter`` reaches the pixels, ``trunk`` the maps [batch, filters, rows, columns] that the noise is read from.

    The first layer has biases and is rectified, the others are normalised over the batch and rectified. Those others
    begin near the identity (Zagoruyko & Komodakis, "DiracNets", 2017): through weights of the usual size the noise does
    not find its way at first, and hundreds of steps are lost until it does.

    With ``shrink`` 2 the layers work on the four images of every second row and column (Zhang, Zuo & Zhang, "FFDNet",
    IEEE TIP 2018, section III), at about a quarter of the cost. A pixel of the result depends on pixels at most
    ``reach`` away from the ``shrink`` x ``shrink`` of them that it is folded with.

    Args:
        channels: of the images.
        filters: maps of each layer; published: 64.
        depth: layers, the last one counted; published: 17 for noise of one level, 20 for a range, 15 with ``shrink`` 2.
        shrink: rows, and columns, that go side by side.

    Raises:
        SettingError: fewer than 3 layers, or a size below 1.
    """

    # Of the last batches: crops are many pixels, so that few batches say enough.
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
            InputError: no images, or of other channels.
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
    """The last layer: what is left of ``given.inputs`` without the noise that it reads from the maps.

    Args:
        filters: maps that it reads.
        channels: of the images.
        shrink: as in ``NoiseEncoder``.
    """

    def __init__(self, filters: int, channels: int, shrink: int = 1, *, generator: Generator) -> None:
        super().__init__()
        self.channels, self.shrink = channels, shrink
        self.noise = convolution(filters, channels * shrink**2, generator, bias=False)
        with torch.no_grad():
            # Of the size of noise: weights of the usual size would begin with noise ten times as strong.
            self.noise.weight.mul_(0.1)

    def forward(
        self, sample: Float[Tensor, "batch filters rows columns"], given: Batch | None
    ) -> Float[Tensor, "batch channels height width"]:
        """Images, fp32 under autocast too.

        Raises:
            SettingError: nothing to take the noise away from.
        """
        if given is None:
            raise SettingError("a denoiser without its inputs", expected="the batch that was encoded")
        pixels = images_of(given.inputs, self.channels)
        height, width = pixels.shape[2:]
        noise = nn.functional.pixel_shuffle(self.noise(sample), self.shrink)[:, :, :height, :width]
        return pixels - noise.to(pixels.dtype)


class IdentityReadout:
    """The decoder has written the image already."""

    def logits(
        self, decoded: Float[Tensor, "batch channels height width"], columns: Columns = None
    ) -> Float[Tensor, "batch channels height width"]:
        """What was decoded.

        Raises:
            SettingError: columns are asked for.
        """
        if columns is not None:
            raise SettingError("some columns of an image", expected="columns=None: images are read whole")
        return decoded


class UniformNoiseLevel:
    """Adds N(0, σ²) to every pixel; σ is drawn for each image, evenly from ``low`` to ``high``.

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

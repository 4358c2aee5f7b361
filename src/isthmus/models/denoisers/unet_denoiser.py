"""A denoiser of several scales that is told the level of the noise, for images of any size, and its parts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Grid, Tensors, Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.likelihoods.each_scale import EachScaleGaussian
from isthmus.core.ops.convolutions import check_widths, convolution
from isthmus.errors import SettingError
from isthmus.models.denoisers.noise import ToldNoiseLevel, with_level
from isthmus.models.denoisers.restoring import IdentityReadout, ResidualDecoder, RestoringEncoder, folded, pixels_of
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Phase
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan

WIDTHS = (64, 64, 64)

SHRINK = 2
"""Rows and columns that the first layer combines."""

NORMAL_MEDIAN = 0.6745
"""Median of the absolute value of a standard normal variable."""

FILTER = ((1, -2, 1), (-2, 4, -2), (1, -2, 1))
FILTERED = 6
"""Standard deviation of what the filter makes of noise of 1."""


def unet_denoiser(
    signal: Grid,
    *,
    generator: Generator,
    low: float = 0.0,
    high: float = 55 / 255,
    widths: Sequence[int] | None = None,
    blocks: Sequence[int] | None = None,
    epochs: int = 50,
    batch_size: int = 8,
    learning_rate: float = 5e-3,
    decay: str = "timed",
    optimizer: str = "muon",
    weight_decay: float = 0.0,
    patience: int | None = None,
) -> GradientRecipe:
    """A U-Net of residual blocks that is told the level of the noise, as DRUNet is (Zhang et al., TPAMI 2022).

    Advice: to denoise photographs whose level of noise is known or to be chosen; it is estimated otherwise. Train it on
    crops of 48 x 48 pixels or more, and apply it to whole images.

    The size of the signal is that of the crops; the network does not depend on it. Without biases: an image and a level
    that are scaled together give a result that is scaled alike, so that it works beyond the levels that it has seen
    (Mohan, Kadkhodaie, Simoncelli & Fernandez-Granda, ICLR 2020). The loss is the logarithm of each crop's squared
    error, so that it is the mean in decibels which is improved, and no level outweighs another.

    Args:
        low: smallest standard deviation of the noise in training, for pixels from 0 to 1.
        high: largest standard deviation of the noise; 25/255 is σ = 25 in published tables.
        widths: feature maps at each scale; the first is at half the height and width, each further one at half of the
            one before; None is 64 at three scales. Published: 64, 128, 256 and 512, the first at full size.
        blocks: residual blocks at each scale; on the way back as many, and at the last scale once; None is 1 at each.
            Published: 4.
        epochs: passes over the crops.
        batch_size: crops per batch.
        learning_rate: initial step size; for "adam" about 1e-3 is usual.
        decay: how the learning rate changes: "constant"; "cosine", which lowers it to 0; or "timed", which also lowers
            it to 0 by the end of the time limit of the training, if there is one.
        optimizer: "muon", or "adam", whose steps are a fifth faster, and which needs more of them.
        weight_decay: weight of an L2 penalty on the weight matrices, added to the gradient.
        patience: epochs without a better validation score before training stops; None trains all epochs.
    """
    check_settings(epochs=epochs, batch_size=batch_size)
    widths = WIDTHS if widths is None else widths
    encoder = UNetEncoder(signal.channels, widths, [1] * len(widths) if blocks is None else blocks, generator=generator)
    model = Autoencoder(
        encoder=encoder,
        bottleneck=Deterministic(),
        decoder=ResidualDecoder(widths[0], signal.channels, SHRINK, generator=generator),
        readout=IdentityReadout(),
        likelihood=EachScaleGaussian(),
        corruption=ToldNoiseLevel(low, high),
    )
    plan = Plan(
        phases=(Phase(epochs),),
        batching=Shuffled(batch_size),
        learning_rate=learning_rate,
        decay=decay,
        optimizer=optimizer,
        weight_decay=weight_decay,
        patience=patience,
    )
    return GradientRecipe(model, plan)


class UNetEncoder(RestoringEncoder):
    """A U-Net of residual blocks without its last layer: ``enter`` returns the pixels and the level of the noise,
    ``trunk`` the feature maps [batch, widths[0], rows, columns] from which the noise is predicted.

    A block is x + convolution(ReLU(convolution(x))); between scales there are convolutions of 2 x 2 pixels with stride
    2, forwards and transposed, and what the way down found at a scale is added on the way up (Zhang, Li, Zuo, Zhang,
    Van Gool & Timofte, "Plug-and-Play Image Restoration with Deep Denoiser Prior", TPAMI 2022, section 3). There are no
    biases and no normalisation. The first layer combines 2 x 2 pixels (Zhang, Zuo & Zhang, "FFDNet", IEEE TIP 2018).

    Args:
        channels: channels of the images.
        widths: feature maps at each scale.
        blocks: residual blocks at each scale.

    Raises:
        SettingError: no scale, a size below 1, or not as many widths as blocks.
    """

    def __init__(
        self,
        channels: int,
        widths: Sequence[int] = WIDTHS,
        blocks: Sequence[int] = (1, 1, 1),
        *,
        generator: Generator,
    ) -> None:
        super().__init__()
        check_widths(widths)
        if len(widths) != len(blocks) or min(blocks) < 1:
            raise SettingError(
                f"widths={list(widths)}, blocks={list(blocks)}", expected="as many blocks as widths, each at least 1"
            )
        self.channels = channels
        self.step = SHRINK * 2 ** (len(widths) - 1)
        self.reach = _reach(blocks, self.step)
        self.first = convolution((channels + 1) * SHRINK**2, widths[0], generator, bias=False)
        self.down = nn.ModuleList(_stage(width, count, generator) for width, count in zip(widths, blocks, strict=True))
        self.up = nn.ModuleList(
            _stage(width, count, generator) for width, count in zip(widths[:-1], blocks[:-1], strict=True)
        )
        pairs = list(itertools.pairwise(widths))
        self.reduce = nn.ModuleList(_between(one, other, generator, transposed=False) for one, other in pairs)
        self.enlarge = nn.ModuleList(_between(other, one, generator, transposed=True) for one, other in pairs)

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch given height width"]:
        """The pixels and the level of the noise, which is estimated if the inputs do not have it as a last channel.

        Raises:
            InputError: not images, or images with other channels.
        """
        pixels = pixels_of(inputs, self.channels)
        assert isinstance(inputs, Values)
        return inputs.values if inputs.values.shape[1] > self.channels else with_level(pixels, estimated_level(pixels))

    def told(
        self, images: Float[Tensor, "batch channels height width"], level: float | None
    ) -> Float[Tensor, "batch given height width"]:
        """The images with the level of their noise as a further channel.

        Raises:
            SettingError: a level below 0.
        """
        if level is None:
            return with_level(images, estimated_level(images))
        if not level >= 0:
            raise SettingError(f"level={level}", expected="a standard deviation of 0 or more, for pixels from 0 to 1")
        return with_level(images, images.new_full((len(images),), level))

    def trunk(
        self, entered: Float[Tensor, "batch given height width"], inputs: Tensors | None
    ) -> Float[Tensor, "batch filters rows columns"]:
        """All layers but the last."""
        x = start = self.first(folded(entered, self.step, SHRINK))
        found = []
        for stage, reduce in zip(self.down, self.reduce, strict=False):
            x = stage(x)
            found.append(x)
            x = reduce(x)
        x = self.down[-1](x)
        for stage, enlarge in zip(reversed(self.up), reversed(self.enlarge), strict=True):
            x = stage(enlarge(x) + found.pop())
        together: Tensor = x + start
        return together


class ResidualBlock(nn.Module):
    """x + convolution(ReLU(convolution(x))), which begins near the identity.

    Args:
        width: feature maps.
    """

    def __init__(self, width: int, generator: Generator) -> None:
        super().__init__()
        self.one = convolution(width, width, generator, bias=False)
        self.other = convolution(width, width, generator, bias=False)
        with torch.no_grad():
            self.other.weight.mul_(0.1)

    def forward(self, x: Float[Tensor, "batch width rows columns"]) -> Float[Tensor, "batch width rows columns"]:
        """Maps of the same shape."""
        found: Tensor = self.other(nn.functional.relu(self.one(x), inplace=True))
        return x + found


def estimated_level(images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, " batch"]:
    """The standard deviation of the noise of each image: what a filter leaves that takes away constant, linear and
    bilinear grey (Immerkær, "Fast noise variance estimation", CVIU 1996), by its median, which edges hardly change.

    Fine texture counts as noise: on photographs of 180 x 180 pixels it is 16 on average for σ = 15. Images of fewer
    than 3 rows or columns give 0.
    """
    if min(images.shape[2:]) < len(FILTER):
        return images.new_zeros(len(images))
    weights = images.new_tensor(FILTER)[None, None] / FILTERED
    found = nn.functional.conv2d(images.flatten(0, 1)[:, None], weights)
    median: Tensor = found.abs().view(len(images), -1).median(1).values / NORMAL_MEDIAN
    return median


def _stage(width: int, count: int, generator: Generator) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width, generator) for _ in range(count)))


def _between(inputs: int, outputs: int, generator: Generator, *, transposed: bool) -> nn.Module:
    """Convolution of 2 x 2 pixels with stride 2, or its transpose, which do not overlap."""
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    layer = kind(inputs, outputs, 2, 2, bias=False, device="meta")
    shape = (inputs, outputs, 2, 2) if transposed else (outputs, inputs, 2, 2)
    scale = math.sqrt(1 / (inputs if transposed else 4 * inputs))
    layer.weight = nn.Parameter(torch.empty(shape).normal_(std=scale, generator=generator))
    return layer


def _reach(blocks: Sequence[int], step: int) -> int:
    """Pixels that a result depends on in each direction: two for each block and one at each end, at its scale."""
    scales: list[int] = [SHRINK * 2**place for place in range(len(blocks))]
    passes = [2] * (len(blocks) - 1) + [1]
    pixels = 2 * SHRINK + sum(
        2 * count * times * scale for count, times, scale in zip(blocks, passes, scales, strict=True)
    )
    return -(-pixels // step) * step + step

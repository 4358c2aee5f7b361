"""DnCNN: Zhang, Zuo, Chen, Meng & Zhang, "Beyond a Gaussian Denoiser", IEEE TIP 2017: a residual denoiser for images of
any size, without a bottleneck, and its parts."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Grid, Tensors
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.likelihoods.continuous import Gaussian
from isthmus.core.ops.convolutions import convolution, images_of
from isthmus.errors import SettingError
from isthmus.models.denoisers.noise import UniformNoiseLevel
from isthmus.models.denoisers.restoring import IdentityReadout, ResidualDecoder, RestoringEncoder, folded
from isthmus.models.recipes.checks import check_settings
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Phase
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan


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


class NoiseEncoder(RestoringEncoder):
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
        self.channels, self.step, self.reach = channels, shrink, depth * shrink
        self.first = convolution(channels * shrink**2, filters, generator)
        self.layers = nn.ModuleList(_near_identity(filters, generator) for _ in range(depth - 2))
        self.norms = nn.ModuleList(nn.BatchNorm2d(filters, 1e-4, self.momentum) for _ in range(depth - 2))

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch channels height width"]:
        """The pixels.

        Raises:
            InputError: not images, or images with other channels.
        """
        return images_of(inputs, self.channels)

    def told(
        self, images: Float[Tensor, "batch channels height width"], level: float | None
    ) -> Float[Tensor, "batch channels height width"]:
        """The images: the network is told nothing.

        Raises:
            SettingError: a level.
        """
        if level is not None:
            raise SettingError(
                f"level={level} for a residual_denoiser",
                expected="no level: it finds out by itself",
                remedy="a unet_denoiser is told the level",
            )
        return images

    def trunk(
        self, entered: Float[Tensor, "batch channels height width"], inputs: Tensors | None
    ) -> Float[Tensor, "batch filters rows columns"]:
        """All layers but the last."""
        x = nn.functional.relu(self.first(folded(entered, self.step, self.step)))
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = nn.functional.relu(norm(layer(x)))
        return x


def _near_identity(filters: int, generator: Generator) -> nn.Conv2d:
    layer = convolution(filters, filters, generator, bias=False)
    with torch.no_grad():
        layer.weight.mul_(0.1)
        layer.weight[:, :, 1, 1] += torch.eye(filters)
    return layer

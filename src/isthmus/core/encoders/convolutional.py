"""A convolutional encoder of images: convolutions that halve the size, then one linear layer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Tensors
from isthmus.core.ops.convolutions import check_widths, convolution, halvings, images_of
from isthmus.core.ops.layers import linear


class ConvEncoder(nn.Module):
    """``enter``: the pixels [batch, channels, height, width]; ``trunk``: convolutions 3 x 3 with stride 2, a linear
    layer to [batch, hidden], each followed by SiLU. There is no batch normalisation, so the code of a row depends only
    on the row.

    Args:
        channels, height, width: size of the images; height and width are at least 8.
        widths: channels after each halving.
        hidden: width of the hidden state.

    Raises:
        SettingError: images that are too small, or more widths than possible halvings.
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        widths: Sequence[int] = (32, 64),
        *,
        generator: Generator,
        hidden: int = 256,
    ) -> None:
        super().__init__()
        check_widths(widths)
        rows, columns = halvings(height, width, len(widths))[-1]
        self.entered_shape = (channels, height, width)
        self.layers = nn.ModuleList(
            convolution(before, after, generator, stride=2) for before, after in itertools.pairwise((channels, *widths))
        )
        self.last = linear(widths[-1] * rows * columns, hidden, generator)

    def enter(self, inputs: Tensors) -> Float[Tensor, "batch channels height width"]:
        """The pixels.

        Raises:
            InputError: not images, or images of another size.
        """
        return images_of(inputs, *self.entered_shape)

    def trunk(
        self, entered: Float[Tensor, "batch channels height width"], inputs: Tensors | None
    ) -> Float[Tensor, "batch hidden"]:
        """Apply all layers."""
        x = entered
        for layer in self.layers:
            x = nn.functional.silu(layer(x))
        return nn.functional.silu(self.last(x.flatten(1)))

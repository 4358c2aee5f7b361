"""A convolutional decoder, whose feature maps at half the size of an image ``GridReadout`` turns into pixels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.batch import Batch
from isthmus.capabilities import CodeWeights
from isthmus.core.ops.convolutions import check_widths, doubling, halvings
from isthmus.core.ops.layers import linear, weight_of
from isthmus.protocols import Readout


class ConvDecoder(nn.Module):
    """The inverse of ``ConvEncoder``: a linear layer to the smallest feature maps, then transposed convolutions that
    double the size, up to half the image: [batch_samples, widths[0], ⌈height / 2⌉, ⌈width / 2⌉]. The activation is
    SiLU.

    Args:
        code: dimensions of the code.
        height, width: size of the images, at least 8.
        widths: channels of the feature maps, the largest maps first, as for ``ConvEncoder``.

    Raises:
        SettingError: images that are too small, or more widths than possible halvings.
    """

    def __init__(
        self, code: int, height: int, width: int, widths: Sequence[int] = (32, 64), *, generator: Generator
    ) -> None:
        super().__init__()
        check_widths(widths)
        self.sizes = halvings(height, width, len(widths))[1:]
        self.smallest = (widths[-1], *self.sizes[-1])
        rows, columns = self.sizes[-1]
        self.first = linear(code, widths[-1] * rows * columns, generator)
        self.layers = nn.ModuleList(
            doubling(before, after, generator) for before, after in itertools.pairwise(reversed(widths))
        )

    def forward(
        self, sample: Float[Tensor, "batch_samples code"], given: Batch | None = None
    ) -> Float[Tensor, "batch_samples channels rows columns"]:
        """The state that the readout reads."""
        x: Tensor = nn.functional.silu(self.first(sample)).unflatten(1, self.smallest)
        for layer, (rows, columns) in zip(self.layers, reversed(self.sizes[:-1]), strict=True):
            x = nn.functional.silu(layer(x)[:, :, :rows, :columns])
        return x

    def code_weights(self, readout: Readout) -> tuple[CodeWeights, ...]:
        """The weights of the linear layer to the smallest feature maps."""
        return (CodeWeights(weight_of(self.first)),)

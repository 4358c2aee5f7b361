"""The last layer of a model of images: pixels from maps."""

from __future__ import annotations

from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.core.ops.convolutions import doubling
from isthmus.errors import SettingError
from isthmus.protocols import Columns


class GridReadout(nn.Module):
    """Maps of half the size to ``outputs`` numbers for each pixel and channel: a transposed convolution, cut to the
    size of the image.

    Args:
        hidden: channels of the maps, as the decoder gives them.
        channels, height, width: of the images.
        outputs: logits that the likelihood needs for each number: all first ones, then all second ones, and so on.
    """

    def __init__(
        self, hidden: int, channels: int, height: int, width: int, *, generator: Generator, outputs: int = 1
    ) -> None:
        super().__init__()
        self.sizes = (height, width)
        self.last = doubling(hidden, channels * outputs, generator)

    def logits(
        self, decoded: Float[Tensor, "batch hidden rows columns"], columns: Columns = None
    ) -> Float[Tensor, "batch outputs height width"]:
        """All pixels; there is no asking for some.

        Raises:
            SettingError: columns are asked for.
        """
        if columns is not None:
            raise SettingError("some columns of an image", expected="columns=None: images are read whole")
        height, width = self.sizes
        pixels: Tensor = self.last(decoded)[:, :, :height, :width]
        return pixels

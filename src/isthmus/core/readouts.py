"""Readouts: the last layer of a model, which computes logits of any columns."""

from __future__ import annotations

from typing import TypeGuard

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from isthmus.capabilities import AffineLayer
from isthmus.core.ops.convolutions import doubling
from isthmus.core.ops.layers import ACTIVATIONS, small_bias, xavier
from isthmus.core.placement import Rows, current
from isthmus.errors import SettingError
from isthmus.protocols import Columns, RankingReadout, Readout


class LinearReadout(nn.Module):
    """logit_i = w_i · d + b_i = [w_i, b_i] · [d, 1]: searching an index of ``vectors()`` with ``queries(d)`` gives the
    decoder's ranking.

    Args:
        hidden: width of the decoded state.
        width: number of columns (items, words, features).
    """

    def __init__(self, hidden: int, width: int, *, generator: Generator) -> None:
        super().__init__()
        self.rows = current().rows(width)
        self.weight = xavier(width, hidden, generator, self.rows)
        self.bias = small_bias(width, generator, self.rows)

    def logits(self, decoded: Float[Tensor, "batch hidden"], columns: Columns = None) -> Float[Tensor, "batch columns"]:
        """Inner products of the decoded state with all columns, a slice of them, or some by number."""
        return self.rows.logits(decoded, self.weight, self.bias, columns)

    def vectors(self) -> Float[Tensor, "width hidden_plus_one"]:
        """[w_i, b_i], detached: the vectors for an index."""
        return torch.cat([self.weight, self.bias[:, None]], 1).detach()

    def queries(self, decoded: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch hidden_plus_one"]:
        """The decoded vector with a one appended for the bias: [d, 1]."""
        return torch.cat([decoded, decoded.new_ones(len(decoded), 1)], 1)

    def tables(self) -> dict[str, Rows]:
        """The parameters that have one row per column, see ``isthmus.core.placement``."""
        return {"weight": self.rows, "bias": self.rows}

    def affine_layers(self) -> tuple[AffineLayer, ...] | None:
        """The only layer; None if other processes have some of its rows."""
        return (AffineLayer(self.weight, self.bias, ACTIVATIONS["identity"]),) if self.rows.whole else None


def ranks(readout: Readout) -> TypeGuard[RankingReadout]:
    """Whether a readout has all members of ``RankingReadout``, including the parameters of a module."""
    return all(hasattr(readout, name) for name in ("weight", "bias", "vectors", "queries"))


class GridReadout(nn.Module):
    """A transposed convolution from maps of half the size to ``outputs`` numbers for each pixel and channel, cropped to
    the size of the image.

    Args:
        hidden: number of channels of the decoder's maps.
        channels, height, width: size of the images.
        outputs: number of logits that the likelihood needs for each number; all first ones come first, then all second
            ones, and so on.
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
        """The logits of all pixels.

        Raises:
            SettingError: ``columns`` is given.
        """
        if columns is not None:
            raise SettingError("some columns of an image", expected="columns=None: images are read whole")
        height, width = self.sizes
        pixels: Tensor = self.last(decoded)[:, :, :height, :width]
        return pixels

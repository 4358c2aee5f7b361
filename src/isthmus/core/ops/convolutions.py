"""Convolutions that are initialised from a generator, and the sizes of their feature maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from isthmus.batch import Tensors, Values
from isthmus.errors import InputError, SettingError

SMALLEST = 8
"""Minimum height and width of an image in pixels."""


def convolution(inputs: int, outputs: int, generator: Generator, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """3 × 3 convolution with zero padding; weights initialised as in He, Zhang, Ren & Sun (ICCV 2015), biases 0."""
    layer = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=bias, device="meta")
    layer.weight = _drawn((outputs, inputs, 3, 3), 9 * inputs, generator)
    layer.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
    return layer


def doubling(inputs: int, outputs: int, generator: Generator) -> nn.ConvTranspose2d:
    """4 × 4 transposed convolution to twice the height and width; a kernel size that is a multiple of the stride avoids
    checkerboard artefacts (Odena, Dumoulin & Olah 2016)."""
    layer = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, device="meta")
    layer.weight = _drawn((inputs, outputs, 4, 4), 4 * inputs, generator)
    layer.bias = nn.Parameter(torch.zeros(outputs))
    return layer


def halvings(height: int, width: int, times: int) -> list[tuple[int, int]]:
    """Height and width before and after each halving.

    Args:
        height, width: size of the images.
        times: number of halvings.

    Raises:
        SettingError: images below 8 x 8, or too many halvings.
    """
    if min(height, width) < SMALLEST:
        raise SettingError(f"images of {height} x {width}", expected=f"at least {SMALLEST} x {SMALLEST} pixels")
    most = math.ceil(math.log2(min(height, width)))
    if not 1 <= times <= most:
        raise SettingError(f"{times} halvings of images of {height} x {width}", expected=f"1 to {most}")
    sizes = [(height, width)]
    for _ in range(times):
        last = sizes[-1]
        sizes.append((math.ceil(last[0] / 2), math.ceil(last[1] / 2)))
    return sizes


def check_widths(widths: Sequence[int]) -> None:
    """Check the numbers of channels.

    Raises:
        SettingError: no widths, or one below 1.
    """
    if not widths or min(widths) < 1:
        raise SettingError(f"widths {list(widths)} of the maps", expected="one or more numbers of channels, at least 1")


def images_of(inputs: Tensors, channels: int, height: int | None = None, width: int | None = None) -> Tensor:
    """The pixels of a batch.

    Args:
        inputs: inputs of a batch.
        channels: required number of channels.
        height, width: required size; None accepts any.

    Returns:
        [batch, channels, height, width].

    Raises:
        InputError: not dense values, or images of another size.
    """
    shape = tuple(inputs.values.shape[1:]) if isinstance(inputs, Values) else ()
    wanted = (channels, height, width)
    if len(shape) != 3 or any(side not in (None, own) for own, side in zip(shape, wanted, strict=True)):
        given = " x ".join(map(str, shape)) or type(inputs).__name__
        sizes = " x ".join("any" if side is None else str(side) for side in wanted)
        raise InputError(f"{given} for a model of images", expected=f"channels x height x width: {sizes}")
    assert isinstance(inputs, Values)
    return inputs.values.contiguous(memory_format=torch.channels_last)


def _drawn(shape: tuple[int, int, int, int], fan: int, generator: Generator) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).normal_(std=math.sqrt(2 / fan), generator=generator))

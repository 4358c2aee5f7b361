"""Noise removed from photographs, by the network that the package contains or by one of your own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files
from typing import Any

import numpy as np
import torch

from isthmus import bundle
from isthmus.bundle import as_damage
from isthmus.errors import InputError
from isthmus.models.denoisers.restoring import restored
from isthmus.models.denoisers.unet_denoiser import estimated_level
from isthmus_images.autoencoder import LAYOUT, ImageAutoencoder
from isthmus_images.denoising import takes_any_size
from isthmus_images.files.photographs import Channels

ASSET = "photo_denoiser"

OPPONENT = np.array(
    [[3**-0.5, 3**-0.5, 3**-0.5], [2**-0.5, 0, -(2**-0.5)], [6**-0.5, -2 * 6**-0.5, 6**-0.5]], np.float32
)
"""Brightness and two differences of colours, orthonormal: noise that is independent in red, green and blue stays so, at
the same level, while what is seen gathers in the first (Dabov, Foi, Katkovnik & Egiazarian, ICIP 2007)."""

MIDDLE = np.array([0, 0.5, 0.5], np.float32)[:, None, None]
"""Added to the differences, so that none is below 0."""


@cache
def photo_denoiser() -> ImageAutoencoder:
    """The denoiser that the package contains: a ``unet_denoiser`` for grey photographs with noise up to σ = 55 of 255,
    in half precision on disk. The files are verified; what it was trained on and what it reaches is in their README.md.

    Raises:
        BundleError: the files of the package are damaged.
    """
    with as_file(files("isthmus_images") / "data" / ASSET) as folder:
        found = bundle.read(folder)
        with as_damage(folder):
            whole = {name: tensor.float() for name, tensor in found.tensors.items()}
            return ImageAutoencoder(LAYOUT.restored(replace(found, tensors=whole)))


def cleaner(model: ImageAutoencoder, level: float | None = None) -> Callable[[Channels], Channels]:
    """A function that removes the noise from the pixels of one photograph of any size.

    A network for grey pictures cleans the brightness and the two differences of colours, each by itself.

    Args:
        model: a ``unet_denoiser`` or ``residual_denoiser``.
        level: standard deviation of the noise, for pixels from 0 to 1; None estimates it.

    Raises:
        InputError: a model that accepts images of one size only.
    """
    if not takes_any_size(model.builder):
        raise InputError(
            f"a photograph for a model of {model.builder}", expected="a unet-denoiser or a residual-denoiser"
        )
    one_channel = model.adapter.signal.channels == 1

    def clean(pixels: Channels) -> Channels:
        if one_channel and len(pixels) == 3:
            turned = np.einsum("oc,chw->ohw", OPPONENT, pixels) + MIDDLE
            parts = _cleaned(model, turned[:, None], level)[:, 0] - MIDDLE
            back: Channels = np.einsum("oc,ohw->chw", OPPONENT, parts)
            return back
        if len(pixels) != model.adapter.signal.channels:
            pixels = np.repeat(pixels, model.adapter.signal.channels, 0)
        found: Channels = _cleaned(model, pixels[None], level)[0]
        return found

    return clean


def level_of(pixels: Channels) -> float:
    """The estimated standard deviation of the noise of a photograph, for pixels from 0 to 1: the mean over its
    channels."""
    return float(estimated_level(torch.from_numpy(np.ascontiguousarray(pixels))[:, None]).mean())


def _cleaned(model: ImageAutoencoder, images: Any, level: float | None) -> Any:
    network = model.model
    device = next(network.parameters()).device
    given = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    return restored(network, given, level=level).cpu().numpy()

"""Removing noise: by an autoencoder's reconstruction, or by a network that is nothing but a denoiser."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from isthmus.core.autoencoder import Autoencoder
from isthmus.fitted import FittedAutoencoder
from isthmus.models.dncnn import restored
from isthmus.tasks.coding import reconstructions
from isthmus_images.adapter import ImageAdapter
from isthmus_images.files.loading import How, Loaded, load
from isthmus_images.files.pixels import Form, Shown, ShownPicture, as_floats, as_shown, shown
from isthmus_images.images import Images

RESTORERS = ("residual_denoiser",)
"""Builders of networks without a bottleneck: they have no codes and take images of any size."""


def takes_any_size(builder: str) -> bool:
    """Whether a model is nothing but a denoiser."""
    return builder in RESTORERS


def noisy_from(fitted: FittedAutoencoder[ImageAdapter], images: Any, on_error: str = "raise") -> Loaded:
    """Noisy images: of the model's size, or of any for models that are nothing but denoisers.

    Args:
        fitted: the model.
        images: ``Images``, or anything that ``Images.read`` takes; floats may lie outside 0 to 1.
        on_error: "raise" for a file that cannot be read, or "skip" it.
    """
    if isinstance(images, Images):
        return Loaded(images.pixels, images.names)
    if not takes_any_size(fitted.builder):
        records = fitted.adapter.records(images, on_error=on_error, noisy=True)
        return Loaded(records.pixels, records.names)
    adapter = fitted.adapter
    return load(images, How(Form(None, adapter.form.colour), on_error, noisy=True, levels=adapter.levels))


def denoised(fitted: FittedAutoencoder[ImageAdapter], loaded: Loaded) -> Shown | list[ShownPicture]:
    """The images without noise, as float32 from 0 to 1; a list where they are of several sizes."""
    if takes_any_size(fitted.builder):
        return _together([as_shown(_restored(fitted.model, picture[None]))[0] for picture in loaded.pictures])
    records = Images(loaded.stacked(), loaded.names)
    return as_shown(reconstructions(fitted.model, fitted.adapter.prepare(records)))


def noised(images: Images, scale: float, seed: int) -> Images:
    """The images with noise; see ``with_noise``.

    Args:
        images: clean ones.
        scale: the standard deviation, of numbers from 0 to 1.
        seed: of the noise.
    """
    noisy, _ = with_noise(Loaded(images.pixels, images.names), scale, seed)
    return Images(noisy.stacked(), images.names, images.labels)


def with_noise(loaded: Loaded, scale: float, seed: int) -> tuple[Loaded, list[ShownPicture]]:
    """Images with N(0, scale²) added to each number, drawn by NumPy's default generator and not cut to 0 to 1.

    Args:
        loaded: clean ones, perhaps of several sizes.
        scale: the standard deviation, of numbers from 0 to 1.
        seed: of the noise.

    Returns:
        The noisy images, and the clean ones as users get them.
    """
    generator = np.random.default_rng(seed)
    clean = [as_floats(picture[None]) for picture in loaded.pictures]
    noisy = [one[0] + generator.normal(0.0, scale, one.shape[1:]).astype(np.float32) for one in clean]
    return Loaded(noisy, loaded.names), [shown(one)[0] for one in clean]


def _together(images: list[ShownPicture]) -> Shown | list[ShownPicture]:
    """One array where all are of one size, else the list."""
    return np.stack(images) if len({image.shape for image in images}) == 1 else images


def _restored(model: Autoencoder, picture: Any) -> torch.Tensor:
    device = next(model.parameters()).device
    return restored(model, torch.from_numpy(as_floats(np.array(picture))).to(device)).cpu()

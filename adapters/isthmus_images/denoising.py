"""Removal of noise: by the reconstruction of an autoencoder, or by a pure denoiser."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from isthmus.core.autoencoder import Autoencoder
from isthmus.errors import SettingError
from isthmus.fitted import FittedAutoencoder
from isthmus.models.denoisers.restoring import restored
from isthmus.tasks.coding import reconstructions
from isthmus_images.adapter import ImageAdapter
from isthmus_images.files.loading import How, Loaded, load
from isthmus_images.files.pixels import Form, Shown, ShownPicture, as_floats, as_shown, shown
from isthmus_images.images import Images

RESTORERS = ("residual_denoiser", "unet_denoiser")
"""Builders of networks without a bottleneck: they have no codes and accept images of any size."""


def takes_any_size(builder: str) -> bool:
    """Whether a model is a pure denoiser."""
    return builder in RESTORERS


def noisy_from(fitted: FittedAutoencoder[ImageAdapter], images: Any, on_error: str = "raise") -> Loaded:
    """Noisy images: of the model's size, or of any size for pure denoisers.

    Args:
        fitted: the model.
        images: ``Images``, or anything that ``Images.read`` accepts; floats may be outside 0 to 1.
        on_error: "raise" an error for a file that cannot be read, or "skip" it.
    """
    if isinstance(images, Images):
        return Loaded(images.pixels, images.names)
    if not takes_any_size(fitted.builder):
        records = fitted.adapter.records(images, on_error=on_error, noisy=True)
        return Loaded(records.pixels, records.names)
    adapter = fitted.adapter
    form = Form(None, adapter.form.colour)
    return load(images, How(form, on_error, noisy=True, levels=adapter.levels, in_arrays=adapter.in_arrays))


def denoised(
    fitted: FittedAutoencoder[ImageAdapter], loaded: Loaded, level: float | None = None
) -> Shown | list[ShownPicture]:
    """The denoised images as float32 from 0 to 1; a list if they have different sizes.

    Args:
        fitted: the model.
        loaded: noisy images.
        level: standard deviation of the noise, for models that are told it; None estimates it.

    Raises:
        SettingError: a level for a model that is not told one.
    """
    if takes_any_size(fitted.builder):
        return _together([as_shown(_restored(fitted.model, picture[None], level))[0] for picture in loaded.pictures])
    if level is not None:
        raise SettingError(
            f"level={level} for a model of {fitted.builder}", expected="no level", remedy="a unet_denoiser is told one"
        )
    records = Images(loaded.stacked(), loaded.names)
    return as_shown(reconstructions(fitted.model, fitted.adapter.prepare(records)))


def noised(images: Images, scale: float, seed: int) -> Images:
    """The images with noise; see ``with_noise``.

    Args:
        images: clean images.
        scale: standard deviation, for pixels from 0 to 1.
        seed: seed of the noise.
    """
    noisy, _ = with_noise(Loaded(images.pixels, images.names), scale, seed)
    return Images(noisy.stacked(), images.names, images.labels)


def with_noise(loaded: Loaded, scale: float, seed: int) -> tuple[Loaded, list[ShownPicture]]:
    """Add N(0, scale²) to each number, drawn by NumPy's default generator and not clipped.

    Args:
        loaded: clean images, possibly of different sizes.
        scale: standard deviation, for pixels from 0 to 1.
        seed: seed of the noise.

    Returns:
        The noisy images, and the clean ones in the format for users.
    """
    generator = np.random.default_rng(seed)
    clean = [as_floats(picture[None]) for picture in loaded.pictures]
    noisy = [one[0] + generator.normal(0.0, scale, one.shape[1:]).astype(np.float32) for one in clean]
    return Loaded(noisy, loaded.names), [shown(one)[0] for one in clean]


def _together(images: list[ShownPicture]) -> Shown | list[ShownPicture]:
    """One array if all images have the same size, otherwise the list."""
    return np.stack(images) if len({image.shape for image in images}) == 1 else images


def _restored(model: Autoencoder, picture: Any, level: float | None) -> torch.Tensor:
    device = next(model.parameters()).device
    return restored(model, torch.from_numpy(as_floats(np.array(picture))).to(device), level=level).cpu()

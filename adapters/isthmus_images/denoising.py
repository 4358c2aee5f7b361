"""Noise taken away: by an autoencoder, which writes its images back, or by a network that is nothing but a denoiser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from isthmus.core.autoencoder import Autoencoder
from isthmus.errors import InputError
from isthmus.models.dncnn import restored
from isthmus.tasks.coding import reconstructions
from isthmus_images.asking import as_shown
from isthmus_images.files.loading import How, Loaded, load
from isthmus_images.files.pixels import Form, as_floats, shown
from isthmus_images.images import Images

if TYPE_CHECKING:
    from isthmus_images.autoencoder import ImageAutoencoder

RESTORERS = ("residual_denoiser",)
"""Builders of networks without a narrow place: they have no codes and take images of any size."""


def takes_any_size(builder: str) -> bool:
    """Whether a model is nothing but a denoiser."""
    return builder in RESTORERS


def check_has_codes(builder: str) -> None:
    """Refuse to ask a denoiser for what it does not have.

    Raises:
        InputError: the model has no codes.
    """
    if takes_any_size(builder):
        raise InputError(
            f"{builder} has no codes: it only denoises", expected="a model with codes", remedy="train vanilla, say"
        )


def noisy_from(model: ImageAutoencoder, images: Any, broken: str = "refuse") -> Loaded:
    """What ``denoise`` takes: of the model's size, or of any for models that are nothing but denoisers."""
    if isinstance(images, Images):
        return Loaded(images.pixels, images.names)
    if not takes_any_size(model.builder):
        records = model.adapter.records(images, broken=broken, noisy=True)
        return Loaded(records.pixels, records.names)
    return load(images, How(Form(None, model.adapter.form.colour), broken, noisy=True))


def denoised(model: ImageAutoencoder, loaded: Loaded) -> Any:
    """See ``ImageAutoencoder.denoise``."""
    if takes_any_size(model.builder):
        return together([as_shown(_restored(model.model, picture[None]))[0] for picture in loaded.pictures])
    records = Images(loaded.stacked(), loaded.names)
    return as_shown(reconstructions(model.model, model.adapter.prepare(records)))


def together(images: list[Any]) -> Any:
    """One array where all are of one size, else the list."""
    return np.stack(images) if len({image.shape for image in images}) == 1 else images


def noised(images: Images, scale: float, seed: int) -> Images:
    """The images with noise; see ``with_noise``."""
    noisy, _ = with_noise(Loaded(images.pixels, images.names), scale, seed)
    return Images(noisy.stacked(), images.names, images.labels)


def with_noise(loaded: Loaded, scale: float, seed: int) -> tuple[Loaded, list[Any]]:
    """The images with N(0, scale²) added to each number, drawn by NumPy's default generator and not cut to 0 to 1; and
    the clean ones as users get them."""
    luck = np.random.default_rng(seed)
    clean = [as_floats(picture[None]) for picture in loaded.pictures]
    noisy = [one[0] + luck.normal(0.0, scale, one.shape[1:]).astype(np.float32) for one in clean]
    return Loaded(noisy, loaded.names), [shown(one)[0] for one in clean]


def _restored(model: Autoencoder, picture: Any) -> torch.Tensor:
    device = next(model.parameters()).device
    return restored(model, torch.from_numpy(as_floats(np.array(picture))).to(device)).cpu()

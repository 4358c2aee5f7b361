"""Images: folders, arrays and IDX files as grids of numbers, and convolutional autoencoders for them.

::

    from isthmus_images import ImageAutoencoder

    model = ImageAutoencoder.fit("photographs", size=64)
    codes = model.encode("photographs")
    model.decode(codes), model.search("one.png"), model.sample(5)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isthmus_images.adapter import ImageAdapter, ImageSource
    from isthmus_images.autoencoder import ImageAutoencoder
    from isthmus_images.contact_sheet import sheet
    from isthmus_images.crops import Crops
    from isthmus_images.datasets import demo_clothes, denoise_grey, fashion_mnist, train400
    from isthmus_images.denoising import noised
    from isthmus_images.evaluate import ImageEvaluation
    from isthmus_images.images import Images
    from isthmus_images.photo_denoising import photo_denoiser

__all__ = [
    "Crops",
    "ImageAdapter",
    "ImageAutoencoder",
    "ImageEvaluation",
    "ImageSource",
    "Images",
    "demo_clothes",
    "denoise_grey",
    "fashion_mnist",
    "noised",
    "photo_denoiser",
    "sheet",
    "train400",
]

_MODULES = {
    "Crops": "crops",
    "ImageAdapter": "adapter",
    "ImageAutoencoder": "autoencoder",
    "ImageEvaluation": "evaluate",
    "ImageSource": "adapter",
    "Images": "images",
    "demo_clothes": "datasets",
    "denoise_grey": "datasets",
    "fashion_mnist": "datasets",
    "noised": "denoising",
    "photo_denoiser": "photo_denoising",
    "sheet": "contact_sheet",
    "train400": "datasets",
}


def __getattr__(name: str) -> Any:
    # The attributes are imported on first use, so that importing the package does not import torch or Pillow.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)

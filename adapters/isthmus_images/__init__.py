"""Images: folders, arrays and IDX files as grids of numbers, convolutional autoencoders over them.

from isthmus_images import ImageAutoencoder

model = ImageAutoencoder.fit("photographs", size=64)
codes = model.encode("photographs")
model.decode(codes), model.search("one.png"), model.sample(5)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isthmus_images.adapter import ImageAdapter
    from isthmus_images.autoencoder import ImageAutoencoder
    from isthmus_images.images import Images

__all__ = ["ImageAdapter", "ImageAutoencoder", "Images"]

_HOMES = {"ImageAdapter": "adapter", "ImageAutoencoder": "autoencoder", "Images": "images"}


def __getattr__(name: str) -> Any:
    # Torch and Pillow are imported on first use, not when the package is.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

"""Images as grids of numbers: what the plugin announces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from isthmus.batch import Grid
from isthmus.errors import BundleError, InputError
from isthmus_images.files.pixels import CHANNELS, Form, Pixels
from isthmus_images.images import Images
from isthmus_images.source import ImageSource

DOCUMENT = "images.json"


@dataclass(frozen=True)
class ImageAdapter:
    """Knows the size of images and whether they have colour.

    Attributes:
        signal: channels, height and width.
    """

    signal: Grid

    @classmethod
    def read(cls, source: Any, **options: Any) -> Images:
        """Images from files or arrays; see ``Images.read``."""
        return Images.read(source, **options)

    @classmethod
    def fit(cls, records: Any) -> ImageAdapter:
        """The size and colour of these images."""
        images = Images.of(records)
        return cls(Grid(len(images.pixels[0]), *images.size))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.signal.height, self.signal.width

    @property
    def form(self) -> Form:
        """The size and colour that files are read in."""
        names = {count: name for name, count in CHANNELS.items()}
        return Form(self.size, names[self.signal.channels])

    def records(self, source: Any, *, broken: str = "refuse", noisy: bool = False) -> Images:
        """Images from files or arrays: files are read in the size and colour of this adapter.

        Raises:
            InputError: an array of another size or colour.
        """
        if isinstance(source, Images):
            return source
        form = self.form
        return Images.read(source, size=form.size, colour=form.colour, broken=broken, noisy=noisy)

    def prepare(self, records: Any) -> ImageSource:
        """A row for every image, in that order.

        Raises:
            InputError: images of another size or colour.
        """
        images = self.records(records)
        self.form.check(images.pixels, "images")
        return ImageSource(_tensor(images.pixels))

    def state(self) -> dict[str, str]:
        """Sizes, as JSON."""
        grid = self.signal
        return {DOCUMENT: json.dumps({"channels": grid.channels, "height": grid.height, "width": grid.width})}

    @classmethod
    def restore(cls, state: Mapping[str, str]) -> ImageAdapter:
        """The inverse of ``state``.

        Raises:
            BundleError: the document is missing or not what it should be.
        """
        if DOCUMENT not in state:
            raise BundleError(f"the bundle holds no {DOCUMENT}", expected="the sizes of images")
        try:
            sizes = json.loads(state[DOCUMENT])
            channels, height, width = (sizes[name] for name in ("channels", "height", "width"))
            if channels not in CHANNELS.values():
                raise InputError(f"{channels} channels", expected="1 or 3")
            form = Form.asked([height, width], None)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BundleError(f"the sizes of images do not fit ({error})", expected="as saved") from None
        assert form.size is not None
        return cls(Grid(channels, *form.size))


def _tensor(pixels: Pixels) -> torch.Tensor:
    # A copy where the array may not be written to: torch would share it.
    return torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy())

"""Pictures in requests and answers: files in base64."""

from __future__ import annotations

import base64
import binascii
import io
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from isthmus.errors import BudgetError, SourceError
from isthmus_images.files.formats import UNREADABLE, formats
from isthmus_images.files.pictures import as_image

MOST_PIXELS = 4_000_000
"""Pixels of one picture; a picture of a few bytes may unfold to any number of them."""


def pictures_of(given: Iterable[str]) -> list[Any]:
    """The pictures of a request.

    Args:
        given: files in base64, or data URLs.

    Returns:
        Pillow images.

    Raises:
        SourceError: no picture.
        BudgetError: a picture of too many pixels.
    """
    return [_picture(text, f"image {number}") for number, text in enumerate(given)]


def _picture(text: str, what: str) -> Any:
    encoded = text.partition(",")[2] if text.startswith("data:") else text
    try:
        data = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise SourceError(f"{what} is not base64", expected="a file in base64, or a data URL") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(data), formats=formats())
            if opened.width * opened.height > MOST_PIXELS:
                raise BudgetError(
                    f"{what} of {opened.width} x {opened.height} pixels", expected=f"at most {MOST_PIXELS:,} pixels"
                )
            opened.load()
            return opened
    except UNREADABLE as error:
        if isinstance(error, BudgetError):
            raise
        raise SourceError(f"{what} is not a picture that can be read", expected="a whole PNG, JPEG, ...") from None


def data_urls(shown: Iterable[Any]) -> list[str]:
    """Pictures of a model as data URLs.

    Args:
        shown: float32 from 0 to 1, channels last if there are any.
    """
    return [_data_url(np.asarray(one)) for one in shown]


def _data_url(shown: Any) -> str:
    levels = np.round(shown * 255).astype(np.uint8)
    channels_first = levels[None] if levels.ndim == 2 else levels.transpose(2, 0, 1)
    file = io.BytesIO()
    as_image(channels_first).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()

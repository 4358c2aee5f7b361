"""What is asked of an image autoencoder, checked."""

from __future__ import annotations

import base64
from typing import Annotated, Any, ClassVar

from pydantic import Field, StrictBool, StrictInt, StrictStr

from isthmus.actions.requests import Request
from isthmus.serve.autoencoders import EmbeddingRequest, Sample, SearchRequest

MOST_IMAGES = 64

Image = Annotated[StrictStr, Field(description="A file in base64, or a data URL.")]
Images = Annotated[list[Image], Field(min_length=1, max_length=MOST_IMAGES)]


class _OfImages(Request):
    uploads: ClassVar[tuple[str, ...]] = ("image/",)

    images: Images = Field(description="Files in base64, or data URLs.")

    @classmethod
    def of_upload(cls, body: bytes) -> dict[str, Any]:
        """One file."""
        return {"images": [base64.b64encode(body).decode()]}


class Embed(EmbeddingRequest):
    """Codes of images, in the form of OpenAI's interface."""

    input: Image | Images


class Search(_OfImages, SearchRequest):
    """Images whose codes are nearest."""

    pictures: StrictBool = Field(False, description="Also draw what was found, from the codes.")


class Anomalies(_OfImages):
    """How unusual images are."""


class Reconstruct(_OfImages):
    """Images that are encoded and drawn again."""


class Denoise(_OfImages):
    """Images without noise."""


class SampleImages(Sample):
    """New images from random codes."""


class Interpolate(Request):
    """Images between two images."""

    a: Image
    b: Image
    steps: Annotated[StrictInt, Field(ge=2, le=MOST_IMAGES)] = 7

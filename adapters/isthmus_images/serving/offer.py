"""The requests that an image autoencoder answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.actions import Action, Offer
from isthmus.actions.action import Document
from isthmus.serve.autoencoders import (
    any_alike,
    by_search,
    drawn,
    embedded,
    facts,
    found_records,
    quietly,
    scored,
    split,
)
from isthmus_images.autoencoder import ImageAutoencoder
from isthmus_images.denoising import takes_any_size
from isthmus_images.serving.pictures import data_urls, pictures_of
from isthmus_images.serving.requests import (
    Anomalies,
    Denoise,
    Embed,
    Interpolate,
    Reconstruct,
    SampleImages,
    Search,
)

PAGE = Path(__file__).with_name("page.js")


def offer(model: ImageAutoencoder) -> Offer:
    """What an image autoencoder offers over HTTP and to agents."""
    answers = ImageAnswers(model)
    about = {**facts(model), "size": list(model.adapter.size), "channels": model.adapter.signal.channels}
    blank = np.zeros((1, *_shape(model)), np.float32)
    warm = quietly(lambda: model.search(blank, 1) if model.fitted.gallery else model.denoise(blank))
    return Offer(_actions(answers) + drawn(model), about, warm, PAGE, lambda count, seed: _trial(model, count, seed))


def _trial(model: ImageAutoencoder, count: int, seed: int) -> tuple[str, list[Document]]:
    """Images for a load test: noise, in the size of the model."""
    noise = np.random.default_rng(seed).random((count, *_shape(model)), dtype=np.float32)
    action = "embeddings" if model.fitted.has_codes else "denoise"
    field = "input" if action == "embeddings" else "images"
    return action, [{field: [url]} for url in data_urls(noise)]


def _shape(model: ImageAutoencoder) -> tuple[int, ...]:
    """The shape of a picture as an array."""
    return *model.adapter.size, *([3] if model.adapter.signal.channels == 3 else [])


def _actions(answers: ImageAnswers) -> tuple[Action, ...]:
    model = answers.model
    found = [Action("denoise", "Images without noise.", Denoise, answers.denoise)]
    if model.fitted.has_codes:
        found += [
            Action.batched("embeddings", "Vectors of images.", Embed, answers.embed, any_alike),
            Action("reconstruct", "Images, encoded and drawn again.", Reconstruct, answers.reconstruct),
            Action("interpolate", "Images between two images.", Interpolate, answers.interpolate),
            Action("sample", "New images.", SampleImages, answers.sample),
        ]
        if model.fitted.gallery is not None:
            about = "The images of the training data that are nearest to an image."
            found.insert(0, Action.batched("search", about, Search, answers.search, by_search))
        if model.fitted.anomaly_scorer is not None:
            about = "How unusual images are, and which of them are anomalies."
            found.append(Action("anomalies", about, Anomalies, answers.anomalies))
    return tuple(found)


class ImageAnswers:
    """Answers requests by an image autoencoder.

    Args:
        model: a fitted one.
    """

    def __init__(self, model: ImageAutoencoder) -> None:
        self.model = model

    def embed(self, requests: Sequence[Embed]) -> list[Document]:
        """Codes of the images of several requests."""
        given = [[one.input] if isinstance(one.input, str) else list(one.input) for one in requests]
        codes = self.model.encode([picture for own in given for picture in pictures_of(own)])
        rows = split(codes, list(map(len, given)))
        return [embedded(own, one, 0) for one, own in zip(requests, rows, strict=True)]

    def search(self, requests: Sequence[Search]) -> list[Document]:
        """The images that are nearest to those of several requests with the same ``k``."""
        given = [pictures_of(one.images) for one in requests]
        asked = [picture for own in given for picture in own]
        answered = self.model.search(asked, requests[0].k, metric=requests[0].metric)
        found = split(found_records(answered), list(map(len, given)))
        return [self._found(one, own) for one, own in zip(requests, found, strict=True)]

    def anomalies(self, request: Anomalies) -> Document:
        """How unusual images are."""
        scores = self.model.anomaly_scores(pictures_of(request.images))
        return scored(self.model, scores, self.model.anomaly_scorer.threshold)

    def reconstruct(self, request: Reconstruct) -> Document:
        """Images, encoded and drawn again."""
        return {"images": data_urls(self.model.reconstruct(pictures_of(request.images)))}

    def denoise(self, request: Denoise) -> Document:
        """Images without noise, and what the model read."""
        pictures = pictures_of(request.images)
        return {"images": data_urls(self.model.denoise(pictures)), "read": self._read(pictures)}

    def interpolate(self, request: Interpolate) -> Document:
        """Images between two images."""
        a, b = pictures_of([request.a, request.b])
        return {"images": data_urls(self.model.interpolate([a], [b], request.steps))}

    def sample(self, request: SampleImages) -> Document:
        """New images."""
        return {"images": data_urls(self.model.sample(request.n, seed=request.seed, prior=request.prior))}

    def _read(self, pictures: list[Any]) -> list[str]:
        """The pictures in the size and colour that the model reads them in."""
        if takes_any_size(self.model.builder):
            return []
        return data_urls(self.model.adapter.records(pictures, noisy=True).array().clip(0, 1))

    def _found(self, request: Search, found: list[list[dict[str, Any]]]) -> Document:
        if request.pictures:
            codes = self.model.gallery.codes
            for own in found:
                images = data_urls(self.model.decode(codes[[one["row"] for one in own]].numpy())) if own else []
                for one, image in zip(own, images, strict=True):
                    one["image"] = image
        return {"answers": [{"found": own} for own in found]}

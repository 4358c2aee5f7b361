"""The requests that autoencoders of vectors, detectors and compressors answer."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.actions import Action, Offer
from isthmus.actions.action import Document
from isthmus.errors import InputError
from isthmus.plugins import command_name
from isthmus.serve.autoencoders import (
    course,
    drawn,
    embedded,
    facts,
    found_records,
    quietly,
    scored,
)
from isthmus_vectors.autoencoder import VectorAutoencoder
from isthmus_vectors.compressor import Compressor
from isthmus_vectors.detection import Detector
from isthmus_vectors.serving.requests import Anomalies, Embed, Encode, Reconstruct, Search
from isthmus_vectors.serving.rows import asked

PAGE = Path(__file__).with_name("page.js")


def offer(model: Any) -> Offer:
    """What a model of vectors offers over HTTP and to agents."""
    if isinstance(model, Detector):
        return _of_detector(model)
    if isinstance(model, Compressor):
        return _of_compressor(model)
    if isinstance(model, VectorAutoencoder):
        return _of_autoencoder(model)
    raise InputError(f"a {type(model).__name__}", expected="a VectorAutoencoder, a Detector or a Compressor")


def _of_autoencoder(model: VectorAutoencoder) -> Offer:
    answers = VectorAnswers(model)
    found = [
        Action("embeddings", "Codes of rows of numbers.", Embed, answers.embed),
        Action("reconstruct", "Rows, encoded and decoded again.", Reconstruct, answers.reconstruct),
    ]
    if model.fitted.gallery is not None:
        about = "The rows of the training data whose codes are nearest."
        found.insert(0, Action("search", about, Search, answers.search))
    if model.fitted.anomaly_scorer is not None:
        about = "How unusual rows of numbers are, and which of them are anomalies."
        found.append(Action("anomalies", about, Anomalies, answers.anomalies))
    about_model = {**facts(model), **_columns(model.columns, model.width)}
    warm = quietly(lambda: model.encode(np.zeros((1, model.width))))
    name = "anomalies" if model.fitted.anomaly_scorer is not None else "reconstruct"
    return Offer((*found, *drawn(model)), about_model, warm, PAGE, _trial(name, model.width))


def _trial(action: str, width: int) -> Callable[[int, int], tuple[str, list[Document]]]:
    """Rows for a load test: normally distributed numbers."""

    def trial(count: int, seed: int) -> tuple[str, list[Document]]:
        rows = np.random.default_rng(seed).normal(size=(count, 1, width))
        return action, [{"vectors": row} for row in rows.tolist()]

    return trial


def _of_detector(model: Detector) -> Offer:
    width = len(model.fitted.centre)
    about = {"builder": "detector", "anomalies": True, "explains": True, **_columns(model.columns, width)}
    return Offer(
        (
            Action(
                "anomalies",
                "How unusual rows of numbers are, which of them are anomalies, and by which columns.",
                Anomalies,
                VectorAnswers(model).anomalies,
            ),
            course(model),
        ),
        about,
        quietly(lambda: model.anomaly_scores(np.zeros((1, width)))),
        PAGE,
        _trial("anomalies", width),
    )


def _of_compressor(model: Compressor) -> Offer:
    def encode(request: Encode) -> Document:
        codes = asked(request, model.encode)
        return {"codes": [base64.b64encode(row.tobytes()).decode() for row in codes], "bytes": model.bytes}

    about = {"builder": command_name("matryoshka"), "bytes": model.bytes, **_columns(model.columns, model.width)}
    return Offer(
        (
            Action("encode", "Vectors in a few bytes each, in base64.", Encode, encode),
            course(model),
        ),
        about,
        page=PAGE,
        trial=_trial("encode", model.width),
    )


class VectorAnswers:
    """Answers requests by an autoencoder of vectors or a detector.

    Args:
        model: a fitted one.
    """

    def __init__(self, model: Any) -> None:
        self._model = model

    def embed(self, request: Embed) -> Document:
        """Encode rows."""
        given: Any = request.input
        rows = given if isinstance(given[0], list) else [given]
        if len({len(row) for row in rows}) > 1:
            raise InputError("rows of several lengths", expected="rows of one length")
        return embedded(self._model.encode(np.array(rows, dtype=np.float64)), request, 0)

    def search(self, request: Search) -> Document:
        """Find the nearest rows."""
        found = asked(request, lambda rows: self._model.search(rows, request.k, metric=request.metric))
        return {"answers": [{"found": one} for one in found_records(found)]}

    def reconstruct(self, request: Reconstruct) -> Document:
        """Rows, encoded and decoded again."""
        return {"vectors": asked(request, self._model.reconstruct).tolist(), "columns": self._names()}

    def anomalies(self, request: Anomalies) -> Document:
        """How unusual rows are, the columns that make them so, and the threshold."""
        document = scored(self._model, asked(request, self._model.anomaly_scores), self._model.threshold)
        if request.explain and isinstance(self._model, Detector):
            nats = asked(request, self._model.explain)
            names = self._names() or [str(place) for place in range(nats.shape[1])]
            for record, row in zip(document["records"], nats, strict=True):
                best = np.argsort(-row, kind="stable")[: request.columns]
                record["because"] = [{"column": names[place], "nats": float(row[place])} for place in best.tolist()]
        return document

    def _names(self) -> list[str] | None:
        return None if self._model.columns is None else list(self._model.columns)


def _columns(names: tuple[str, ...] | None, width: int) -> dict[str, Any]:
    return {"columns": None if names is None else list(names), "width": width}

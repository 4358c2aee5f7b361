"""Requests and answers that faces of all domains of autoencoders share."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Hashable, Sequence
from itertools import accumulate, pairwise
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, StrictInt

from isthmus.actions import Action
from isthmus.actions.action import Document
from isthmus.actions.requests import Count, Request, finite
from isthmus.answers import Answers
from isthmus.errors import IsthmusError, SettingError
from isthmus.fitted import AutoencoderFace
from isthmus.fitted.gallery import FoundRecords
from isthmus.plots.maps import plane
from isthmus.plugins import command_name
from isthmus.sources import even_rows

MOST_SAMPLES = 64
Seed = Annotated[StrictInt, Field(ge=0, lt=2**63)]

# --- requests --------------------------------------------------------------------------------------------------------


class EmbeddingRequest(Request):
    """Embeddings, in the form of OpenAI's interface; ``input`` depends on the domain."""

    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[StrictInt, Field(ge=1)] | None = Field(None, description="The width of the codes.")
    user: str | None = Field(None, description="Not used.")


class Sample(Request):
    """New records from random codes."""

    n: Annotated[StrictInt, Field(ge=1, le=MOST_SAMPLES)] = 8
    seed: Seed = 0
    prior: Literal["fitted", "standard"] = "fitted"


class SearchRequest(Request):
    """Records whose codes are nearest."""

    k: Count = Field(10, description="How many records.")
    metric: Literal["l2", "cosine", "ip"] | None = Field(None, description="By default that of the domain.")


class Points(Request):
    """Records on a map."""

    most: Annotated[StrictInt, Field(ge=2, le=20_000)] = Field(3_000, description="How many records at most.")


class Course(Request):
    """How the training went."""


# --- answers ---------------------------------------------------------------------------------------------------------


def embedded(vectors: npt.NDArray[Any], request: EmbeddingRequest, tokens: int) -> Document:
    """Vectors as OpenAI's interface has them.

    Args:
        vectors: one row for each input.
        request: says in which form.
        tokens: that were read, for ``usage``.

    Returns:
        The document.

    Raises:
        SettingError: ``dimensions`` other than the width: a part of such a code stands for nothing.
    """
    width = vectors.shape[1]
    if request.dimensions not in (None, width):
        raise SettingError(f"dimensions={request.dimensions}", expected=f"{width}, the width of these codes, or none")
    rows = np.ascontiguousarray(vectors, dtype="<f4")
    as_base64 = request.encoding_format == "base64"
    made = [base64.b64encode(row.tobytes()).decode() if as_base64 else row.tolist() for row in rows]
    data = [{"object": "embedding", "index": place, "embedding": one} for place, one in enumerate(made)]
    return {"object": "list", "data": data, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def found_records(answers: Answers[FoundRecords]) -> list[list[dict[str, Any]]]:
    """The records that were found, a list for each query."""
    return [
        [
            {**hit._asdict(), "score": finite(hit.score), "percentile": None if share is None else finite(share)}
            for hit, share in zip(found, found.percentiles, strict=True)
        ]
        for found in answers
    ]


def scored(face: Any, scores: npt.NDArray[np.float64], threshold: Any) -> Document:
    """Anomaly scores with their p-values, and which of them are above the threshold.

    Args:
        face: gives p-values.
        scores: one for each record.
        threshold: of the face.
    """
    values = [float(one) for one in face.anomaly_p_values(scores)]
    records = [
        {"score": finite(float(score)), "p": finite(p), "anomaly": bool(score > threshold.value)}
        for score, p in zip(scores, values, strict=True)
    ]
    return {"records": records, "threshold": finite(threshold.value), "contamination": threshold.contamination}


def split(answered: Any, lengths: Sequence[int]) -> list[Any]:
    """The answers to records of several requests, a slice for each request."""
    return [answered[start:stop] for start, stop in pairwise(accumulate(lengths, initial=0))]


def by_search(request: SearchRequest) -> Hashable:
    """What requests to ``search`` must have in common to be answered together."""
    return request.k, request.metric


def any_alike(_: Request) -> Hashable:
    """All requests may be answered together."""
    return None


def drawn(face: AutoencoderFace[Any, Any, Any]) -> tuple[Action, ...]:
    """The actions that only the page asks for: the course of the training, and a map of codes if there are any."""
    gallery = face.fitted.gallery
    if gallery is None or len(gallery) < 2 or not face.fitted.has_codes:
        return (course(face),)
    return (
        Action("map", "Codes in the plane.", Points, lambda request: _points(gallery, request.most), as_tool=False),
        course(face),
    )


def course(face: Any) -> Action:
    """The action that tells the course of the training of a face."""
    return Action(
        "course", "How the training went.", Course, lambda _: face.history.to_json() | {"tried": []}, as_tool=False
    )


def _points(gallery: Any, most: int) -> Document:
    """Evenly spaced records of a gallery, by the first two principal components of their codes."""
    rows = even_rows(len(gallery), most).tolist()
    codes = gallery.codes[rows].numpy()
    found, axes = plane(codes)
    names = [f"row {row}" if gallery.items is None else gallery.items[row] for row in rows]
    labels = None if gallery.labels is None else [gallery.labels[row] for row in rows]
    return {"points": np.round(found, 5).tolist(), "names": names, "ids": rows, "labels": labels, "axes": axes}


def facts(face: AutoencoderFace[Any, Any, Any]) -> dict[str, Any]:
    """Facts of a face for the list of models."""
    has_codes = face.fitted.has_codes
    return {
        "builder": command_name(face.builder),
        "code": face.code_width if has_codes else None,
        "searchable": 0 if face.fitted.gallery is None or not has_codes else len(face.fitted.gallery),
        "anomalies": face.fitted.anomaly_scorer is not None,
    }


def quietly(warm: Callable[[], Any]) -> Callable[[], None]:
    """A warm-up whose failure is no reason not to serve: whoever asks is told what is wrong."""

    def warmed() -> None:
        with contextlib.suppress(IsthmusError):
            warm()

    return warmed

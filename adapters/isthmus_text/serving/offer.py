"""The requests that a text autoencoder answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.actions import Action, Offer
from isthmus.actions.action import Document
from isthmus.errors import InputError
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
from isthmus_text.autoencoder import TextAutoencoder
from isthmus_text.decode import writes_texts
from isthmus_text.serving.requests import (
    Anomalies,
    Decode,
    Embed,
    Interpolate,
    Reconstruct,
    SampleTexts,
    Search,
)

PAGE = Path(__file__).with_name("page.js")


def offer(model: TextAutoencoder) -> Offer:
    """What a text autoencoder offers over HTTP and to agents."""
    answers = TextAnswers(model)
    warm = quietly(lambda: answers.search([Search(text="a", k=1)]) if model.fitted.gallery else model.encode(["a"]))
    about = {**facts(model), "longest": model.adapter.input.max_length}
    return Offer(_actions(answers) + drawn(model), about, warm, PAGE, lambda count, seed: _trial(model, count, seed))


def _trial(model: TextAutoencoder, count: int, seed: int) -> tuple[str, list[Document]]:
    """Texts for a load test: training texts, or random words of the vocabulary."""
    gallery, generator = model.fitted.gallery, np.random.default_rng(seed)
    if gallery is not None and gallery.items is not None:
        texts = [gallery.items[row] for row in generator.integers(len(gallery), size=count).tolist()]
    else:
        tokenizer = model.adapter.input.tokenizer
        texts = tokenizer.decode_batch(generator.integers(tokenizer.vocabulary, size=(count, 12)).tolist())
    return "embeddings", [{"input": text} for text in texts]


def _actions(answers: TextAnswers) -> tuple[Action, ...]:
    found = [
        Action.batched(
            "embeddings", "Vectors of texts, as OpenAI's interface has them.", Embed, answers.embed, any_alike
        ),
    ]
    if writes_texts(answers.model.model):
        found += [
            Action("reconstruct", "Texts, encoded and written back.", Reconstruct, answers.reconstruct),
            Action("decode", "Texts of vectors.", Decode, answers.decode),
            Action("interpolate", "Texts between two texts.", Interpolate, answers.interpolate),
            Action("sample", "New texts.", SampleTexts, answers.sample),
        ]
    if answers.model.fitted.gallery is not None:
        about = "The texts of the training data that are nearest to a text."
        found.insert(0, Action.batched("search", about, Search, answers.search, by_search))
    if answers.model.fitted.anomaly_scorer is not None:
        about = "How unusual texts are, and which of them are anomalies."
        found.append(Action.batched("anomalies", about, Anomalies, answers.anomalies, any_alike))
    return tuple(found)


class TextAnswers:
    """Answers requests by a text autoencoder.

    Args:
        model: a fitted one.
    """

    def __init__(self, model: TextAutoencoder) -> None:
        self.model = model

    def embed(self, requests: Sequence[Embed]) -> list[Document]:
        """Encode the texts of several requests."""
        texts = [self._texts(one) for one in requests]
        counts = [sum(map(len, self.model.adapter.input.tokenizer.encode(own))) for own in texts]
        codes = split(self.model.encode([text for own in texts for text in own]), list(map(len, texts)))
        return [embedded(own, one, tokens) for one, own, tokens in zip(requests, codes, counts, strict=True)]

    def search(self, requests: Sequence[Search]) -> list[Document]:
        """The texts that are nearest to those of several requests with the same ``k``."""
        queries = [one.queries for one in requests]
        if not all(queries):
            raise InputError("search without a text", expected="text or texts")
        asked = [text for own in queries for text in own]
        found = found_records(self.model.search(asked, requests[0].k, metric=requests[0].metric))
        return [{"answers": [{"found": one} for one in own]} for own in split(found, list(map(len, queries)))]

    def anomalies(self, requests: Sequence[Anomalies]) -> list[Document]:
        """How unusual the texts of several requests are, in nats per token."""
        scores = self.model.anomaly_scores([text for one in requests for text in one.texts])
        threshold = self.model.anomaly_scorer.threshold
        parts = split(scores, [len(one.texts) for one in requests])
        return [scored(self.model, own, threshold) for own in parts]

    def reconstruct(self, request: Reconstruct) -> Document:
        """Texts, encoded and written back."""
        return {"texts": self.model.reconstruct(request.texts, seed=request.seed, strategy=request.strategy)}

    def decode(self, request: Decode) -> Document:
        """Texts of codes."""
        return {"texts": self.model.decode(request.codes, seed=request.seed, strategy=request.strategy)}

    def interpolate(self, request: Interpolate) -> Document:
        """Texts between two texts."""
        strategy, seed = request.strategy, request.seed
        return {"texts": self.model.interpolate(request.a, request.b, request.steps, seed=seed, strategy=strategy)}

    def sample(self, request: SampleTexts) -> Document:
        """New texts."""
        options: dict[str, Any] = {"strategy": request.strategy}
        if request.strategy == "nucleus":
            options |= {"temperature": request.temperature}
        return {"texts": self.model.sample(request.n, seed=request.seed, prior=request.prior, **options)}

    def _texts(self, request: Embed) -> list[str]:
        """The texts of a request; tokens become texts first."""
        given = request.input
        if isinstance(given, str):
            return [given]
        if isinstance(given[0], str):
            return [one for one in given if isinstance(one, str)]
        rows = [given] if isinstance(given[0], int) else given
        tokens = [[id_ for id_ in row if isinstance(id_, int)] for row in rows if isinstance(row, list)]
        return self.model.adapter.input.tokenizer.decode_batch(tokens)

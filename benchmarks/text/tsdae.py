"""Part ``tsdae`` of ``embeddings.py``: does denoising on a domain make a sentence encoder better at it, and what
does that cost elsewhere?

all-MiniLM-L6-v2 as it is, after ``denoising_text`` on the sentences of the English Web Treebank (training split, no
labels) alone, and after the same with an anchor to the vectors before. Measured: Spearman's correlation on the STS
benchmark (what an encoder that learned similarity may lose), and the accuracy of a linear probe of the five genres of
the Web Treebank, learnt on the vectors of the training sentences. Settings were chosen before any test figure was seen;
the probe's penalty is chosen on the validation sentences.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression

from benchmarks.harness import Results, peak_rss
from benchmarks.progress import Said
from isthmus.training.history import History
from isthmus.training.run import Run
from isthmus_text import TextAutoencoder
from isthmus_text.datasets import Pairs, Sentences, demo_sentences
from isthmus_text.encode import Codes
from isthmus_text.input_output import pretrained_vectors
from isthmus_text.texts import Texts

SETTINGS: Mapping[str, Any] = {"tokens": 1024, "learning_rate": 1e-4, "decay": "cosine"}
"""A decoder whose layers start from nothing needs more steps, and longer ones, than the 3e-5 of a pretrained one."""

VARIANTS: Mapping[str, Mapping[str, float]] = {
    "as it is": {},
    "plain": {"anchor": 0.0},
    "anchored": {"anchor": 30.0},
    "anchored, contrast": {"anchor": 30.0, "contrastive": 5.0},
}
PENALTIES = (0.1, 1.0, 10.0)
"""Inverse strengths of the probe's penalty."""


def adapted(results: Results, epochs: int, most: int | None, read: Callable[[str], Pairs]) -> None:
    """The lines of every variant.

    Args:
        epochs: of each training.
        most: sentences of each kind, evenly spaced; None takes all.
        read: pairs of STS-B, by part.
    """
    domain = {part: _some(demo_sentences(part), most) for part in ("train", "dev", "test")}
    before = {part: pretrained_vectors(found.texts) for part, found in domain.items()}
    for variant, terms in VARIANTS.items():
        started, model = time.perf_counter(), None
        settings = {**SETTINGS, "epochs": epochs, **terms} if terms else {}
        if terms:
            run = Run(device="cpu", seed=0, progress=Said())
            train = domain["train"].texts
            model = TextAutoencoder.fit(train, "denoising-text", validation=0.0, gallery=False, run=run, **settings)
        spent = time.perf_counter() - started
        after = before if model is None else {part: model.encode(found.texts) for part, found in domain.items()}
        line = {
            "part": "tsdae",
            "model": variant,
            "settings": settings,
            "training_sentences": len(domain["train"].texts),
            "training_seconds": spent,
            "nll": None if model is None else _last_nll(model),
            "cosine_to_before": float(_cosines(before["test"], after["test"]).mean()),
            **{f"stsb_{part}": _stsb(model, read(part), most) for part in ("dev", "test")},
            **genre_probe(domain, after),
            "seconds": time.perf_counter() - started,
            "peak_mb": peak_rss() / 2**20,
        }
        results.add(**line)


def genre_probe(domain: Mapping[str, Sentences], vectors: Mapping[str, Codes]) -> dict[str, float]:
    """Accuracy of multinomial logistic regression on vectors of unit length, the best penalty on ``dev``."""
    unit = {part: found / np.linalg.norm(found, axis=1, keepdims=True) for part, found in vectors.items()}
    genres = {part: np.array(found.genres) for part, found in domain.items()}
    probes = [LogisticRegression(C=c, max_iter=300).fit(unit["train"], genres["train"]) for c in PENALTIES]
    scores = [float(probe.score(unit["dev"], genres["dev"])) for probe in probes]
    best = int(np.argmax(scores))
    return {
        "genre_dev": scores[best],
        "genre_test": float(probes[best].score(unit["test"], genres["test"])),
        "genre_penalty": PENALTIES[best],
        "genre_most_frequent": float((genres["test"] == _most_frequent(genres["train"])).mean()),
    }


def _stsb(model: TextAutoencoder | None, pairs: Pairs, most: int | None) -> float:
    rows = np.arange(len(pairs.scores))[:most]
    first, second = (_vectors(model, texts.select(rows)) for texts in (pairs.first, pairs.second))
    return float(spearmanr(_cosines(first, second), pairs.scores[rows]).statistic)


def _vectors(model: TextAutoencoder | None, texts: Texts) -> Codes:
    return pretrained_vectors(texts) if model is None else model.encode(texts)


def _cosines(first: Codes, second: Codes) -> Codes:
    product: Codes = (first * second).sum(1)
    return product / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)


def _some(found: Sentences, most: int | None) -> Sentences:
    count = len(found.texts) if most is None else min(most, len(found.texts))
    rows = np.arange(count) * len(found.texts) // count
    genres, names = (tuple(values[row] for row in rows) for values in (found.genres, found.names))
    return Sentences(found.texts.select(rows), genres, names)


def _last_nll(model: TextAutoencoder) -> float:
    return float(History.from_json(dict(model.facts["training"])).records[-1]["nll"])


def _most_frequent(genres: np.ndarray) -> str:
    names, counts = np.unique(genres, return_counts=True)
    return str(names[counts.argmax()])

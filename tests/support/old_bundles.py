"""Small bundles of every adapter and kind, and what each answers.

``python tests/support/old_bundles.py FOLDER`` writes them with the code at hand. Those of ``tests/data/bundles-0.1``
were written by version 0.1 and are never written again.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pictured import SMALL as IMAGES
from pictured import bars
from planted import SMALL as INTERACTIONS
from planted import planted
from tiny_bert import TEXTS as BERT_TEXTS
from tiny_bert import bert, save_tokenizer

from isthmus.index import Index
from isthmus.training.run import Run
from isthmus_images import ImageAutoencoder
from isthmus_interactions import ItemFeatures, Recommender
from isthmus_interactions.baselines import Popularity
from isthmus_text import TextAutoencoder
from isthmus_vectors import VectorAutoencoder
from isthmus_vectors.compressor import Compressor
from isthmus_vectors.detection import Detector

RUN = Run(device="cpu", precision="fp32")
LATER = {"low_pass", "sequence_recommender"}
"""Models of interactions that version 0.1 did not have."""

KINDS = ("vanilla", "variational", "denoising", "sparse", "contractive")
HISTORIES = [[0, 10, 20], [90, 120], []]
SENTENCES = [f"{who} {what} {where}" for who in ("the cat", "a dog", "my owl") for what in ("sits", "eats", "sleeps")
             for where in ("here", "on the mat", "in the sun", "under a red tree")]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A bundle that can be made, loaded and asked.

    Attributes:
        make: fits the model; it has ``save``.
        load: reads a bundle.
        ask: answers of a loaded model as JSON.
    """

    make: Callable[[], Any]
    load: Callable[[Path], Any]
    ask: Callable[[Any], Any]


def cases() -> Iterator[tuple[str, Case]]:
    """Every case by its name."""
    for name, settings in INTERACTIONS.items():
        if name in LATER:
            continue
        yield f"interactions-{name}", Case(_recommender(name, settings), Recommender.load, ask_recommender)
    parts = [
        {"model": "ease", "settings": {"regularisation": 5.0}},
        {"model": "mult_vae", "settings": _one("mult_vae")},
    ]
    yield "interactions-blend", Case(_recommender("blend", {"parts": parts}), Recommender.load, ask_recommender)
    yield "interactions-features", Case(_with_features, Recommender.load, ask_recommender)
    for kind in KINDS:
        yield f"text-{kind}", Case(_text(kind, hidden=8, **_narrow(kind)), TextAutoencoder.load, ask_text)
        yield f"images-{kind}", Case(_image(kind, **_narrow(kind)), ImageAutoencoder.load, ask_image)
        yield f"vectors-{kind}", Case(_vector(kind, **_narrow(kind)), VectorAutoencoder.load, ask_vector)
    for form in ("lstm", "transformer"):
        made = _text("sequence-vae", form=form, hidden=8, heads=2, layers=1, code=3)
        yield f"text-sequence-vae-{form}", Case(made, TextAutoencoder.load, ask_text)
    yield "text-denoising-text", Case(_pretrained("denoising-text"), TextAutoencoder.load, ask_text)
    yield "text-readable-embeddings", Case(_pretrained("readable-embeddings"), TextAutoencoder.load, ask_readable)
    cleaner = lambda: ImageAutoencoder.fit(bars(40), "residual-denoiser", filters=4, depth=3, epochs=1, run=RUN)  # noqa: E731
    yield (
        "images-residual-denoiser",
        Case(cleaner, ImageAutoencoder.load, lambda model: _rounded(model.denoise(bars(3, 1)))),
    )
    compressor = lambda: Compressor.fit(rows(300), 3, code=6, hidden=8, epochs=1, run=RUN)  # noqa: E731
    yield "vectors-compressor", Case(compressor, Compressor.load, lambda model: _rounded(model.decode(codes())))
    detector = lambda: Detector.fit(rows(80), run=RUN, members=3, hidden=8, epochs=2)  # noqa: E731
    yield "vectors-detector", Case(detector, Detector.load, lambda model: _rounded(model.anomaly_scores(rows(5, 1))))
    index = lambda: Index.build(rows(60), [f"v{row}" for row in range(60)])  # noqa: E731
    yield "index", Case(index, Index.load, ask_index)


def rows(count: int, seed: int = 0) -> np.ndarray:
    """Dense rows of 8 numbers, three of which decide the others."""
    generator = np.random.default_rng(seed)
    mix = np.random.default_rng(99).normal(size=(3, 8))
    return (generator.normal(size=(count, 3)) @ mix + 0.1 * generator.normal(size=(count, 8))).astype(np.float32)


def codes() -> np.ndarray:
    """Some codes of three bytes."""
    return np.arange(12, dtype=np.uint8).reshape(4, 3) * 7


def _one(name: str) -> dict[str, Any]:
    return {**INTERACTIONS[name], "hidden": 6, "code": 4, "epochs": 1}


def _narrow(kind: str) -> dict[str, Any]:
    return {"code": 12, "active": 3, "dead_after": 90} if kind == "sparse" else {"code": 3}


def _recommender(name: str, settings: dict[str, Any]) -> Callable[[], Recommender]:
    small = {"epochs": 2, "hidden": 6, "code": 12 if name == "sparse" else 4, "active": 3, "factors": 4}
    short = settings | {key: small[key] for key in small.keys() & settings.keys()}
    return lambda: Recommender.fit(planted(), model=name, run=RUN, **short)


def _with_features() -> Recommender:
    items = [*(10 * number for number in range(24)), 1000, 1001]
    groups = np.eye(3, dtype=np.float32)[[*(number // 8 for number in range(24)), 0, 1]]
    return _recommender("ease", INTERACTIONS["ease"])().with_features(ItemFeatures.of(items, groups))


def _text(model: str, **settings: Any) -> Callable[[], TextAutoencoder]:
    return lambda: TextAutoencoder.fit(SENTENCES, model, tokenizer="word", tokens=128, epochs=2, run=RUN, **settings)


def _pretrained(model: str) -> Callable[[], TextAutoencoder]:
    def make() -> TextAutoencoder:
        with tempfile.TemporaryDirectory() as folder:
            bert().save_pretrained(folder)
            save_tokenizer(Path(folder))
            return TextAutoencoder.fit(
                BERT_TEXTS * 8, model, checkpoint=folder, hidden=16, heads=2, layers=1, epochs=1, run=RUN
            )

    return make


def _image(kind: str, **settings: Any) -> Callable[[], ImageAutoencoder]:
    small = {**IMAGES, "hidden": 8, "filters": 2, "epochs": 2, **settings}
    return lambda: ImageAutoencoder.fit(bars(60), kind, run=RUN, **small)


def _vector(kind: str, **settings: Any) -> Callable[[], VectorAutoencoder]:
    return lambda: VectorAutoencoder.fit(rows(80), kind, hidden=8, epochs=2, batch_size=16, run=RUN, **settings)


def ask_recommender(model: Recommender) -> Any:
    """Scores in order and of every item, what is near, and what was trained."""
    answers = model.recommend(HISTORIES, k=5)
    return {
        "best": [_rounded(answer.scores) for answer in answers],
        "scores": _rounded(model.score(HISTORIES, [10 * number for number in range(24)])),
        "similar": None if isinstance(model.model, Popularity) else _rounded(model.similar_items([30], 3)[0].scores),
        "settings": dict(model.settings),
    }


def ask_text(model: TextAutoencoder) -> Any:
    """Codes, near texts, and how well held-out ones are written."""
    (found,) = model.search(["a dog eats here"], 3)
    return {
        "codes": _rounded(model.encode(["a dog eats here", "", "an unheard word"])),
        "near": [hit.score for hit in found],
        "nll": model.evaluate(["my owl sleeps in the sun", "a dog sits"]).nll,
        "settings": dict(model.settings),
    }


def ask_readable(model: TextAutoencoder) -> Any:
    """The same, with words that the tiny checkpoint knows."""
    return {"codes": _rounded(model.encode(BERT_TEXTS)), "settings": dict(model.settings)}


def ask_image(model: ImageAutoencoder) -> Any:
    """Codes, pictures written back, and how strange they are."""
    pictures = bars(4, 1)
    return {
        "codes": _rounded(model.encode(pictures)),
        "back": _rounded(np.asarray(model.reconstruct(pictures), dtype=np.float64).mean((1, 2))),
        "anomaly": _rounded(model.anomaly_scores(pictures)),
        "settings": dict(model.settings),
    }


def ask_vector(model: VectorAutoencoder) -> Any:
    """Codes, rows written back, draws, and how strange they are."""
    given = rows(4, 1)
    return {
        "codes": _rounded(model.encode(given)),
        "back": _rounded(model.reconstruct(given)),
        "anomaly": _rounded(model.anomaly_scores(given)),
        "near": _rounded(np.array([[hit.score for hit in hits] for hits in model.search(given, 3)])),
        "settings": dict(model.settings),
    }


def ask_index(index: Index) -> Any:
    """Ids and scores of the nearest."""
    found = index.search(rows(3, 1), k=4)
    return {"ids": [list(one) for one in found.ids], "scores": [_rounded(one) for one in found.scores]}


def _rounded(numbers: Any) -> Any:
    return np.asarray(numbers, dtype=np.float64).round(7).tolist()


def main(folder: Path) -> None:
    """Write every bundle and its answers; a folder that is there is kept as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, case in cases():
        if (folder / name).exists():
            continue
        case.make().save(folder / name)
        answers = case.ask(case.load(folder / name))
        (folder / f"{name}.json").write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")
        print(name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

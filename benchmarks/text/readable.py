"""The part ``readable`` of ``embeddings.py``: a decoder of all-MiniLM-L6-v2's vectors, and what it writes.

Training texts: three captions of each training image of Multi30k, the training splits of the English Web Treebank
(whole sentences, and the clauses of long ones) and of STS-B, WordNet's examples and, if ``--texts`` names their folder,
those of ``free_texts.py``; none that occurs in what is held out. ``--held-out dev`` reads validation splits, to choose
settings by; its lines are not kept.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Results, peak_rss
from benchmarks.progress import Said
from benchmarks.text.embeddings_run import checkpointed_epochs, nearest_training_texts, training_vectors
from isthmus.metrics.text import corpus_bleu, exact_match
from isthmus.training.history import History
from isthmus.training.run import Run
from isthmus_text import TextAutoencoder
from isthmus_text.datasets import Pairs, wordnet_examples
from isthmus_text.texts import Texts

SETTINGS: dict[str, Any] = {
    "vocabulary": 8000,
    "max_length": 40,
    "hidden": 256,
    "layers": 3,
    "heads": 4,
    "slots": 8,
    "tokens": 1024,
    "linear_start": True,
}
"""Small enough for some epochs in an hour on one core."""

TINY: Mapping[str, Any] = {
    "vocabulary": 300, "max_length": 16, "hidden": 32, "layers": 1, "heads": 2, "slots": 2, "tokens": 512
}  # fmt: skip
"""Of a smoke run."""

LONGEST_WORDS = 20
"""Held-out sentences have at most so many words between spaces; those of the Web Treebank at most ``SHORT_WORDS``."""

SHORT_WORDS = 15

TIMES: Mapping[str, int] = {"treebank": 2}
"""How often an epoch reads the texts of a source; once by default."""

EVERY: Mapping[str, int] = {"wordnet": 3, "perl": 2}
"""Only every so many of the texts of a source are read, of which there are many of a kind of its own."""

CAPTIONS = (0, 2, 4)
"""Which of an image's five captions are read; the first is the longest."""

STARTS = 6
"""Draws that corrections start from, beside the beam's text."""

CLAUSE = re.compile(r"(?:(?<=[,;:])|(?= (?:and|but|because|so|if|when|that|which|who) )) ")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Data:
    """Where texts come from, by part.

    Attributes:
        pairs: of the STS benchmark: train, dev or test.
        captions: five of each image: train, val or test_2016.
        sentences: of the Web Treebank: train, dev or test.
        examples: of WordNet.
    """

    pairs: Callable[[str], Pairs]
    captions: Callable[[str], Texts]
    sentences: Callable[[str], Texts]
    examples: Callable[[], Texts] = wordnet_examples


@dataclass(frozen=True)
class Reading:
    """How the part runs.

    Attributes:
        data: where texts come from.
        directory: of vectors, checkpoints and the bundle.
        minutes, epochs: of training; the epochs follow from the minutes if they are None.
        settings: keywords of ``TextAutoencoder.fit``.
        texts: folder of ``free_texts.py``, or None.
        held_out: test, or dev.
        draws: texts drawn beside the beam's.
        corrections: rounds of corrections, from ``STARTS`` draws.
        most: held-out sentences of each kind.
    """

    data: Data
    directory: Path
    minutes: float
    epochs: int | None
    settings: Mapping[str, Any]
    texts: Path | None
    held_out: str
    draws: int
    corrections: int
    most: int


def readable(results: Results, how: Reading) -> None:
    """Train, or go on, and read what was held out."""
    parts = training_parts(how.data, how.texts)
    vectors = training_vectors(parts, how.directory / "vectors")
    rows = [name for name in parts for _ in range(TIMES.get(name, 1))]
    texts = [text for name in rows for text in parts[name]]
    known = np.concatenate([vectors[name] for name in rows]).astype(np.float32)
    epochs = how.epochs or checkpointed_epochs(texts, known, how.settings, how.directory, how.minutes)
    run = Run(
        device="cpu",
        seed=0,
        precision="bf16",
        progress=Said(),
        checkpoints=how.directory / "checkpoints",
        every=1,
        resume=True,
    )
    started = time.perf_counter()
    model = TextAutoencoder.fit(
        texts,
        "readable-embeddings",
        validation=0.0,
        gallery=False,
        vectors=known,
        run=run,
        epochs=epochs,
        **how.settings,
    )
    seconds = time.perf_counter() - started
    saved = how.directory / "readable.bundle"
    if not saved.exists():
        model.save(saved)
    for name, held_out in held_out_texts(how.data, how.held_out, how.most).items():
        for line in read_back(model, held_out, texts, known, how):
            results.add(
                part="readable",
                split=name,
                texts=len(held_out),
                longest_words=longest(name),
                epochs=epochs,
                settings=dict(how.settings),
                training_texts={part: len(some) for part, some in parts.items()},
                training_seconds=History.from_json(dict(model.facts["training"])).seconds,
                this_start_seconds=seconds,
                peak_mb=peak_rss() / 2**20,
                **line,
            )


def corrected(model: TextAutoencoder, wanted: np.ndarray, rounds: int) -> list[str]:
    """The search, with the encoder's products in bf16: its cosines are those of fp32 within a thousandth."""
    with Run(device="cpu", precision="bf16").products():
        return model.decode(wanted, beams=5, draws=STARTS, corrections=rounds)


def training_parts(data: Data, folder: Path | None) -> dict[str, list[str]]:
    """Training splits alone, by source, each text once; none that is held out."""
    pairs, captions, treebank = data.pairs("train"), list(data.captions("train")), list(data.sentences("train"))
    parts = {
        "treebank": treebank,
        "clauses": [piece for text in treebank for piece in clauses(text)],
        "sts": [*pairs.first, *pairs.second],
        "examples": list(data.examples()),
        **{f"captions{place}": captions[place::5] for place in CAPTIONS},
    }
    for place in sorted(folder.glob("*.txt")) if folder else ():
        parts[place.stem] = place.read_text(encoding="utf-8").splitlines()
    held_out = {text for split in ("dev", "test") for some in whole(data, split).values() for text in some}
    seen: set[str] = {*held_out, ""}
    kept: dict[str, list[str]] = {}
    for name, texts in parts.items():
        kept[name] = [text for text in dict.fromkeys(texts) if text not in seen][:: EVERY.get(name, 1)]
        seen.update(kept[name])
    return kept


def clauses(text: str) -> list[str]:
    """Parts of a long sentence, at commas and conjunctions: the language of short ones."""
    if len(text.split()) <= SHORT_WORDS:
        return []
    return [piece.strip() for piece in CLAUSE.split(text) if 4 <= len(piece.split()) <= SHORT_WORDS]


def whole(data: Data, split: str) -> dict[str, list[str]]:
    """All texts of dev or test."""
    pairs, captions = data.pairs(split), "test_2016" if split == "test" else "val"
    return {
        f"multi30k {captions}": list(data.captions(captions)),
        f"ewt {split}": list(data.sentences(split)),
        f"stsb {split}": [*pairs.first, *pairs.second],
    }


def held_out_texts(data: Data, split: str, most: int) -> dict[str, list[str]]:
    """Sentences of few words, evenly spaced ones where there are more than ``most``."""
    found = {}
    for name, texts in whole(data, split).items():
        short = [text for text in dict.fromkeys(texts) if 0 < len(text.split()) <= longest(name)]
        found[name] = short[:: max(1, -(-len(short) // most))]
    return found


def longest(split: str) -> int:
    """The most words of a sentence that is read."""
    return SHORT_WORDS if split.startswith("ewt") else LONGEST_WORDS


def read_back(
    model: TextAutoencoder, held_out: list[str], texts: list[str], vectors: np.ndarray, how: Reading
) -> list[dict[str, Any]]:
    """BLEU (0 to 100, whitespace tokens) and exact matches (0 to 1) of each way, the nearest training text first."""
    wanted = model.encode(held_out)
    ways = {
        "nearest training text": lambda: nearest_training_texts(wanted, texts, vectors),
        "greedy": lambda: model.decode(wanted, strategy="greedy"),
        "beam 5": lambda: model.decode(wanted, beams=5),
        f"beam 5 and {how.draws} draws, the nearest": lambda: model.decode(wanted, beams=5, draws=how.draws),
        f"{how.corrections} corrections": lambda: corrected(model, wanted, how.corrections),
    }
    lines = []
    for way, write in ways.items():
        started = time.perf_counter()
        said = write()
        line = {
            "way": way,
            "bleu": corpus_bleu(said, held_out),
            "bleu_13a": corpus_bleu(said, held_out, tokenize="13a"),
            "exact": exact_match(said, held_out),
            "cosine": float((model.encode(said) * wanted).sum(1).mean()),
            "seconds": time.perf_counter() - started,
            "examples": [list(pair) for pair in zip(held_out[:3], said[:3], strict=True)],
        }
        logger.info("%s: BLEU %.2f, exact %.3f, cosine %.3f", way, line["bleu"], line["exact"], line["cosine"])
        lines.append(line)
    return lines

"""Sentence embeddings on real data: all-MiniLM-L6-v2 unchanged, and decoded to text.

Parts: ``stsb`` (Spearman's correlation on the test pairs of the STS benchmark), ``captions`` (captions of Multi30k find
the other four of their image), ``readable`` (a decoder is trained on the captions of the training split, sentences of
the English Web Treebank and of STS-B, and has to write held-out sentences from their vectors alone), ``tsdae``
(denoising on a domain, plain and anchored: see ``tsdae.py``).

The part ``readable`` keeps all it needs in ``--directory`` and goes on from there when it is started again; its number
of epochs follows from ``--minutes`` and the speed at its first start.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from scipy.stats import pearsonr, spearmanr

from benchmarks.harness import Line, Results, Smoke, chosen, peak_rss
from benchmarks.progress import Said
from benchmarks.text import tables
from benchmarks.text.embeddings_run import checkpointed_epochs, nearest_training_texts, training_vectors
from benchmarks.text.tsdae import adapted
from isthmus.metrics.text import corpus_bleu, exact_match
from isthmus.training.history import History
from isthmus.training.run import Run
from isthmus_text import TextAutoencoder
from isthmus_text.datasets import Pairs, demo_sentences, multi30k_captions, stsb
from isthmus_text.input_output import pretrained_vectors
from isthmus_text.texts import Texts

NAME = "text_embeddings"
TITLE = "Sentence embeddings"
LONGEST_WORDS = 20
"""Held-out sentences have at most so many words between spaces."""

SETTINGS = {"vocabulary": 4000, "max_length": 48, "hidden": 256, "layers": 4, "heads": 4, "slots": 8, "tokens": 3072}
"""Small enough for about ten epochs in an hour on one core; width 384 and 8,000 tokens train half as fast."""

TINY = {"vocabulary": 300, "max_length": 16, "hidden": 32, "layers": 1, "heads": 2, "slots": 2, "tokens": 512}
"""Of a smoke run."""

EQUAL = 5
"""Captions of one image."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Data:
    """Where texts come from, by part.

    Attributes:
        pairs: of the STS benchmark: train, dev or test.
        captions: five of each image: train or test_2016.
        sentences: of the Web Treebank: train, dev or test.
    """

    pairs: Callable[[str], Pairs]
    captions: Callable[[str], Texts]
    sentences: Callable[[str], Texts]


@dataclass(frozen=True)
class Options:
    """What ``run`` was given."""

    data: Data
    directory: Path
    minutes: float
    epochs: int | None
    sentences: int | None
    settings: Mapping[str, Any]
    draws: int
    most: int


def part_stsb(results: Results, options: Options) -> None:
    """Correlation of cosine and human score, as published: x 1, not x 100."""
    for split in ("dev", "test"):
        pairs = options.data.pairs(split)
        started = time.perf_counter()
        first, second = (pretrained_vectors(texts) for texts in (pairs.first, pairs.second))
        cosines = (first * second).sum(1)
        results.add(
            part="stsb",
            model="minilm",
            split=split,
            pairs=len(pairs.scores),
            spearman=float(spearmanr(cosines, pairs.scores).statistic),
            pearson=float(pearsonr(cosines, pairs.scores).statistic),
            seconds=time.perf_counter() - started,
        )


def part_captions(results: Results, options: Options) -> None:
    """Every caption of the test split asks for the other four of its image among the 4,999 others."""
    vectors = pretrained_vectors(options.data.captions("test_2016"))
    results.add(part="captions", model="minilm", split="test_2016", queries=len(vectors), **caption_retrieval(vectors))


def caption_retrieval(vectors: np.ndarray) -> dict[str, float]:
    """Recall at 1, 5 and 10 (share of the four that are among the first k; at 1 whether the first is one of them) and
    the mean average precision over all ranks, by cosine; the query itself is left out."""
    unit = torch.from_numpy(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    image = torch.arange(len(unit)) // EQUAL
    sums = {"hit@1": 0.0, "recall@5": 0.0, "recall@10": 0.0, "map": 0.0}
    for rows in torch.arange(len(unit)).split(500):
        scores = unit[rows] @ unit.T
        scores[torch.arange(len(rows)), rows] = -torch.inf
        right = (image[scores.argsort(dim=1, descending=True, stable=True)] == image[rows, None])[:, :-1]
        places = right.nonzero()[:, 1].view(len(rows), EQUAL - 1) + 1
        sums["hit@1"] += float(right[:, 0].sum())
        for k in (5, 10):
            sums[f"recall@{k}"] += float(right[:, :k].float().sum() / (EQUAL - 1))
        sums["map"] += float((torch.arange(1, EQUAL) / places).mean(1).sum())
    return {name: value / len(unit) for name, value in sums.items()}


def part_readable(results: Results, options: Options) -> None:
    """Train, or go on, and read what was held out."""
    directory: Path = options.directory
    directory.mkdir(parents=True, exist_ok=True)
    texts = training_texts(options.data)
    vectors = training_vectors(texts, directory)
    settings = options.settings
    epochs = options.epochs or checkpointed_epochs(texts, vectors, settings, directory, options.minutes)
    run = Run(
        device="cpu",
        seed=0,
        precision="bf16",
        progress=Said(),
        checkpoints=directory / "checkpoints",
        every=1,
        resume=True,
    )
    started = time.perf_counter()
    model = TextAutoencoder.fit(
        texts, "readable-embeddings", validation=0.0, gallery=False, vectors=vectors, run=run, epochs=epochs, **settings
    )
    seconds = time.perf_counter() - started
    saved = directory / "readable.bundle"
    if not saved.exists():
        model.save(saved)
    for name, held_out in held_out_texts(options.data, options.most).items():
        for line in read_back(model, held_out, texts, vectors, options.draws):
            results.add(
                part="readable",
                split=name,
                texts=len(held_out),
                epochs=epochs,
                settings=settings,
                training_texts=len(texts),
                training_seconds=_training_seconds(model),
                this_start_seconds=seconds,
                peak_mb=peak_rss() / 2**20,
                **line,
            )


def read_back(
    model: TextAutoencoder, held_out: list[str], texts: list[str], vectors: np.ndarray, draws: int
) -> list[dict[str, Any]]:
    """BLEU (0 to 100, whitespace tokens) and exact matches (0 to 1) of each way, the nearest training text first."""
    wanted = model.encode(held_out)
    ways = {
        "nearest training text": lambda: nearest_training_texts(wanted, texts, vectors),
        "greedy": lambda: model.decode(wanted, strategy="greedy"),
        "beam 5": lambda: model.decode(wanted, beams=5),
        f"beam 5 and {draws} draws, the nearest": lambda: model.decode(wanted, beams=5, draws=draws),
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


def training_texts(data: Data) -> list[str]:
    """Captions, sentences of the Web Treebank and of STS-B: training splits alone, each text once."""
    pairs = data.pairs("train")
    sentences = [*data.captions("train"), *data.sentences("train"), *pairs.first, *pairs.second]
    return [text for text in dict.fromkeys(sentences) if text.strip()]


def held_out_texts(data: Data, most: int) -> dict[str, list[str]]:
    """The test splits, sentences of at most 20 words, evenly spaced ones where there are more than ``most``."""
    pairs = data.pairs("test")
    whole = {
        "multi30k test_2016": data.captions("test_2016"),
        "ewt test": data.sentences("test"),
        "stsb test": [*pairs.first, *pairs.second],
    }
    short = {
        name: [text for text in dict.fromkeys(texts) if 0 < len(text.split()) <= LONGEST_WORDS]
        for name, texts in whole.items()
    }
    return {name: texts[:: max(1, -(-len(texts) // most))] for name, texts in short.items()}


def _training_seconds(model: TextAutoencoder) -> float:
    return History.from_json(dict(model.facts["training"])).seconds


def part_tsdae(results: Results, options: Options) -> None:
    """The unchanged encoder, and adapted to the sentences of the Web Treebank."""
    adapted(results, options.epochs or 1, options.sentences, options.data.pairs)


PARTS = {"stsb": part_stsb, "captions": part_captions, "readable": part_readable, "tsdae": part_tsdae}


def run(
    smoke: Smoke = False,
    part: Annotated[list[str] | None, typer.Option(help="Only this one; may be given several times.")] = None,
    directory: Annotated[Path, typer.Option(help="Of vectors and checkpoints.")] = Path("readable"),
    minutes: Annotated[float, typer.Option(help="Training time that the epochs are chosen for.")] = 50.0,
    epochs: Annotated[int | None, typer.Option(help="Instead of choosing them; of tsdae, 1 by default.")] = None,
    sentences: Annotated[int | None, typer.Option(help="Of tsdae: only so many of each kind.")] = None,
    settings: Annotated[str, typer.Option(help="JSON keywords of TextAutoencoder.fit.")] = json.dumps(SETTINGS),
    draws: Annotated[int, typer.Option(help="Texts drawn beside the beam's.")] = 15,
    most: Annotated[int, typer.Option(help="Held-out sentences of each kind.")] = 1000,
) -> list[Line]:
    """Each part; a smoke run takes few bundled sentences in the place of all data."""
    results = Results(NAME, smoke=smoke)
    if smoke:
        with tempfile.TemporaryDirectory() as folder:
            options = Options(Data(few_pairs, few, few), Path(folder), 0, 1, 20, TINY, 2, 5)
            for one in PARTS:
                PARTS[one](results, options)
        return results.made
    data = Data(stsb, multi30k_captions, lambda name: demo_sentences(name).texts)
    options = Options(data, directory, minutes, epochs, sentences, json.loads(settings), draws, most)
    for one in chosen(part, PARTS):
        PARTS[one](results, options)
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """A table for each part."""
    return tables.embeddings(lines)


def few(part: str) -> Texts:
    """Texts of a smoke run."""
    return demo_sentences("train" if part == "train" else "test").texts.subsample(30)


def few_pairs(part: str) -> Pairs:
    """Pairs of a smoke run."""
    texts = few(part)
    first, second = texts.select(np.arange(15)), texts.select(np.arange(15, 30))
    return Pairs(first, second, np.linspace(0, 1, 15))

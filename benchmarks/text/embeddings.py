"""Sentence embeddings on real data: all-MiniLM-L6-v2 unchanged, and decoded to text.

Parts: ``stsb`` (Spearman's correlation on the test pairs of the STS benchmark), ``captions`` (captions of Multi30k find
the other four of their image), ``readable`` (a decoder is trained on the captions of the training split, sentences of
the English Web Treebank and of STS-B, and has to write held-out sentences from their vectors alone), ``tsdae``
(denoising on a domain, plain and anchored: see ``tsdae.py``). See ``readable.py`` for its training texts.

The part ``readable`` keeps all it needs in ``--directory`` and goes on from there when it is started again; its number
of epochs follows from ``--minutes`` and the speed at its first start.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from scipy.stats import pearsonr, spearmanr

from benchmarks.harness import Line, Results, Smoke, chosen
from benchmarks.text import tables
from benchmarks.text.readable import SETTINGS, TINY, Data, Reading, readable
from benchmarks.text.tsdae import adapted
from isthmus_text.datasets import Pairs, demo_sentences, multi30k_captions, stsb
from isthmus_text.input_output import pretrained_vectors
from isthmus_text.texts import Texts

NAME = "text_embeddings"
TITLE = "Sentence embeddings"
EQUAL = 5
"""Captions of one image."""


@dataclass(frozen=True)
class Options:
    """What ``run`` was given."""

    data: Data
    epochs: int | None
    sentences: int | None
    reading: Reading


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
    """Train a decoder, or go on, and read what was held out."""
    readable(results, options.reading)


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
    texts: Annotated[Path | None, typer.Option(help="Folder that free_texts.py wrote.")] = None,
    held_out: Annotated[str, typer.Option(help="Of readable: test, or dev to choose settings.")] = "test",
    draws: Annotated[int, typer.Option(help="Texts drawn beside the beam's.")] = 15,
    corrections: Annotated[int, typer.Option(help="Rounds of corrections.")] = 4,
    most: Annotated[int, typer.Option(help="Held-out sentences of each kind.")] = 300,
) -> list[Line]:
    """Each part; a smoke run takes few bundled sentences in the place of all data."""
    results = Results(NAME, smoke=smoke, validation=held_out == "dev")
    if smoke:
        with tempfile.TemporaryDirectory() as folder:
            data = Data(few_pairs, few, few, lambda: few("train"))
            options = Options(data, 1, 20, Reading(data, Path(folder), 0, 1, TINY, None, "test", 2, 1, 5))
            for one in PARTS:
                PARTS[one](results, options)
        return results.made
    data = Data(stsb, multi30k_captions, lambda name: demo_sentences(name).texts)
    reading = Reading(data, directory, minutes, epochs, json.loads(settings), texts, held_out, draws, corrections, most)
    options = Options(data, epochs, sentences, reading)
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

"""Memory and time for preparing many lines of text, by stage.

The lines are sentences of the bundled demo in which some words are swapped for those of other sentences, so that lines
differ. They are written to a file, read, and tokenised into a store on disk.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from benchmarks.harness import Line, Results, Smoke, peak_rss, rss
from benchmarks.text import tables
from isthmus_text.adapter import TextAdapter
from isthmus_text.datasets import demo_sentences
from isthmus_text.texts import Texts
from isthmus_text.tokens.source import TokenSource
from isthmus_text.tokens.store import TokenStore

NAME = "text_preparing"
TITLE = "Preparing texts"
BLOCK = 20_000
SWAPPED = 0.2


def run(
    smoke: Smoke = False,
    lines: int = 10_000_000,
    size: Annotated[int, typer.Option(help="Of the vocabulary.")] = 8000,
    kind: Annotated[str, typer.Option(help="bpe or word.")] = "bpe",
    longest: int = 64,
    folder: Annotated[Path | None, typer.Option(help="Of the file and the store; by default temporary.")] = None,
) -> list[Line]:
    """Write the file and prepare it."""
    results = Results(NAME, smoke=smoke)
    if smoke:
        lines, size = 500, 300
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "lines.txt"
        write_lines(path, lines)
        numbers = measured(path, Path(place) / "store", kind, size, longest)
    results.add(lines=lines, kind=kind, longest=longest, **numbers)
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """A sentence for each kind of tokenizer."""
    return tables.preparing(lines)


def measured(path: Path, store_folder: Path, kind: str, size: int, longest: int) -> dict[str, Any]:
    """Seconds of each stage, sizes and memory."""
    before, seconds = rss(), {}
    start = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal start
        now = time.perf_counter()
        seconds[stage], start = round(now - start, 2), now

    texts = Texts.read(path)
    lap("read")
    adapter = TextAdapter.fit(texts, kind=kind, size=size, max_length=longest)
    lap("fit")
    after_fit = peak_rss()
    rows = (row for block in texts.blocks(size=1 << 22) for row in adapter.tokenizer.encode(block))
    store = TokenStore.write(store_folder, rows, adapter.tokenizer.vocabulary, max_length=longest)
    lap("encode")
    order = torch.randperm(len(store), generator=torch.Generator().manual_seed(0))[:64_000]
    source = TokenSource(store, longest)
    lap("open")
    for wanted in order.split(64):
        source.batch(wanted)
    lap("thousand_batches_of_64")
    return {
        "vocabulary": adapter.tokenizer.vocabulary,
        "text_mb": round(path.stat().st_size / 1e6, 1),
        "store_mb": round(sum(file.stat().st_size for file in store_folder.iterdir()) / 1e6, 1),
        "tokens": int(store.offsets[-1]),
        "truncated": store.truncated,
        "seconds": seconds,
        "before_mb": round(before / 1e6),
        "peak_after_fit_mb": round(after_fit / 1e6),
        "peak_mb": round(peak_rss() / 1e6),
    }


def write_lines(path: Path, count: int) -> None:
    """A file of that many lines; the same at every call."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for block in blocks(count):
            file.write("\n".join(block) + "\n")


def blocks(count: int) -> Iterator[list[str]]:
    sentences = [text.split() for text in demo_sentences("train").texts]
    words = np.array([word for sentence in sentences for word in sentence], dtype=object)
    generator = np.random.default_rng(0)
    for first in range(0, count, BLOCK):
        size = min(BLOCK, count - first)
        chosen = [sentences[row] for row in generator.integers(0, len(sentences), size)]
        swaps = generator.random(sum(map(len, chosen))) < SWAPPED
        others = iter(words[generator.integers(0, len(words), int(swaps.sum()))].tolist())
        swap = iter(swaps.tolist())
        yield [" ".join([next(others) if next(swap) else word for word in sentence]) for sentence in chosen]

"""What it takes to prepare many lines of text: memory and seconds, stage by stage.

    python benchmarks/text_preparing.py --lines 10000000

The lines are sentences of the bundled demo in which some words are swapped for those of other sentences, so that lines
differ. They are written to a file, read, and tokenised into a store on disk; results/text_preparing.jsonl gets a line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import peak_rss, record, rss

from isthmus_text.adapter import TextAdapter
from isthmus_text.datasets import demo_sentences
from isthmus_text.texts import Texts
from isthmus_text.tokens.source import TokenSource
from isthmus_text.tokens.store import TokenStore

BLOCK = 20_000
SWAPPED = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--size", type=int, default=8000)
    parser.add_argument("--kind", choices=("bpe", "word"), default="bpe")
    parser.add_argument("--longest", type=int, default=64)
    parser.add_argument(
        "--folder", type=Path, default=None, help="where the file and the store go; by default temporary"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        path = Path(folder) / "lines.txt"
        write_lines(path, asked.lines)
        line = measured(path, Path(folder) / "store", asked)
    print(json.dumps(record("text_preparing", **line), indent=2))


def measured(path: Path, store_folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    before, seconds = rss(), {}
    start = time.perf_counter()

    def lap(stage: str) -> None:
        nonlocal start
        now = time.perf_counter()
        seconds[stage], start = round(now - start, 2), now

    texts = Texts.read(path)
    lap("read")
    adapter = TextAdapter.fit(texts, kind=asked.kind, size=asked.size, max_length=asked.longest)
    lap("fit")
    after_fit = peak_rss()
    rows = (row for block in texts.blocks(size=1 << 22) for row in adapter.tokenizer.encode(block))
    store = TokenStore.write(store_folder, rows, adapter.tokenizer.vocabulary, max_length=asked.longest)
    lap("encode")
    order = torch.randperm(len(store), generator=torch.Generator().manual_seed(0))[:64_000]
    source = TokenSource(store, asked.longest)
    lap("open")
    for wanted in order.split(64):
        source.batch(wanted)
    lap("thousand_batches_of_64")
    return {
        "lines": asked.lines,
        "kind": asked.kind,
        "vocabulary": adapter.tokenizer.vocabulary,
        "longest": asked.longest,
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


if __name__ == "__main__":
    main()

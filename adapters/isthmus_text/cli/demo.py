"""``isthmus demo text``: train, reconstruct, interpolate, sample and search, on English sentences of the web."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from isthmus import bundle
from isthmus.cli.output import Json, emit, status, table
from isthmus.cli.progress import RichProgress
from isthmus.metrics.text import corpus_bleu, exact_match
from isthmus.training.run import Run
from isthmus_text.autoencoder import TextAutoencoder
from isthmus_text.datasets import demo_sentences
from isthmus_text.texts import Texts

VOCABULARY = 2000
SETTINGS: dict[str, Any] = {
    "form": "lstm",
    "variational": False,
    "code": 256,
    "hidden": 320,
    "dropout": 0.1,
    "tied": True,
    "epochs": 8,
    "tokens": 1024,
    "learning_rate": 3e-3,
    "decay": "cosine",
}
"""Chosen on the development sentences for a short demo: a deterministic code reconstructs most, and with tied word
vectors eight epochs do better than sixteen without."""

TRAINING_WORDS, HELD_OUT_WORDS = (2, 16), (3, 10)
"""Shortest and longest sentences in words; a code must hold more for longer ones."""

SHOWN = 8
QUERIES = ("I love this place!", "Please call me if you have any questions.", "Thanks for your help")
ENDS = ("The food was great.", "I will call you tomorrow.")


def demo(
    out: Annotated[Path, typer.Option(help="Where to save the bundle.")] = Path("sentences.bundle"),
    seed: Annotated[int, typer.Option(min=0, help="Of the model and the samples.")] = 0,
    as_json: Json = False,
) -> None:
    """Train on English sentences of the web; reconstruct held-out ones, interpolate, sample and search."""
    started = time.perf_counter()
    bundle.check_target(out)
    train, held_out = short("train", TRAINING_WORDS), short("test", HELD_OUT_WORDS)
    status(f"English Web Treebank: {len(train):,} sentences of {TRAINING_WORDS[0]} to {TRAINING_WORDS[1]} words")
    run = Run(seed=seed, progress=RichProgress())
    model = TextAutoencoder.fit(train, vocabulary=VOCABULARY, run=run, **SETTINGS)
    if model.history.interrupted:
        raise KeyboardInterrupt
    model.save(out)
    document = _document(model, held_out, out, started, seed)
    emit(document, as_json, lambda: _page(document))


def short(part: str, words: tuple[int, int]) -> Texts:
    """Distinct sentences of a part of the treebank with so many words."""
    sentences = dict.fromkeys(demo_sentences(part).texts)
    return Texts.read([text for text in sentences if words[0] <= len(text.split()) <= words[1]])


def _document(model: TextAutoencoder, held_out: Texts, out: Path, started: float, seed: int) -> dict[str, Any]:
    texts = list(held_out)
    back = model.reconstruct(texts, strategy="greedy")
    return {
        "held_out": len(texts),
        "bleu": corpus_bleu(back, texts),
        "exact": exact_match(back, texts),
        "reconstructions": [{"text": a, "reconstruction": b} for a, b in zip(texts[:SHOWN], back[:SHOWN], strict=True)],
        "interpolated": model.interpolate(*ENDS, 6),
        "sampled": model.sample(6, seed=seed, temperature=0.5),
        "found": [{"query": query, "texts": [hit.item for hit in model.search(query, 4)[0]]} for query in QUERIES],
        "path": str(out),
        "seconds": round(time.perf_counter() - started, 1),
    }


def _page(document: dict[str, Any]) -> RenderableType:
    out = document["path"]
    pairs = [(pair["text"], pair["reconstruction"]) for pair in document["reconstructions"]]
    return Group(
        table(("held-out sentence", "reconstruction"), pairs),
        Text(
            f"\n{document['held_out']:,} held-out sentences: BLEU {document['bleu']:.1f}, {document['exact']:.0%} exact"
        ),
        Text("\nfrom one sentence to another\n" + "\n".join(f"  {text}" for text in document["interpolated"])),
        Text("\nsampled\n" + "\n".join(f"  {text}" for text in document["sampled"])),
        *(
            Text(f"\nnearest to {found['query']!r}\n" + "\n".join(f"  {text}" for text in found["texts"]))
            for found in document["found"]
        ),
        Text(f"\nsaved to {out} after {document['seconds']:.0f} s; next:"),
        Text(f'  isthmus search {out} "where can I eat well?"'),
        Text(f'  isthmus interpolate {out} "The food was great." "See you tomorrow!"'),
        Text(f"  isthmus sample {out} -n 20"),
        Text("  isthmus fit text YOUR_FILE.txt --out my.bundle"),
    )

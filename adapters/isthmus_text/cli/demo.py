"""``isthmus demo text``: train, reconstruct, interpolate and search, on English sentences of the web."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from isthmus.cli.demos import Demonstration, demonstration
from isthmus.cli.output import Json, emit, status, table
from isthmus.errors import MissingLibraryError
from isthmus.index import Index
from isthmus.metrics.text import corpus_bleu, exact_match
from isthmus_text.autoencoder import TextAutoencoder
from isthmus_text.datasets import demo_sentences, wordnet_examples
from isthmus_text.input_output import pretrained_vectors
from isthmus_text.pretrained.checkpoints import minilm_folder
from isthmus_text.texts import Texts

SETTINGS: dict[str, Any] = {
    "form": "superposed",
    "variational": False,
    "code": 512,
    "hidden": 128,
    "layers": 2,
    "dropout": 0.1,
    "epochs": 1,
    "tokens": 1024,
    "learning_rate": 2e-3,
    "decay": "cosine",
}
"""For reconstruction, codes are neither sampled nor regularised. Chosen on the development sentences within the time
limit: a second epoch raises their BLEU from 93 to 96, but takes twice as long."""

TOKENS: dict[str, Any] = {"vocabulary": 4000, "max_length": 24}
"""Maximum number of tokens; one sentence in a hundred is longer."""

TRAINING_WORDS, HELD_OUT_WORDS = (2, 12), (3, 10)
"""Numbers of words of the training and the reconstructed sentences; longer sentences need larger codes."""

WORTH = 25.0
"""A BLEU below this is unusually low for these sentences, and a warning says so."""

COMMAND, EXPECTED = "isthmus demo text", "one to two minutes on two cores"
SHOWN = 8
POINTS = 101
"""Number of points on the line between two sentences."""

QUERIES = ("I love this place!", "Please call me if you have any questions.", "Thanks for your help")
MEANT = ("a place to eat", "We had to wait too long.", "How much does it cost?")
"""Queries whose answers have few words in common with them: for a search by meaning."""

ENDS = (
    ("The food was great.", "The room is small."),
    ("He went to the store.", "She works in the garden."),
    ("She bought a new car.", "They sold the old house."),
)


def demo(
    out: Annotated[Path, typer.Option(help="Where to save the bundle.")] = Path("sentences.bundle"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of the model.")] = 0,
    as_json: Json = False,
) -> None:
    """Train on English sentences, reconstruct held-out ones, interpolate and search."""
    with demonstration(COMMAND, out) as run:
        train = sentences()
        run.announce(f"{len(train):,} English sentences of at most {TRAINING_WORDS[1]} words", EXPECTED)
        model = run.train(lambda: TextAutoencoder.fit(train, seed=seed, **TOKENS, **SETTINGS), SETTINGS["epochs"])
        document = _document(model, held_out("test", set(train)), run)
        emit(document, as_json, lambda: _page(document))


def sentences() -> Texts:
    """The training data: short sentences of the treebank's training part, and usage examples of WordNet."""
    examples = (text for text in wordnet_examples() if _fits(text, TRAINING_WORDS))
    return Texts.read([*_short("train", TRAINING_WORDS), *examples])


def held_out(part: str, seen: Collection[str]) -> list[str]:
    """Distinct short sentences of a part of the treebank that were not trained on."""
    return [text for text in _short(part, HELD_OUT_WORDS) if text not in seen]


def _short(part: str, words: tuple[int, int]) -> list[str]:
    return [text for text in dict.fromkeys(demo_sentences(part).texts) if _fits(text, words)]


def _fits(text: str, words: tuple[int, int]) -> bool:
    return words[0] <= len(text.split()) <= words[1]


def _document(model: TextAutoencoder, texts: list[str], run: Demonstration) -> dict[str, Any]:
    back = model.reconstruct(texts, strategy="greedy")
    interpolated = [{"ends": list(ends), "texts": between(model, *ends)} for ends in ENDS]
    bleu = corpus_bleu(back, texts)
    return {
        "held_out": len(texts),
        "bleu": bleu,
        "exact": exact_match(back, texts),
        "reconstructions": [{"text": a, "reconstruction": b} for a, b in zip(texts[:SHOWN], back[:SHOWN], strict=True)],
        "interpolated": interpolated,
        "found": [{"query": query, "texts": [hit.item for hit in model.search(query, 4)[0]]} for query in QUERIES],
        "found_by_meaning": by_meaning(MEANT),
        "warnings": _warnings(bleu, interpolated),
        "path": str(run.out),
        "seconds": run.seconds,
    }


def between(model: TextAutoencoder, first: str, last: str) -> list[str]:
    """The different texts on the straight line between the codes of two texts, in order.

    A code contains words at their positions, and each position changes when the second word outweighs the first. Most
    of this happens near the middle of the line, so many points are needed to see it.
    """
    return [text for text, _ in groupby(model.interpolate(first, last, POINTS))]


def by_meaning(queries: Sequence[str]) -> list[dict[str, Any]] | None:
    """The sentences of the treebank nearest to each query by all-MiniLM-L6-v2; None without the extra ``minilm``."""
    try:
        minilm_folder()
    except MissingLibraryError:
        return None
    texts = _short("train", TRAINING_WORDS)
    status(f"encoding {len(texts):,} sentences with all-MiniLM-L6-v2")
    index = Index.build(pretrained_vectors(texts), metric="cosine")
    found = index.search(pretrained_vectors(queries), 4)
    return [
        {"query": query, "texts": [texts[int(row)] for row in near.ids]}
        for query, near in zip(queries, found, strict=True)
    ]


def _warnings(bleu: float, interpolated: list[dict[str, Any]]) -> list[str]:
    """Poor results, and what to change."""
    found = []
    if bleu < WORTH:
        found.append(f"sentences are not reconstructed (BLEU {bleu:.1f}): fit for more epochs, or on more texts")
    lost = [one for one in interpolated if [one["texts"][0], one["texts"][-1]] != one["ends"]]
    if lost:
        found.append(
            "an interpolation does not begin and end with its sentences, so the texts between them are not meaningful"
        )
    return found


def _page(document: dict[str, Any]) -> RenderableType:
    out = document["path"]
    pairs = [(pair["text"], pair["reconstruction"]) for pair in document["reconstructions"]]
    return Group(
        table(("held-out sentence", "reconstruction"), pairs),
        Text(
            f"\n{document['held_out']:,} held-out sentences: BLEU {document['bleu']:.1f}, {document['exact']:.0%} exact"
        ),
        *(Text("\n".join(["\ninterpolation", *_indented(line["texts"])])) for line in document["interpolated"]),
        *_searches(document["found"], "by its words, of which rare ones count more"),
        *_searches(document["found_by_meaning"] or (), "by meaning (all-MiniLM-L6-v2)"),
        *([] if document["found_by_meaning"] else [Text('\nsearch by meaning: pip install "isthmus[minilm]"')]),
        *(Text(f"\nwarning: {warning}") for warning in document["warnings"]),
        Text(f"\nsaved to {out} after {document['seconds']:.0f} s; next:"),
        Text(f'  isthmus search {out} "Let me know what you think."'),
        Text(f'  isthmus interpolate {out} "The food was great." "See you tomorrow!"'),
        Text("  isthmus fit text YOUR_FILE.txt --out my.bundle"),
    )


def _searches(found: Sequence[dict[str, Any]], how: str) -> Iterator[Text]:
    for one in found:
        yield Text("\n".join([f"\nnearest to {one['query']!r}, {how}", *_indented(one["texts"])]))


def _indented(texts: list[str]) -> list[str]:
    return [f"  {text}" for text in texts]

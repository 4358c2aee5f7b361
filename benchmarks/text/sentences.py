"""What do the two models for sentences do after minutes of training? One writes back and searches, the other draws.

``TextAutoencoder.fit(texts)`` with no settings (``sequence-autoencoder``), and ``sequence-vae`` as an LSTM and as a
Transformer, on captions of photographs (multi30k: 145,000 for training, or fewer with ``--texts``, of which each model
holds a tenth out, 2,000 at most). Settings were chosen on the validation captions; these are the 5,000 test captions.

- Written back: BLEU (whitespace tokens, beam search) and share of exact matches of 1,000 captions, the longest of
  every image (18 words on average; all captions 12).
- Between two: captions at 3/10 and at the middle of the line between the codes of 250 pairs of them; the perplexity of
  a word by an n-gram model (trigrams, Kneser-Ney, trained on the same 145,000 captions), and the share that is the end
  itself.
- Search: recall@10 of the four other captions of the same image among all 5,000, by what ``search`` compares and by
  cosines of the codes; and the cosines of random pairs, mean ± standard deviation.
- Drawn: 500 captions by ``sample``; perplexity by the n-gram model, and BLEU with the others as references (self-BLEU),
  beside 500 real test captions. Both should be as in real text.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
import typer

from benchmarks.harness import Line, Results, Smoke, chosen
from benchmarks.progress import Said
from benchmarks.text import tables
from benchmarks.text.samples import Trigrams, self_bleu
from isthmus_text import TextAutoencoder
from isthmus_text.datasets import demo_sentences, multi30k_captions
from isthmus_text.texts import Texts

NAME = "text_sentences"
TITLE = "Sentences written back, searched and drawn"

METHODS: Mapping[str, Mapping[str, Any]] = {
    "sequence-autoencoder": {},
    "sequence-vae": {"form": "lstm"},
    "sequence-vae, Transformer": {},
}
"""What is told to ``fit`` besides ``--epochs``; the model is the name up to the comma. The Transformer is the default
of the variational one, and takes four times as long."""

CAPTIONS = 5
PAIRS, DRAWN, PLACES = 250, 500, (0.3, 0.5)
SMOKE: Mapping[str, Any] = {"hidden": 16, "code": 8, "layers": 1, "epochs": 1, "vocabulary": 300}
"""Of a smoke run, over the bundled sentences."""

Array = npt.NDArray[np.float32]


def run(
    smoke: Smoke = False,
    method: Annotated[list[str] | None, typer.Option(help="Only this one; may be given several times.")] = None,
    texts: Annotated[int, typer.Option(help="Captions to train on, evenly spaced.")] = 145_000,
    epochs: Annotated[int | None, typer.Option(help="Others than fit takes for so many texts.")] = None,
    validate: Annotated[bool, typer.Option(help="Ask the validation captions; nothing is kept.")] = False,
    directory: Annotated[Path | None, typer.Option(help="Where bundles go; none are kept without it.")] = None,
) -> list[Line]:
    """Train and measure each model."""
    results = Results(NAME, smoke=smoke, validation=validate)
    torch.set_num_threads(1)
    if smoke:
        train, test = demo_sentences().texts.subsample(300), demo_sentences("test").texts.subsample(60)
    else:
        train, test = multi30k_captions(), multi30k_captions("val" if validate else "test_2016")
    judge = Trigrams(train)
    read, few = train.subsample(texts), min(DRAWN, len(test) // 2)
    # Evenly spaced rows would all be the longest caption of an image.
    real = list(test.select(np.random.default_rng(0).permutation(len(test))[:few]))
    results.add(method="real text", texts=len(train), **judged(judge, real), judge_texts=len(train))
    for name in chosen(method, METHODS):
        settings = dict(SMOKE if smoke else METHODS[name]) | ({} if epochs is None else {"epochs": epochs})
        out = None if directory is None else directory / f"{name.replace(', ', '-')}-{len(read)}"
        results.add(
            method=name, texts=len(read), told=settings, **measured(name, settings, read, test, judge, few, out)
        )
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """Written back, between, found and drawn."""
    return tables.sentences(lines)


def measured(
    name: str, settings: Mapping[str, Any], train: Texts, test: Texts, judge: Trigrams, few: int, out: Path | None
) -> dict[str, Any]:
    """Train a model and ask it everything."""
    wall, work = time.perf_counter(), time.process_time()
    model = TextAutoencoder.fit(train, name.split(",")[0], progress=Said(), **settings)
    wall, work = time.perf_counter() - wall, time.process_time() - work
    if out is not None:
        model.save(out)
    found = model.evaluate(test)
    return {
        "settings": dict(model.settings),
        "vocabulary": model.adapter.output.tokenizer.vocabulary,
        "weights": sum(weight.numel() for weight in model.model.parameters()),
        "fit_cpu_seconds": round(work, 1),
        "fit_seconds": round(wall, 1),
        "training_seconds": round(model.history.seconds, 1),
        "threads": torch.get_num_threads(),
        "best_epoch": model.history.best_epoch,
        "compared": found.compared,
        "bleu": found.bleu,
        "exact": found.exact,
        "rate": found.rate,
        **between(model, list(test), judge),
        **searched(model, test),
        **judged(judge, model.sample(few, seed=0)),
    }


def judged(judge: Trigrams, texts: Sequence[str]) -> dict[str, Any]:
    """Texts by the outside model and among themselves."""
    return {"drawn": len(texts), "perplexity": judge.perplexity(texts), "self_bleu": self_bleu(texts)}


def between(model: TextAutoencoder, texts: Sequence[str], judge: Trigrams) -> dict[str, Any]:
    """Texts on the line between the codes of two, of pairs that are far from each other in the file."""
    pairs = min(PAIRS, len(texts) // 2)
    step = len(texts) // (2 * pairs)
    chosen_texts = list(texts)[:: max(1, step)][: 2 * pairs]
    codes = model.encode(chosen_texts)
    first, last = codes[:pairs], codes[pairs:]
    ends = model.decode(first), model.decode(last)
    found: dict[str, Any] = {"pairs": pairs, "perplexity_of_ends": judge.perplexity([*ends[0], *ends[1]])}
    for place in PLACES:
        written = model.decode(first + np.float32(place) * (last - first))
        same = [text in two for text, two in zip(written, zip(*ends, strict=True), strict=True)]
        found[f"perplexity_at_{place}"] = judge.perplexity(written)
        found[f"ends_at_{place}"] = float(np.mean(same))
    return found


def searched(model: TextAutoencoder, test: Texts) -> dict[str, Any]:
    """Recall of the captions of the same image, and cosines of random pairs."""
    codes = model.encode(test)
    asked = model.with_gallery(test, codes=codes)
    keys = asked._layout().keys(asked.fitted)
    vectors = {"codes": codes} if keys is None else {"codes": codes, "search": keys.gallery.codes.numpy()}
    found: dict[str, Any] = {}
    for name, rows in vectors.items():
        unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        half = len(unit) // 2
        cosines = (unit[:half] * unit[half : 2 * half]).sum(1)
        found |= {
            f"recall_at_10_by_{name}": recall(unit),
            f"cosine_by_{name}": float(cosines.mean()),
            f"spread_by_{name}": float(cosines.std()),
        }
    return found


def recall(unit: Array, k: int = 10) -> float:
    """The share of the four other captions of an image among the ``k`` nearest of each caption."""
    hits = 0
    for start in range(0, len(unit), 500):
        scores = unit[start : start + 500] @ unit.T
        rows = np.arange(start, start + len(scores))
        scores[np.arange(len(scores)), rows] = -np.inf
        near = np.argpartition(-scores, min(k, scores.shape[1] - 1), axis=1)[:, :k]
        hits += int((near // CAPTIONS == rows[:, None] // CAPTIONS).sum())
    return hits / (len(unit) * (CAPTIONS - 1))

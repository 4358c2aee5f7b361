"""Which cure of posterior collapse writes the Penn Treebank best? The sizes of Li et al. (EMNLP 2019).

    python benchmarks/text_vae.py --directory FOLDER              # 90 minutes a method; goes on if interrupted
    python benchmarks/text_vae.py --directory FOLDER --reduced    # fewer sentences, narrower, 3 minutes a method
    python benchmarks/text_vae.py --directory FOLDER --method batch-norm

An LSTM of 256 with embeddings of 256, every type of the training file, a code of 32; 42,068, 3,370 and 3,761 sentences.
The best epoch is chosen by the evidence lower bound on the validation sentences. Of the test sentences: the
importance-weighted negative log-likelihood (nats a sentence; products in bf16 where the machine multiplies it in
hardware, which moved the mean of 60 sentences by .006), the perplexity of a word (the end of a sentence counts as
one, as usual), the rate, the mutual information over the whole set (at most ln 3,761 = 8.23), and the active units at
0.01 and 0.2.

Published there: 100.23 nats, perplexity 96.86, mutual information 5.31, 32 active units (autoencoder start and free
bits); the language model without a code has 100.5. They trained with SGD; here it is Adam.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from common import record
from result_lines import lines
from text_embeddings_run import Said

from isthmus.metrics.text import perplexity
from isthmus.models.sequence_vae import sequence_vae
from isthmus.tasks.collapse import diagnose
from isthmus.training.run import Run
from isthmus_text.adapter import TextAdapter
from isthmus_text.datasets import ptb
from isthmus_text.evaluate import weighted_nll
from isthmus_text.texts import Texts
from isthmus_text.validation import HeldOutMonitor

NAME = "text_vae"
METHODS: Mapping[str, Mapping[str, Any]] = {
    "no cure": {"collapse": "none", "annealing": "linear"},
    "cyclical": {"collapse": "none", "annealing": "cyclical", "ramp": 0.5},
    "batch-norm": {"collapse": "batch-norm", "scale": 0.6},
    "batch-norm 0.7": {"collapse": "batch-norm", "scale": 0.7},
    "autoencoder start, free bits": {"collapse": "free-bits", "free_bits": 0.25},
    "autoencoder start, free bits, tied": {"collapse": "free-bits", "free_bits": 0.25, "tied": True},
}
LSTM = {"form": "lstm", "pooling": "last", "code": 32, "encoder_dropout": 0.0, "tokens": 1024, "decay": "cosine"}
RATE = {"learning_rate": 3e-3}
"""Chosen on the validation sentences. Two epochs of 14,000 sentences at 0.001, 0.004, 0.01 and 0.02 leave a language
model at 134.6, 125.0, 122.5 and 125.0 nats; but codes hold more at small steps: with batch norm at 0.7 the mutual
information after seven epochs of all sentences is 6.2 nats at 0.001 and 3.9 at 0.006."""

WHOLE = {"sentences": 42_068, "test": 3_761, "samples": 500, "hidden": 256, "dropout": 0.5, "epochs": 24, "start": 4}
REDUCED = {"sentences": 10_000, "test": 1_000, "samples": 50, "hidden": 128, "dropout": 0.3, "epochs": 10, "start": 4}
LONGEST = 100

logger = logging.getLogger(NAME)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, required=True, help="where checkpoints go")
    parser.add_argument("--method", action="append", choices=METHODS, help="only these")
    parser.add_argument("--reduced", action="store_true")
    parser.add_argument("--sentences", type=int, help="even fewer, to try the script")
    parser.add_argument("--epochs", type=int, help="others than 24, or 10 of the reduced setting")
    parser.add_argument("--start", type=int, help="epochs of the autoencoder before, others than 4")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    sizes = dict(REDUCED if given.reduced else WHOLE)
    sizes |= {name: value for name in ("epochs", "start") if (value := getattr(given, name)) is not None}
    if given.sentences:
        sizes |= {"sentences": given.sentences, "test": min(sizes["test"], given.sentences), "samples": 10, "epochs": 2}
    for method in given.method or METHODS:
        key = {"method": method, "sizes": sizes, "seed": given.seed, "settings": settings_of(method, sizes)}
        if any(all(line[name] == value for name, value in key.items()) for line in lines(NAME)):
            logger.info("%s has a line", method)
            continue
        done = record(NAME, **key, **measured(**key, directory=given.directory))
        logger.info("%s: %s", method, {name: done[name] for name in ("weighted_nll", "perplexity", "rate", "active")})


def settings_of(method: str, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of ``sequence_vae``."""
    settings = {**LSTM, **RATE, **METHODS[method], **{name: sizes[name] for name in ("hidden", "dropout", "epochs")}}
    return settings | ({"pretraining": sizes["start"]} if method.startswith("autoencoder") else {})


def measured(
    method: str, sizes: Mapping[str, Any], seed: int, settings: Mapping[str, Any], directory: Path
) -> dict[str, Any]:
    """Train, or go on, and measure on the test sentences."""
    train = ptb("train").subsample(sizes["sentences"])
    adapter = TextAdapter.fit(train, kind="word", size=1_000_000, max_length=LONGEST)
    place = directory / f"{method.replace(' ', '-').replace(',', '')}-{sizes['sentences']}-{seed}"
    run = Run(seed=seed, progress=Said(), checkpoints=place, every=1, resume=True)
    recipe = sequence_vae(adapter.signal, generator=run.generator(), **settings)
    watch = HeldOutMonitor(adapter.prepare(ptb("valid")), run)
    history = recipe.fit(adapter.prepare(train), run, watch.validation())
    model = recipe.model.cpu().eval()
    test: Texts = ptb("test").subsample(sizes["test"])
    source = adapter.prepare(test)
    tokens = int(source.lengths.sum())
    found = diagnose(model, source, generator=torch.Generator().manual_seed(seed))
    weighted = weighted_nll(model, source, sizes["samples"], seed, Run(device="cpu", progress=Said()))
    return {
        "vocabulary": adapter.tokenizer.vocabulary,
        "test_sentences": len(test),
        "test_tokens": tokens,
        "weighted_nll": weighted,
        "perplexity": perplexity(weighted * len(test), tokens),
        "bound": found.nll + found.rate,
        "nll": found.nll,
        "rate": found.rate,
        "mutual_information": found.information.nats,
        "active": found.active,
        "clearly_active": found.clearly_active,
        "best_epoch": history.best_epoch,
        "training_seconds": round(history.seconds, 1),
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    main()

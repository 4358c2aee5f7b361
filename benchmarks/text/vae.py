"""Which remedy for posterior collapse models the Penn Treebank best? Sizes are those of Li et al. (EMNLP 2019).

With ``--directory`` for checkpoints a run goes on where it was interrupted: 90 minutes a method, half of it with a
softmax over few words, or 3 with ``--reduced``, which takes fewer sentences and a narrower network.

An LSTM of 256 with embeddings of 256, every type of the training file, a code of 32; 42,068, 3,370 and 3,761 sentences.
The best epoch is chosen by the evidence lower bound on the validation sentences. Of the test sentences: the
importance-weighted negative log-likelihood (nats per sentence; products in bf16 where the machine multiplies it in
hardware, which moved the mean of 60 sentences by .006), the perplexity of a word (the end of a sentence counts as
one, as usual), the rate, the mutual information over the whole set (at most ln 3,761 = 8.23), and the active units at
0.01 and 0.2. Of lines that have them: the likelihood under a mixture of Gaussians in place of N(0, 1), fitted to draws
from the posteriors of the training sentences, from the same importance samples; a model without a code, whose
likelihood is exact.

Published there: 100.23 nats, perplexity 96.86, mutual information 5.31, 32 active units (autoencoder start and free
bits); the language model without a code has 100.5. They trained with SGD; here each line says which optimiser it had.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

from benchmarks.harness import Line, Results, Smoke, chosen
from benchmarks.progress import Said
from benchmarks.text import tables
from benchmarks.text.language_model import language_model
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.priors.fitted_mixture import FittedMixture
from isthmus.metrics.text import perplexity
from isthmus.models.sequence_vae import sequence_vae
from isthmus.protocols import Source
from isthmus.tasks.collapse import diagnose
from isthmus.training.batching import by_length
from isthmus.training.run import Run
from isthmus_text.adapter import TextAdapter
from isthmus_text.datasets import demo_sentences, ptb
from isthmus_text.evaluate import weighted_nlls_under
from isthmus_text.texts import Texts
from isthmus_text.validation import HeldOutMonitor

NAME = "text_vae"
TITLE = "Remedies for posterior collapse, Penn Treebank"
WITHOUT = "language model without a code"
SAMPLED = {"negatives": 512, "exact": 0}
"""A softmax over 512 words in training: on 10,000 sentences, the validation loss of a language model is the same before
and after a last epoch with all words (119.52 and 119.51 nats)."""

SGD = {"optimizer": "sgd", "learning_rate": 1.0, **SAMPLED}
METHODS: Mapping[str, Mapping[str, Any]] = {
    "no cure": {"collapse": "none", "annealing": "linear"},
    "cyclical": {"collapse": "none", "annealing": "cyclical", "ramp": 0.5},
    "batch-norm": {"collapse": "batch-norm", "scale": 0.6},
    "batch-norm 0.7": {"collapse": "batch-norm", "scale": 0.7},
    "autoencoder start, free bits": {"collapse": "free-bits", "free_bits": 0.25},
    "autoencoder start, free bits, tied": {"collapse": "free-bits", "free_bits": 0.25, "tied": True},
    "autoencoder start, free bits, tied, SGD": {"collapse": "free-bits", "free_bits": 0.25, "tied": True, **SGD},
    "autoencoder start, free bits, tied, SGD for the decoder": {
        "collapse": "free-bits",
        "free_bits": 0.25,
        "tied": True,
        **SGD,
        "optimizer": "mixed",
    },
    WITHOUT: {"tied": True, "optimizer": "adam", "learning_rate": 4e-3, **SAMPLED},
    f"{WITHOUT}, SGD": {"tied": True, **SGD},
}
LSTM = {"form": "lstm", "pooling": "last", "code": 32, "encoder_dropout": 0.0, "tokens": 1024, "decay": "cosine"}
RATE = {"learning_rate": 3e-3}
"""Chosen on the validation sentences. Two epochs of 14,000 sentences at 0.001, 0.004, 0.01 and 0.02 leave a language
model at 134.6, 125.0, 122.5 and 125.0 nats; but codes hold more at small steps: with batch norm at 0.7 the mutual
information after seven epochs of all sentences is 6.2 nats at 0.001 and 3.9 at 0.006."""

WHOLE = {"sentences": 42_068, "test": 3_761, "samples": 500, "hidden": 256, "dropout": 0.5, "epochs": 24, "start": 4}
REDUCED = {"sentences": 10_000, "test": 1_000, "samples": 50, "hidden": 128, "dropout": 0.3, "epochs": 10, "start": 4}
TINY: Mapping[str, Any] = {
    "sentences": 60,
    "test": 20,
    "samples": 2,
    "hidden": 16,
    "dropout": 0.3,
    "epochs": 2,
    "start": 1,
}
"""Of a smoke run, over the bundled sentences."""

LONGEST = 100
COMPONENTS = (1, 10, 30)
"""Sizes of the mixture that is fitted to codes after training."""
OF_CODES = ("form", "pooling", "code", "encoder_dropout")
"""Settings of sequence VAEs that a language model does not have."""

Read = Callable[[str], Texts]
"""The sentences of a part: train, valid or test."""


def run(
    smoke: Smoke = False,
    directory: Annotated[Path, typer.Option(help="Where checkpoints go.")] = Path("text_vae"),
    method: Annotated[list[str] | None, typer.Option(help="Only this one; may be given several times.")] = None,
    reduced: Annotated[bool, typer.Option("--reduced", help="Fewer sentences, a narrower network.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Others than 24, or 10 of the reduced setting.")] = None,
    start: Annotated[int | None, typer.Option(help="Epochs of the autoencoder before, others than 4.")] = None,
    samples: Annotated[int | None, typer.Option(help="Importance samples, others than 500.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Others than 0.5, or 0.3 of the reduced setting.")] = None,
    seed: int = 0,
) -> list[Line]:
    """Every method that has no line yet."""
    results = Results(NAME, smoke=smoke)
    sizes = dict(REDUCED if reduced else WHOLE)
    others = {"epochs": epochs, "start": start, "samples": samples, "dropout": dropout}
    sizes |= {name: value for name, value in others.items() if value is not None}
    if smoke:
        with tempfile.TemporaryDirectory() as folder:
            return _all(results, ["autoencoder start, free bits", WITHOUT], TINY, 0, Path(folder), _few)
    return _all(results, chosen(method, METHODS), sizes, seed, directory, ptb)


def _all(
    results: Results, methods: list[str], sizes: Mapping[str, Any], seed: int, directory: Path, read: Read
) -> list[Line]:
    for method in methods:
        key: dict[str, Any] = {"method": method, "sizes": sizes, "seed": seed, "settings": settings_of(method, sizes)}
        if not results.find(**key):
            results.add(**key, **measured(**key, directory=directory, read=read))
    return results.made


def _few(part: str) -> Texts:
    return demo_sentences({"valid": "dev"}.get(part, part)).texts.subsample(TINY["sentences"])


def table(lines: Sequence[Line]) -> list[str]:
    """A table for each number of sentences."""
    return tables.collapse(lines)


def settings_of(method: str, sizes: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords of ``sequence_vae``, or of ``language_model``."""
    settings = {**LSTM, **RATE, **METHODS[method], **{name: sizes[name] for name in ("hidden", "dropout", "epochs")}}
    if method.startswith(WITHOUT):
        return {name: value for name, value in settings.items() if name not in OF_CODES}
    return settings | ({"pretraining": sizes["start"]} if method.startswith("autoencoder") else {})


def measured(
    method: str, sizes: Mapping[str, Any], seed: int, settings: Mapping[str, Any], directory: Path, read: Read
) -> dict[str, Any]:
    """Train, or go on, and measure on the test sentences."""
    train = read("train").subsample(sizes["sentences"])
    adapter = TextAdapter.fit(train, kind="word", size=1_000_000, max_length=LONGEST)
    place = directory / f"{method.replace(' ', '-').replace(',', '')}-{sizes['sentences']}-{seed}"
    run = Run(seed=seed, progress=Said(), checkpoints=place, every=1, resume=True)
    generator = run.generator()
    recipe = (
        language_model(adapter.signal, settings, generator=generator)
        if method.startswith(WITHOUT)
        else sequence_vae(adapter.signal, generator=generator, **settings)
    )
    rows = adapter.prepare(train)
    watch = HeldOutMonitor(adapter.prepare(read("valid")), run)
    history = recipe.fit(rows, run, watch.validation())
    model = recipe.model.cpu().eval()
    test: Texts = read("test").subsample(sizes["test"])
    source = adapter.prepare(test)
    tokens = int(source.lengths.sum())
    numbers = (
        _language(model, source)
        if method.startswith(WITHOUT)
        else _coded(model, (rows, watch.source, source), sizes["samples"], seed)
    )
    per_word = {
        name.replace("weighted_nll", "perplexity"): perplexity(nats * len(test), tokens)
        for name, nats in numbers.items()
        if name.startswith("weighted_nll")
    }
    return {
        "vocabulary": adapter.tokenizer.vocabulary,
        "test_sentences": len(test),
        "test_tokens": tokens,
        **numbers,
        **per_word,
        "best_epoch": history.best_epoch,
        "best_validation": history.best_score,
        "training_seconds": round(history.seconds, 1),
        "threads": torch.get_num_threads(),
    }


def _language(model: Autoencoder, source: Source) -> dict[str, Any]:
    """Of a model without a code, whose likelihood is exact."""
    watch = HeldOutMonitor(source, Run(device="cpu"))
    watch.score(model)
    return {"weighted_nll": watch.metrics()["held_out_nll"], "rate": 0.0, "mutual_information": 0.0, "active": 0}


def _coded(model: Autoencoder, parts: tuple[Source, Source, Source], samples: int, seed: int) -> dict[str, Any]:
    """Of a model with a code: under its own prior, and under a mixture that is fitted to codes. The parts are the
    sentences for training, validation and test."""
    train, valid, test = parts
    found = diagnose(model, test, generator=torch.Generator().manual_seed(seed))
    mixture = fitted_prior(drawn_codes(model, train, seed), drawn_codes(model, valid, seed + 1), seed)
    priors = (None, mixture.log_prob)
    own, fitted = weighted_nlls_under(model, test, priors, samples, seed, Run(device="cpu", progress=Said())).mean(1)
    return {
        "weighted_nll": float(own),
        "weighted_nll_fitted_prior": float(fitted),
        "components": len(mixture.weights),
        "bound": found.nll + found.rate,
        "nll": found.nll,
        "rate": found.rate,
        "mutual_information": found.information.nats,
        "active": found.active,
        "clearly_active": found.clearly_active,
    }


def fitted_prior(train: Tensor, valid: Tensor, seed: int) -> FittedMixture:
    """Of the mixtures of some sizes, the one that gives held-out codes the highest density."""
    generator = Run(seed=seed).generator(stream=3)
    sizes = [size for size in COMPONENTS if size <= len(train)]
    fits = [FittedMixture.fit(train, size, generator=generator) for size in sizes]
    return max(fits, key=lambda fit: float(fit.log_prob(valid).mean()))


@torch.no_grad()
def drawn_codes(model: Autoencoder, source: Source, seed: int) -> Tensor:
    """One draw from the posterior of each sentence, in no particular order. The noise is not that of the importance
    samples, which have the same seed."""
    noise, parts = Run(seed=seed).generator(stream=4), []
    for rows in by_length(source.lengths, 8192):
        with Run(device="cpu").products():
            parts.append(model.encode(source.batch(rows).inputs, generator=noise).sample.float())
    return torch.cat(parts)

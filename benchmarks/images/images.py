"""How much of an image is left in a few numbers, how well is noise removed, and how good are new images?

Parts, all of Fashion-MNIST: ``reduction`` (error and 5-NN accuracy of codes, beside PCA), ``denoising`` (σ = .1, .25,
.5; linear optimum 24.47, 20.18, 17.73 dB) and ``generation`` (NLL, and Fréchet distances of samples).

What has a line already is not done again. ``--validate`` asks the last 6,000 training images instead of the test
images, which settings were chosen by.

Noise is NumPy's ``default_rng(0)`` over all test images, not cut; dB are means over images, each cut to 0 to 1. The
Fréchet distance is taken over 10,000 samples and the test images, in the last hidden layer (64 numbers) of a classifier
that was trained on the training images with seed 0 (``generation.py``); it compares with nothing elsewhere.
NLL is that of dynamically binarised images: drawn anew in training, with seed 0 for the test, S importance samples.
``--rival-python`` names an environment with pythae, whose models with equal layers then stand beside ours.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
import typer

from benchmarks.harness import Line, Results, Smoke, chosen
from benchmarks.images.common import CONV, SEED, Data, Work, run_of, trained
from benchmarks.images.samples import generation
from benchmarks.images.tables import parts
from benchmarks.processes import Python, available
from isthmus.index.exact.searcher import ExactSearcher
from isthmus_images import ImageAutoencoder

NAME = "images"
TITLE = "Codes, noise and new images of Fashion-MNIST"
PARTS = ("reduction", "denoising", "generation")
CODES = (2, 4, 8, 16, 32, 64)
NOISES = (0.1, 0.25, 0.5)


def reduction(data: Data, epochs: int, codes: Sequence[int]) -> Iterator[tuple[Line, Work]]:
    """Errors of reconstruction, and how often the five nearest codes know the label."""
    for code in codes:
        yield {"method": "pca", "code": code}, lambda code=code: _pca(data, code)
        about = {"method": "vanilla", "code": code, "epochs": epochs}
        yield about, lambda code=code: _vanilla(data, code, epochs)


def denoising(data: Data, epochs: int) -> Iterator[tuple[Line, Work]]:
    """dB without the noise."""
    for noise in NOISES:
        for model, own in (("denoising", {"code": 256, "level": noise}), ("residual_denoiser", _restoring(noise))):
            settings = {**CONV, **own, "epochs": epochs}

            def work(model: str = model, settings: Line = settings, noise: float = noise) -> Line:
                fitted = ImageAutoencoder.fit(data.train, model, run=run_of(), **settings)
                found = fitted.evaluate(data.test, noise=noise, seed=SEED)
                return {"noisy_psnr": found.noisy_psnr, "psnr": found.denoised_psnr, **trained(fitted)}

            yield {"method": model, "noise": noise, "settings": settings}, work


def _pca(data: Data, code: int) -> Line:
    train, test = (some.array().reshape(len(some), -1).astype(np.float64) for some in (data.train, data.test))
    mean = train.mean(0)
    axes = np.linalg.eigh(np.cov(train, rowvar=False))[1][:, ::-1][:, :code]
    known, asked = (train - mean) @ axes, (test - mean) @ axes
    error = float(np.square(asked @ axes.T + mean - test).mean())
    return {"mse": error, "accuracy": _neighbours(data, known.astype(np.float32), asked.astype(np.float32))}


def _vanilla(data: Data, code: int, epochs: int) -> Line:
    model = ImageAutoencoder.fit(data.train, "vanilla", code=code, epochs=epochs, run=run_of(), **CONV)
    found = model.evaluate(data.test)
    accuracy = _neighbours(data, model.encode(data.train), model.encode(data.test))
    return {"mse": found.mse, "psnr": found.psnr, "accuracy": accuracy, **trained(model)}


def _neighbours(data: Data, known: npt.NDArray[np.float32], asked: npt.NDArray[np.float32]) -> float:
    """The share of images whose label most of the five nearest have; of equal counts the one of the nearest."""
    near = ExactSearcher.build(torch.from_numpy(known), "l2").search(torch.from_numpy(asked), 5).rows.numpy()
    labels = np.array(data.train.labels)[near]
    counts = (labels[:, :, None] == labels[:, None, :]).sum(2)
    guesses = labels[np.arange(len(labels)), counts.argmax(1)]
    return float((guesses == np.array(data.test.labels)).mean())


def _restoring(noise: float) -> Line:
    return {"low": noise, "high": noise, "filters": 32, "depth": 10, "shrink": 2}


def run(
    smoke: Smoke = False,
    part: Annotated[list[str] | None, typer.Option(help="reduction, denoising or generation; all by default.")] = None,
    epochs: int = 20,
    codes: Annotated[list[int] | None, typer.Option(help="Of reduction: 2, 4, 8, 16, 32 and 64 by default.")] = None,
    validate: Annotated[bool, typer.Option("--validate", help="Ask the last 6,000 training images.")] = False,
    rival_python: Python = None,
) -> list[Line]:
    """Measure what has no line yet; with ``rival_python`` the models of pythae 0.1.2 too."""
    results = Results(NAME, smoke=smoke)
    if smoke:
        epochs, codes, validate = 1, [2], False
    data = Data(validate, smoke)
    rival = rival_python if rival_python is None or available(rival_python, "pythae", smoke=smoke) else None
    works = {
        "reduction": lambda: reduction(data, epochs, codes or CODES),
        "denoising": lambda: denoising(data, epochs),
        "generation": lambda: generation(data, epochs, rival),
    }
    for one in chosen(part, PARTS):
        for about, work in works[one]():
            key = {"part": one, **about, **({"validated": True} if validate else {})}
            if not results.find(**key):
                started = time.perf_counter()
                results.add(**key, **work(), total_seconds=round(time.perf_counter() - started, 1))
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """A table for each part."""
    return parts(lines)

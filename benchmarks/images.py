"""How much of an image is left in a few numbers, how well is noise taken away, and how good are images that never were?

    python benchmarks/images.py reduction      # Fashion-MNIST: error and 5-NN accuracy of codes, beside PCA
    python benchmarks/images.py denoising      # Fashion-MNIST, σ = .1, .25, .5; linear optimum 24.47, 20.18, 17.73 dB
    python benchmarks/images.py generation     # Fashion-MNIST: NLL, and Fréchet distances of samples
    python benchmarks/images.py PART --smoke   # a moment of each, without a line

One line each in ``results/images.jsonl``; what is there already is not done again. ``--validate`` asks the last 6,000
training images instead of the test images, which settings were chosen by.

Noise is NumPy's ``default_rng(0)`` over all test images, not cut; dB are means over images, each cut to 0 to 1. The
Fréchet distance is taken over 10,000 samples and the test images, in the last hidden layer (64 numbers) of a classifier
that was trained on the training images with seed 0 (``image_generation.py``); it compares with nothing elsewhere.
NLL is that of dynamically binarised images: drawn anew in training, with seed 0 for the test, S importance samples.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from common import record
from image_generation import Binarised, binarised, classifier, features
from result_lines import lines

from isthmus.index.exact import ExactSearcher
from isthmus.metrics.images import frechet_distance
from isthmus.models.kinds import variational
from isthmus.tasks.coding import weighted_log_likelihoods
from isthmus.training.run import Run
from isthmus_images import ImageAdapter, ImageAutoencoder
from isthmus_images.datasets import fashion_mnist

NAME = "images"
Line = dict[str, Any]
Work = Callable[[], Line]
SEED, HELD_OUT = 0, 6_000
CODES = (2, 4, 8, 16, 32, 64)
CONV = {"batch_size": 128, "learning_rate": 2e-3}
NOISES = (0.1, 0.25, 0.5)

IMPORTANCE = 500


def reduction(data: Data, epochs: int) -> Iterator[tuple[Line, Work]]:
    """Errors of reconstruction, and how often the five nearest codes know the label."""
    for code in CODES:
        yield {"method": "pca", "code": code}, lambda code=code: _pca(data, code)
        about = {"method": "vanilla", "code": code, "epochs": epochs}
        yield about, lambda code=code: _vanilla(data, code, epochs)


def denoising(data: Data, epochs: int) -> Iterator[tuple[Line, Work]]:
    """dB without the noise."""
    for noise in NOISES:
        for model, own in (("denoising", {"code": 256, "level": noise}), ("residual_denoiser", _restoring(noise))):
            settings = {**CONV, **own, "epochs": epochs}

            def work(model: str = model, settings: Line = settings, noise: float = noise) -> Line:
                fitted = ImageAutoencoder.fit(data.train, model, run=_run(), **settings)
                found = fitted.evaluate(data.test, noise=noise, seed=SEED)
                return {"noisy_psnr": found.noisy_psnr, "psnr": found.denoised_psnr, **_trained(fitted)}

            yield {"method": model, "noise": noise, "settings": settings}, work


def generation(data: Data, epochs: int) -> Iterator[tuple[Line, Work]]:
    """NLL of black and white images; Fréchet distances of grey ones."""
    about = {"method": "variational", "measure": "nll", "samples": IMPORTANCE, "code": 32, "epochs": epochs}
    yield about, lambda: _nll(data, epochs)
    models: tuple[tuple[str, str, Line], ...] = (
        ("variational", "standard", {}),
        ("variational", "fitted", {}),
        ("vanilla", "fitted", {"weight_decay": 1e-5}),
        ("contractive", "fitted", {}),
    )
    for model, prior, own in models:
        settings = {**CONV, "code": 16, "epochs": epochs, **own}

        def work(model: str = model, prior: str = prior, settings: Line = settings) -> Line:
            space, accuracy = classifier(data.train, data.test)
            fitted = ImageAutoencoder.fit(data.train, model, run=_run(), **settings)
            meant = features(space, data.test.array())
            drawn = features(space, fitted.sample(len(data.test), seed=SEED, prior=prior))
            back = features(space, fitted.reconstruct(data.test))
            some = features(space, data.train.select(np.arange(len(data.test))).array())
            return {
                "frechet": frechet_distance(drawn, meant),
                "frechet_of_reconstructions": frechet_distance(back, meant),
                "frechet_of_training_images": frechet_distance(some, meant),
                "accuracy_of_the_classifier": accuracy,
                **_trained(fitted),
            }

        yield {"method": model, "measure": "frechet", "prior": prior, "settings": settings}, work


class Data:
    """What is trained on, and what is asked: the test images, or training images that were held out."""

    def __init__(self, validate: bool, smoke: bool) -> None:
        train = fashion_mnist("train")
        rows = np.arange(len(train))
        self.smoke = smoke
        self.test = train.select(rows[-HELD_OUT:]) if validate else fashion_mnist("test")
        self.train = train.select(rows[:-HELD_OUT]) if validate else train
        if smoke:
            self.train, self.test = self.train.select(rows[:600]), self.test.select(rows[:200])


def _pca(data: Data, code: int) -> Line:
    train, test = (some.array().reshape(len(some), -1).astype(np.float64) for some in (data.train, data.test))
    mean = train.mean(0)
    axes = np.linalg.eigh(np.cov(train, rowvar=False))[1][:, ::-1][:, :code]
    known, asked = (train - mean) @ axes, (test - mean) @ axes
    error = float(np.square(asked @ axes.T + mean - test).mean())
    return {"mse": error, "accuracy": _neighbours(data, known.astype(np.float32), asked.astype(np.float32))}


def _vanilla(data: Data, code: int, epochs: int) -> Line:
    model = ImageAutoencoder.fit(data.train, "vanilla", code=code, epochs=epochs, run=_run(), **CONV)
    found = model.evaluate(data.test)
    accuracy = _neighbours(data, model.encode(data.train), model.encode(data.test))
    return {"mse": found.mse, "psnr": found.psnr, "accuracy": accuracy, **_trained(model)}


def _neighbours(data: Data, known: npt.NDArray[np.float32], asked: npt.NDArray[np.float32]) -> float:
    """The share of images whose label most of the five nearest have; of equal counts the one of the nearest."""
    near = ExactSearcher.build(torch.from_numpy(known), "l2").search(torch.from_numpy(asked), 5).rows.numpy()
    labels = np.array(data.train.labels)[near]
    counts = (labels[:, :, None] == labels[:, None, :]).sum(2)
    guesses = labels[np.arange(len(labels)), counts.argmax(1)]
    return float((guesses == np.array(data.test.labels)).mean())


def _nll(data: Data, epochs: int) -> Line:
    adapter, run = ImageAdapter.fit(data.train), _run()
    settings = {**CONV, "code": 32, "likelihood": "bernoulli", "epochs": epochs}
    recipe = variational(adapter.signal, generator=run.generator(), **settings)
    chance = run.generator(run.torch_device(), stream=9)
    history = recipe.fit(Binarised(adapter.prepare(data.train), chance), run)
    asked = adapter.prepare(binarised(data.test.select(np.arange(min(1000, len(data.test)))), SEED))
    noise = torch.Generator(run.torch_device()).manual_seed(SEED)
    model = recipe.model.eval()
    found = weighted_log_likelihoods(model, asked, samples=10 if data.smoke else IMPORTANCE, generator=noise)
    error = float(found.std() / len(found) ** 0.5)
    return {"nll": -float(found.mean()), "standard_error": error, "asked": len(found), "seconds": history.seconds}


def _restoring(noise: float) -> Line:
    return {"low": noise, "high": noise, "filters": 32, "depth": 10, "shrink": 2}


def _run() -> Run:
    return Run(seed=SEED)


def _trained(model: ImageAutoencoder) -> Line:
    return {"seconds": model.history.seconds, "best_epoch": model.history.best_epoch}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("reduction", "denoising", "generation"))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--validate", action="store_true")
    parser.add_argument("--smoke", action="store_true")
    asked = parser.parse_args()
    epochs = 1 if asked.smoke else asked.epochs
    data = Data(asked.validate, asked.smoke)
    parts = {"reduction": reduction, "denoising": denoising, "generation": generation}
    for about, work in parts[asked.part](data, epochs):
        key = {"part": asked.part, **about, **({"validated": True} if asked.validate else {})}
        if any(key.items() <= line.items() for line in lines(NAME)) and not asked.smoke:
            continue
        started = time.perf_counter()
        numbers = {**key, **work(), "total_seconds": round(time.perf_counter() - started, 1)}
        print(numbers if asked.smoke else record(NAME, **numbers), flush=True)


if __name__ == "__main__":
    main()

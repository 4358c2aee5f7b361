"""How well does the residual denoiser clean photographs? BSD68 and Set12, σ = 15, 25, 50, trained on Train400.

One network for all levels, which goes on where it ended when it is started again: it is trained on noise from 0 to 55
and is not told the level. The plan has ``--epochs`` epochs of ``--crops`` crops (48 x 48, turned and mirrored, drawn
once, seed 0), the learning rate falls to 0 over all of them; whatever is reached within ``--minutes`` is measured, so
that early lines have a rate that has not fallen yet. Products are bf16 in training where the processor multiplies it,
and fp32 in the measurement.

Protocol of the test: noise N(0, σ²) on the scale 0 to 255 from ``numpy.random.default_rng([seed, σ, n])`` for the n-th
image in the order of names, neither clipped nor rounded; results are clipped to 0 to 255 and rounded to bytes, as the
authors' test code does; the mean over images of 10 log₁₀(255² / mean squared error), dB. No test image is tuned on.

Published rows are printed as published (BSD68: the repository cszn/DnCNN; Set12: Zhang et al. 2017 as quoted by the
repository SaoYan/DnCNN-PyTorch): DnCNN-S is a network for each level, DnCNN-B one for all.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from benchmarks.drawn import drawn_images, drawn_photographs
from benchmarks.harness import Line, Results, Smoke
from benchmarks.images.tables import photographs
from benchmarks.progress import Said
from isthmus.batch import Grid
from isthmus.core.autoencoder import Autoencoder
from isthmus.models.dncnn import residual_denoiser, restored
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.training.history import History
from isthmus.training.run import Run
from isthmus_images.crops import Crops
from isthmus_images.datasets import denoise_grey, train400

NAME = "denoising"
TITLE = "Denoising of photographs"
SETS = ("bsd68", "set12")
PUBLISHED: Mapping[int, Mapping[str, Mapping[str, float]]] = {
    15: {
        "bsd68": {"BM3D": 31.07, "DnCNN-S": 31.73, "DnCNN-B": 31.61},
        "set12": {"DnCNN-S": 32.859, "DnCNN-B": 32.680},
    },
    25: {
        "bsd68": {"BM3D": 28.57, "DnCNN-S": 29.23, "DnCNN-B": 29.16},
        "set12": {"DnCNN-S": 30.436, "DnCNN-B": 30.362},
    },
    50: {
        "bsd68": {"BM3D": 25.62, "DnCNN-S": 26.23, "DnCNN-B": 26.23},
        "set12": {"DnCNN-S": 27.178, "DnCNN-B": 27.206},
    },
}
"""dB, means over the images of a set."""

CROP = 48

logger = logging.getLogger(NAME)


def run(
    smoke: Smoke = False,
    directory: Annotated[Path, typer.Option(help="Where checkpoints go.")] = Path("denoising"),
    minutes: Annotated[float, typer.Option(help="Of training, in this call.")] = 60.0,
    epochs: Annotated[int, typer.Option(help="Of the whole plan.")] = 60,
    crops: Annotated[int, typer.Option(help="Of an epoch; a checkpoint follows each.")] = 12_800,
    filters: int = 64,
    depth: int = 15,
    shrink: Annotated[int, typer.Option(help="1 for DnCNN's own form, at four times the cost.")] = 2,
    batch: int = 32,
    rate: float = 1e-3,
    seed: int = 0,
) -> list[Line]:
    """Train, or go on, and measure; a smoke run has drawn images and a small network."""
    if smoke:
        epochs, crops, filters, depth = 1, 64, 8, 5
    settings = {
        "filters": filters, "depth": depth, "shrink": shrink, "epochs": epochs, "batch_size": batch,
        "learning_rate": rate,
    }  # fmt: skip
    results = Results(NAME, smoke=smoke)
    if smoke:
        with tempfile.TemporaryDirectory() as folder:
            return _measured(results, settings, crops, seed, Path(folder), minutes)
    return _measured(results, settings, crops, seed, directory, minutes)


def _measured(
    results: Results, settings: Mapping[str, Any], crops: int, seed: int, directory: Path, minutes: float
) -> list[Line]:
    run = Run(seed=seed, progress=Said("crops"), checkpoints=directory, every=1, resume=True, time_limit=60 * minutes)
    recipe = residual_denoiser(Grid(1, CROP, CROP), generator=run.generator(), **settings)
    history = trained(recipe, crops, run, drawn_images("train", 4, 64).pixels if results.smoke else train400().pixels)
    about = {
        "settings": settings, "crops": crops, "seed": seed, "tiny": results.smoke, "epochs_done": len(history.records),
    }  # fmt: skip
    spent = {"crop_size": CROP, "hours": round(history.seconds / 3600, 4), "threads": torch.get_num_threads()}
    for sigma in PUBLISHED:
        if not results.find(sigma=sigma, **about):
            results.add(sigma=sigma, **about, **spent, **measured(recipe.model, sigma, seed, _sets(results.smoke)))
    return results.made


def table(lines: Sequence[Line]) -> list[str]:
    """dB beside what is published."""
    return photographs(lines)


def _sets(smoke: bool) -> dict[str, list[np.ndarray]]:
    """The test images of each set, height × width."""
    if smoke:
        return dict.fromkeys(SETS, drawn_photographs(2))
    return {name: [picture[0] for picture in denoise_grey(name).pictures.values()] for name in SETS}


def trained(recipe: GradientRecipe, crops: int, run: Run, pixels: np.ndarray) -> History:
    """Train, or go on, until the plan or the time ends."""
    found = torch.from_numpy(pixels)
    images = list(found)
    source = Crops.drawn(images, CROP, crops, generator=torch.Generator().manual_seed(0))
    logger.info("%d crops of %d images, %.1f pixels seen for each of theirs", crops, len(images),
                crops * CROP**2 / found.numel())  # fmt: skip
    return recipe.fit(source, run)


def measured(model: Autoencoder, sigma: int, seed: int, sets: Mapping[str, Sequence[np.ndarray]]) -> dict[str, Any]:
    """PSNR of each set, before and after, with what is published."""
    numbers: dict[str, Any] = {"protocol": "noise unclipped, output clipped and rounded to bytes, fp32"}
    model.cpu().eval()
    for name, images in sets.items():
        before, after = [], []
        for index, image in enumerate(images):
            noise = np.random.default_rng([seed, sigma, index]).normal(0, sigma, image.shape)
            noisy = (image + noise).astype(np.float32)
            clean = restored(model, torch.from_numpy(noisy / np.float32(255))[None, None])[0, 0].numpy() * 255
            before.append(psnr(image, noisy))
            after.append(psnr(image, np.rint(np.clip(clean, 0, 255))))
        numbers[name] = {"images": len(images), "noisy": _mean(before), "psnr": _mean(after)}
        numbers[f"{name}_published"] = dict(PUBLISHED[sigma][name])
    return numbers


def psnr(clean: np.ndarray, given: np.ndarray) -> float:
    """dB on the scale 0 to 255."""
    error = np.square(clean.astype(np.float64) - given).mean()
    return float(10 * np.log10(255**2 / error))


def _mean(values: list[float]) -> float:
    return round(float(np.mean(values)), 4)

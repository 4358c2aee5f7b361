"""How well does the residual denoiser clean photographs? BSD68 and Set12, σ = 15, 25, 50, learnt from Train400.

    python -m benchmarks.images.denoising --directory FOLDER --minutes 60     # again and again: goes on where it ended
    python -m benchmarks.images.denoising --directory FOLDER --tiny           # a minute, to try the script

One network for all levels: it is trained on noise from 0 to 55 and is not told the level. The plan has ``--epochs``
epochs of ``--crops`` crops (48 x 48, turned and mirrored, drawn once, seed 0), the learning rate falls to 0 over all of
them; whatever is reached within ``--minutes`` is measured, so that early lines have a rate that has not fallen yet.
Products are bf16 in training where the processor multiplies it, and fp32 in the measurement.

Protocol of the test: noise N(0, σ²) on the scale 0 to 255 from ``numpy.random.default_rng([seed, σ, n])`` for the n-th
image in the order of names, neither clipped nor rounded; results are clipped to 0 to 255 and rounded to bytes, as the
authors' test code does; the mean over images of 10 log₁₀(255² / mean squared error), dB. No test image is tuned on.

Published rows are printed as published (BSD68: the repository cszn/DnCNN; Set12: Zhang et al. 2017 as quoted by the
repository SaoYan/DnCNN-PyTorch): DnCNN-S is a network for each level, DnCNN-B one for all.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.harness import record
from benchmarks.result_lines import lines
from benchmarks.text.embeddings_run import Said
from isthmus.batch import Grid
from isthmus.core.autoencoder import Autoencoder
from isthmus.models.dncnn import residual_denoiser, restored
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.training.history import History
from isthmus.training.run import Run
from isthmus_images.crops import Crops
from isthmus_images.datasets import denoise_grey, train400

NAME = "denoising"
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, required=True, help="where checkpoints go")
    parser.add_argument("--minutes", type=float, default=60.0, help="of training, in this call")
    parser.add_argument("--epochs", type=int, default=60, help="of the whole plan")
    parser.add_argument("--crops", type=int, default=12_800, help="of an epoch; a checkpoint follows each")
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--depth", type=int, default=15)
    parser.add_argument("--shrink", type=int, default=2, help="1 for DnCNN's own form, at four times the cost")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="few crops, a small network, two images of each set")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if given.tiny:
        given.epochs, given.crops, given.filters, given.depth = 2, 256, 8, 5
    settings = {
        "filters": given.filters,
        "depth": given.depth,
        "shrink": given.shrink,
        "epochs": given.epochs,
        "batch_size": given.batch,
        "learning_rate": given.rate,
    }
    run = Run(
        seed=given.seed,
        progress=Said("crops"),
        checkpoints=given.directory,
        every=1,
        resume=True,
        seconds=60 * given.minutes,
    )
    recipe = residual_denoiser(Grid(1, CROP, CROP), generator=run.generator(), **settings)
    history = trained(recipe, given.crops, run)
    done = {
        "settings": settings,
        "crops": given.crops,
        "crop_size": CROP,
        "seed": given.seed,
        "tiny": given.tiny,
        "epochs_done": len(history.records),
        "hours": round(history.seconds / 3600, 4),
        "threads": torch.get_num_threads(),
    }
    for sigma in PUBLISHED:
        if not recorded(sigma, done):
            shown(record(NAME, sigma=sigma, **done, **measured(recipe.model, sigma, given.seed, given.tiny)))


def trained(recipe: GradientRecipe, crops: int, run: Run) -> History:
    """Train, or go on, until the plan or the time ends."""
    found = torch.from_numpy(train400().pixels)
    images = list(found)
    source = Crops.drawn(images, CROP, crops, generator=torch.Generator().manual_seed(0))
    logger.info("%d crops of %d images, %.1f pixels seen for each of theirs", crops, len(images),
                crops * CROP**2 / found.numel())  # fmt: skip
    return recipe.fit(source, run)


def recorded(sigma: int, done: Mapping[str, Any]) -> bool:
    """Whether this state has a line already."""
    key = {"sigma": sigma, **{name: done[name] for name in ("settings", "crops", "seed", "tiny", "epochs_done")}}
    return any(all(line.get(name) == value for name, value in key.items()) for line in lines(NAME))


def measured(model: Autoencoder, sigma: int, seed: int, tiny: bool) -> dict[str, Any]:
    """PSNR of each set, before and after, with what is published."""
    numbers: dict[str, Any] = {"protocol": "noise unclipped, output clipped and rounded to bytes, fp32"}
    model.cpu().eval()
    for name in SETS:
        images = [picture[0] for picture in denoise_grey(name).pictures.values()][: 2 if tiny else None]
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


def shown(line: Mapping[str, Any]) -> None:
    """A line in words."""
    for name in SETS:
        bars = ", ".join(f"{bar} {value:.2f}" for bar, value in line[f"{name}_published"].items())
        logger.info(
            "sigma %d, %s (%d images): %.2f dB from %.2f after %.2f hours, %d of %d epochs; published: %s",
            line["sigma"], name, line[name]["images"], line[name]["psnr"], line[name]["noisy"], line["hours"],
            line["epochs_done"], line["settings"]["epochs"], bars,
        )  # fmt: skip


def _mean(values: list[float]) -> float:
    return round(float(np.mean(values)), 4)


if __name__ == "__main__":
    main()

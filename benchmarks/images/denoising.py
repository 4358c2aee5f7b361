"""How well do denoisers clean photographs? BSD68 and Set12, σ = 15, 25, 50, trained on Train400.

One network for all levels, which goes on where it ended when it is started again: it is trained on noise from 0 to 55.
``unet-denoiser`` is told the level, as FFDNet is, and also measured with the level that it estimates from the image
(``--estimated``), and with the mean of eight answers for the image turned and mirrored (``--eightfold``);
``residual-denoiser`` is never told. The plan has ``--epochs`` epochs of ``--crops`` crops (turned and mirrored, drawn
once, seed 0), the learning rate falls to 0 over all of them; whatever is reached within ``--minutes`` is measured, so
that early lines have a rate that has not fallen yet. Training multiplies in bf16 where the processor does, the
measurement in fp32. ``--validate`` leaves 20 images of Train400 out and asks those, which settings were chosen by.
``--half`` writes the network in half precision, as the package ships it. ``torchrun -m benchmarks denoising`` splits
each batch over several processes; a line says how many, and the hours of each on its processor in the last call.

Protocol of the test: noise N(0, σ²) on the scale 0 to 255 from ``numpy.random.default_rng([seed, σ, n])`` for the n-th
image in the order of names, neither clipped nor rounded; results are clipped to 0 to 255 and rounded to bytes, as the
authors' test code does; the mean over images of 10 log₁₀(255² / mean squared error), dB. No test image is tuned on.

Published rows are printed as published (BSD68: the repository cszn/DnCNN; Set12: Zhang et al. 2017 as quoted by the
repository SaoYan/DnCNN-PyTorch): DnCNN-S is a network for each level, DnCNN-B one for all that is not told the level.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import Tensor

from benchmarks.drawn import drawn_images, drawn_photographs
from benchmarks.harness import Line, Results, Smoke
from benchmarks.images.tables import photographs
from benchmarks.progress import Said
from isthmus import bundle
from isthmus.batch import Grid
from isthmus.cli.options import parsed_settings
from isthmus.core.autoencoder import Autoencoder
from isthmus.distributed import joined, leads, several
from isthmus.fitted import FitRequest, FittedAutoencoder, training_facts
from isthmus.models.denoisers.restoring import restored
from isthmus.models.denoisers.unet_denoiser import UNetEncoder
from isthmus.training.history import History
from isthmus.training.run import Run
from isthmus_images.adapter import ImageAdapter
from isthmus_images.autoencoder import LAYOUT
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

HELD_OUT = 20
MODELS = ("unet-denoiser", "residual-denoiser")

logger = logging.getLogger(NAME)


@dataclass(frozen=True)
class Task:
    """What is trained on what.

    Attributes:
        model, settings: the builder, and its keywords.
        crops, size: number and edge length of the crops of an epoch.
        smoke: tiny drawn images.
        validate: 20 images of Train400 are left out, and asked.
    """

    model: str
    settings: Mapping[str, Any]
    crops: int
    size: int
    smoke: bool
    validate: bool

    def pixels(self) -> tuple[np.ndarray, Mapping[str, Sequence[np.ndarray]]]:
        """The images to train on, and those to ask, height x width, by the name of their set."""
        if self.smoke:
            return drawn_images("train", 4, 64).pixels, dict.fromkeys(SETS, drawn_photographs(2))
        known = train400().pixels
        if not self.validate:
            sets = {name: [picture[0] for picture in denoise_grey(name).pictures.values()] for name in SETS}
            return known, sets
        order = np.random.default_rng(1).permutation(len(known))
        return known[np.sort(order[HELD_OUT:])], {"held_out": list(known[np.sort(order[:HELD_OUT]), 0])}


def run(
    smoke: Smoke = False,
    directory: Annotated[Path, typer.Option(help="Where checkpoints go.")] = Path("denoising"),
    minutes: Annotated[float, typer.Option(help="Of training, in this call.")] = 90.0,
    epochs: Annotated[int, typer.Option(help="Of the whole plan.")] = 16,
    crops: Annotated[int, typer.Option(help="Of an epoch; a checkpoint follows each.")] = 12_800,
    model: Annotated[str, typer.Option(help="unet-denoiser or residual-denoiser.")] = MODELS[0],
    setting: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of the model; may be repeated.")] = None,
    size: Annotated[int, typer.Option(help="Edge length of a crop.")] = 64,
    seed: int = 0,
    estimated: Annotated[bool, typer.Option("--estimated", help="Measure with estimated levels, too.")] = False,
    eightfold: Annotated[bool, typer.Option("--eightfold", help="Measure turned and mirrored, too.")] = False,
    validate: Annotated[bool, typer.Option("--validate", help="Ask 20 images of Train400, left out.")] = False,
    half: Annotated[Path | None, typer.Option(help="A new bundle of the network in half precision.")] = None,
) -> list[Line]:
    """Train, or go on, and measure; a smoke run has drawn images and a small network."""
    settings = {**parsed_settings(setting or []), "epochs": epochs}
    if smoke:
        small = {"widths": [8, 8], "blocks": [1, 1]} if model == MODELS[0] else {"filters": 8, "depth": 5}
        crops, size, settings = 64, 48, {**settings, **small, "epochs": 1}
    task = Task(model, settings, crops, size, smoke, validate)
    told = model == MODELS[0]
    ways = ["told" if told else "blind", *(["estimated"] if told and estimated else [])]
    results = Results(NAME, smoke=smoke, validation=validate)
    with tempfile.TemporaryDirectory() if smoke else nullcontext(directory) as folder:
        checkpoints = {"checkpoints": Path(folder), "every": 1, "resume": True, "time_limit": 60 * minutes}
        how = Run(seed=seed, progress=Said("crops"), shard="batches" if several() else None, **checkpoints)
        fitted, history = trained(task, how)
    spent = {
        "hours": round(history.seconds / 3600, 4), "threads": torch.get_num_threads(),
        "processes": int(os.environ.get("WORLD_SIZE", "1")) if several() else 1,
        "cpu_hours_of_each": round(time.process_time() / 3600, 4),
    }  # fmt: skip
    if not leads(how):
        return []
    if half is not None:
        in_half(fitted, half)
    ways += ["eightfold"] if eightfold else []
    return _measured(results, task, fitted, len(history.records), seed, ways, spent)


def table(lines: Sequence[Line]) -> list[str]:
    """dB beside what is published."""
    return photographs(lines)


def trained(task: Task, run: Run) -> tuple[FittedAutoencoder[ImageAdapter], History]:
    """Train, or go on, until the plan or the time ends."""
    spec = FitRequest("images", task.model, task.settings).resolve()
    adapter = ImageAdapter(Grid(1, task.size, task.size))
    known = torch.from_numpy(task.pixels()[0])
    source = Crops.drawn(list(known), task.size, task.crops, generator=torch.Generator().manual_seed(0))
    logger.info("%d crops of %d images, %.1f pixels seen for each of theirs", task.crops, len(known),
                task.crops * task.size**2 / known.numel())  # fmt: skip
    with joined(run) as others:
        recipe, model = spec.build(adapter.signal, others.run)
        history = recipe.fit(source, others.run)
    facts = training_facts("images", len(known), 0, run, history, skipped=[])
    return FittedAutoencoder(adapter, model.cpu().eval(), spec.name, spec.settings, facts), history


def in_half(fitted: FittedAutoencoder[ImageAdapter], path: Path) -> None:
    """Write the network as a bundle with weights of two bytes."""
    content = LAYOUT.content(fitted)
    bundle.write(path, **{**content, "tensors": {name: one.half() for name, one in content["tensors"].items()}})


def _measured(
    results: Results,
    task: Task,
    fitted: FittedAutoencoder[ImageAdapter],
    epochs: int,
    seed: int,
    ways: Sequence[str],
    spent: Line,
) -> list[Line]:
    about = {
        "model": task.model, "settings": {**fitted.settings}, "crops": task.crops, "seed": seed, "tiny": results.smoke,
        "epochs_done": epochs, "crop_size": task.size,
    }  # fmt: skip
    sets = task.pixels()[1]
    for way in ways:
        for sigma in PUBLISHED:
            if not results.find(sigma=sigma, way=way, **about):
                numbers = measured(answer(fitted.model, way, sigma), sigma, seed, sets)
                results.add(sigma=sigma, way=way, **about, **spent, **numbers)
    return results.made


def answer(model: Autoencoder, way: str, sigma: int) -> Callable[[Tensor], Tensor]:
    """A function that cleans an image [1, 1, height, width]: blind, told the level, with one that is estimated, or
    eightfold: told, if it can be, the mean over all ways to turn and mirror the image."""
    told = way in ("told", "eightfold") and isinstance(model.encoder, UNetEncoder)
    plain = partial(restored, model, level=sigma / 255 if told else None)
    return partial(_eightfold, plain) if way == "eightfold" else plain


def _eightfold(plain: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
    found = []
    for turns in range(4):
        for mirrored in (False, True):
            turned = torch.rot90(image.flip(3) if mirrored else image, turns, (2, 3))
            back = torch.rot90(plain(turned.contiguous()), -turns, (2, 3))
            found.append(back.flip(3) if mirrored else back)
    return torch.stack(found).mean(0)


def measured(
    clean: Callable[[Tensor], Tensor], sigma: int, seed: int, sets: Mapping[str, Sequence[np.ndarray]]
) -> dict[str, Any]:
    """PSNR of each set, before and after, with what is published."""
    numbers: dict[str, Any] = {"protocol": "noise unclipped, output clipped and rounded to bytes, fp32"}
    for name, images in sets.items():
        before, after = [], []
        for index, image in enumerate(images):
            noise = np.random.default_rng([seed, sigma, index]).normal(0, sigma, image.shape)
            noisy = (image + noise).astype(np.float32)
            found = clean(torch.from_numpy(noisy / np.float32(255))[None, None])[0, 0].numpy() * 255
            before.append(psnr(image, noisy))
            after.append(psnr(image, np.rint(np.clip(found, 0, 255))))
        numbers[name] = {"images": len(images), "noisy": _mean(before), "psnr": _mean(after)}
        numbers[f"{name}_published"] = dict(PUBLISHED[sigma].get(name, {}))
    return numbers


def psnr(clean: np.ndarray, given: np.ndarray) -> float:
    """dB on the scale 0 to 255."""
    error = np.square(clean.astype(np.float64) - given).mean()
    return float(10 * np.log10(255**2 / error))


def _mean(values: list[float]) -> float:
    return round(float(np.mean(values)), 4)

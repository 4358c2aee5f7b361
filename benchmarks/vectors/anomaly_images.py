"""The images of the benchmark ``anomaly``: one class of Fashion-MNIST is normal, the other nine are not.

Attribute restoration (Ye et al. 2020, "Attribute restoration framework for anomaly detection", section III): an image
is turned by a multiple of a right angle and shifted a little, and a convolutional autoencoder writes it upright again,
which it can learn only of what it knows. Three scorers, averaged as ranks of 600 training images that nothing was
trained on: the squared error of what was restored, over four turns; the mean distance of the codes of the four turns to
their five nearest neighbours; the same distance in pixels. Settings come from the paper and from the library's own
defaults; no other was tried, and no test label was looked at before the recorded run.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from benchmarks.drawn import drawn_images
from benchmarks.harness import Results
from benchmarks.vectors.anomaly_cases import Case, write
from isthmus.batch import Batch, Grid, Tensors, Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Projected
from isthmus.models.parts.backbones import backbone
from isthmus.protocols import Phase
from isthmus.tasks.anomaly import Nearest, Ranks
from isthmus.training.batching import Shuffled
from isthmus.training.plan import Plan
from isthmus.training.run import Run
from isthmus.training.trainer import train
from isthmus_images.adapter import ImageSource
from isthmus_images.datasets import CLOTHES, fashion_mnist

SETTINGS: dict[str, Any] = {
    "code": 64,
    "filters": 16,
    "hidden": 256,
    "epochs": 30,
    "batch_size": 128,
    "shift": 2,
    "likelihood": "bernoulli",
}
RATE = 2e-3
HELD_OUT = 0.1
TURNS = 4
NEIGHBOURS = 5
BLOCK = 500


@dataclass(frozen=True)
class Turned:
    """Each image by a multiple of a right angle, and up to ``shift`` pixels up, down, left or right."""

    shift: int

    def __call__(self, inputs: Tensors, generator: Generator) -> Tensors:
        assert isinstance(inputs, Values)
        images = inputs.values
        turns, down, right = (
            torch.randint(low, high, (len(images),), generator=generator, device=images.device)
            for low, high in ((0, TURNS), (-self.shift, self.shift + 1), (-self.shift, self.shift + 1))
        )
        turned = torch.empty_like(images)
        for turn in range(TURNS):
            turned[turns == turn] = torch.rot90(images[turns == turn], turn, (2, 3))
        return Values(_shifted(turned, down, right))


def _shifted(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Rolled: what leaves on one side comes in on the other."""
    height, width = images.shape[2:]
    rows = (torch.arange(height) - down[:, None]) % height
    columns = (torch.arange(width) - right[:, None]) % width
    picture = torch.arange(len(images))[:, None, None]
    return images[picture, 0, rows[:, :, None], columns[:, None, :]][:, None]


def restorer(settings: dict[str, Any], generator: Generator) -> tuple[Autoencoder, Plan]:
    """A convolutional autoencoder that reads turned images and writes upright ones."""
    shared = {name: settings[name] for name in ("hidden", "filters", "likelihood")}
    sides = backbone(Grid(1, 28, 28), generator=generator, **shared)
    model = Autoencoder(
        encoder=sides.encoder,
        bottleneck=Projected(sides.hidden, settings["code"], generator=generator),
        decoder=sides.decoder(settings["code"]),
        readout=sides.readout(settings["code"]),
        likelihood=sides.likelihood,
        corruption=Turned(settings["shift"]),
    )
    return model, Plan((Phase(settings["epochs"]),), Shuffled(settings["batch_size"]), RATE, decay="cosine")


@torch.no_grad()
def restored(model: Autoencoder, images: ImageSource) -> tuple[Tensor, Tensor]:
    """The squared error of each image, mean over turns, and the codes of all turns side by side."""
    errors, codes = [], []
    for rows in torch.arange(len(images)).split(BLOCK):
        batch = images.batch(rows)
        assert isinstance(batch.inputs, Values)
        upright = batch.inputs.values
        steps = [
            model.step(Batch(rows, Values(torch.rot90(upright, turn, (2, 3))), batch.targets)) for turn in range(TURNS)
        ]
        means = [model.likelihood.mean(model.readout, step.decoded).view_as(upright) for step in steps]
        errors.append(torch.stack([(mean - upright).square().flatten(1).sum(1) for mean in means]).mean(0))
        codes.append(torch.cat([step.code.point for step in steps], 1))
    return torch.cat(errors), torch.cat(codes)


def scored(model: Autoencoder, known: ImageSource, held_out: ImageSource, asked: ImageSource) -> tuple[Tensor, Tensor]:
    """Scores of all scorers for held-out and for asked images."""
    pixels = [_flat(part) for part in (known, held_out, asked)]
    reached = [restored(model, part) for part in (known, held_out, asked)]
    codes, near = Nearest.build(reached[0][1], NEIGHBOURS), Nearest.build(pixels[0], NEIGHBOURS)
    own, new = (
        torch.stack([reached[part][0].double(), codes.scores(reached[part][1]), near.scores(pixels[part])])
        for part in (1, 2)
    )
    return own, new


def one(results: Results, label: int, seed: int, settings: dict[str, Any]) -> None:
    """One class; a smoke run has few drawn images."""
    learned, asked = (drawn_images(part, 100) if results.smoke else fashion_mnist(part) for part in ("train", "test"))
    mine = np.array(learned.labels) == CLOTHES[label]
    images = torch.from_numpy(np.asarray(learned.pixels))[torch.from_numpy(mine)]
    test = ImageSource(torch.from_numpy(np.asarray(asked.pixels)))
    cut = len(images) - round((0.4 if results.smoke else HELD_OUT) * len(images))
    known, held_out = ImageSource(images[:cut]), ImageSource(images[cut:])
    run = Run(device="cpu", seed=seed)
    start, clock = time.process_time(), time.perf_counter()
    model, plan = restorer(settings, run.generator())
    train(model, known, plan, run)
    fitted, trained = time.process_time(), time.perf_counter()
    own, new = scored(model.eval(), known, held_out, test)
    ranks = Ranks.fit(own)
    case = Case(_flat(known).numpy(), np.empty((len(test), 0)), np.array(asked.labels) != CLOTHES[label])
    times = {"fit_cpu_seconds": round(fitted - start, 1), "fit_seconds": round(trained - clock, 1)}
    more = {"settings": settings, "seconds": times, "trained_on": len(known)}
    found = {"auto": ranks.average(new), "restored": new[0], "codes": new[1], "pixels": new[2]}
    for method, scores in found.items():
        key = {"part": "images", "case": CLOTHES[label], "method": method, "seed": seed}
        write(results, key, case, scores.numpy(), more)


def images(results: Results, labels: list[int]) -> None:
    """The classes that have no line yet, seed 0."""
    for label in labels:
        if not results.find(part="images", case=CLOTHES[label], method="auto", seed=0):
            one(results, label, 0, SETTINGS | ({"epochs": 1} if results.smoke else {}))


def _flat(source: ImageSource) -> Tensor:
    return source.batch(torch.arange(len(source))).inputs.values.flatten(1)  # type: ignore[union-attr]

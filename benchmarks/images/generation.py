"""What the part ``generation`` of images.py measures with: images in black and white, and a space of features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn

from isthmus.batch import Batch, Values
from isthmus_images.adapter import ImageSource
from isthmus_images.images import Images

SEED = 0
EPOCHS, BATCH = 5, 128


@dataclass(frozen=True, eq=False)
class Binarised:
    """Dynamic binarisation: every number is drawn as 0 or 1 with its own chance, anew in each batch.

    Attributes:
        source: grey images.
        chance: where draws come from; on the device of the source.
    """

    source: ImageSource
    chance: Generator

    def __len__(self) -> int:
        return len(self.source)

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        return self.source.lengths

    def to(self, device: torch.device) -> Binarised:
        return Binarised(self.source.to(device), Generator(device).manual_seed(self.chance.initial_seed()))

    def batch(self, rows: Int64[Tensor, " batch"]) -> Batch:
        grey = self.source.batch(rows)
        assert isinstance(grey.inputs, Values)
        drawn = Values(torch.bernoulli(grey.inputs.values, generator=self.chance))
        return Batch(grey.rows, drawn, drawn)


def binarised(images: Images, seed: int) -> Images:
    """The same images once and for all in black and white."""
    grey = torch.from_numpy(images.pixels.astype(np.float32) / 255)
    drawn = torch.bernoulli(grey, generator=Generator().manual_seed(seed))
    return Images((drawn.numpy() * 255).astype(np.uint8), images.names, images.labels)


class Classifier(nn.Module):
    """Two convolutions and two layers; the last but one has 64 numbers, in which distances are taken."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(), nn.Flatten()),
            *(nn.Linear(64 * 49, 64), nn.ReLU()),
        )
        self.head = nn.Linear(64, 10)

    def forward(self, images: Float[Tensor, "batch 1 height width"]) -> Float[Tensor, "batch classes"]:
        """Logits."""
        return self.head(self.body(images))


def classifier(train: Images, test: Images) -> tuple[Classifier, float]:
    """Trained on the training images with seed 0, and its accuracy on the test images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = Classifier()
    names = sorted(set(train.labels or ()))
    images, labels = _tensors(train, names)
    optimizer, order = torch.optim.Adam(model.parameters(), 1e-3), Generator().manual_seed(SEED)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images), generator=order).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[rows].float() / 255), labels[rows]).backward()
            optimizer.step()
    images, labels = _tensors(test, names)
    with torch.no_grad():
        guesses = torch.cat([model(some.float() / 255).argmax(1) for some in images.split(1000)])
    return model.eval(), float((guesses == labels).float().mean())


@torch.no_grad()
def features(model: Classifier, shown: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The 64 numbers of each image, given as a face gives them."""
    parts = [model.body(some[:, None]) for some in torch.from_numpy(np.ascontiguousarray(shown)).split(1000)]
    found: npt.NDArray[np.float32] = torch.cat(parts).numpy()
    return found


def _tensors(images: Images, names: list[str]) -> tuple[Tensor, Tensor]:
    labels = torch.tensor([names.index(label) for label in images.labels or ()])
    return torch.from_numpy(images.pixels), labels

"""What the part ``readable`` of ``embeddings.py`` needs to run for an hour and to go on afterwards: cached vectors, a
number of epochs that fits the time, and the baseline."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from isthmus.training.run import Run
from isthmus_text import TextAutoencoder
from isthmus_text.input_output import pretrained_vectors

MEASURED = 60.0
"""Seconds of training that a number of epochs is chosen from."""

logger = logging.getLogger(__name__)


def training_vectors(parts: Mapping[str, Sequence[str]], directory: Path) -> dict[str, np.ndarray]:
    """Vectors of the training texts, computed once a source; products in bf16 (cosines with those of fp32 above 0.999),
    kept in fp16."""
    directory.mkdir(parents=True, exist_ok=True)
    found = {}
    for name, texts in parts.items():
        place = directory / f"{name}.npy"
        if not place.exists():
            started = time.perf_counter()
            part = directory / f"{name}.part.npy"
            vectors = pretrained_vectors(texts, run=Run(device="cpu", precision="bf16"))
            np.save(part, vectors.astype(np.float16), allow_pickle=False)
            part.replace(place)
            logger.info("%s: vectors of %s texts in %.0f s", name, f"{len(texts):,}", time.perf_counter() - started)
        found[name] = np.load(place, allow_pickle=False)
        assert len(found[name]) == len(texts), f"{place} has vectors of other texts"
    return found


def checkpointed_epochs(
    texts: Sequence[str], vectors: np.ndarray, settings: Mapping[str, Any], directory: Path, minutes: float
) -> int:
    """How many epochs fit into the time, measured at the first start and kept: the schedule depends on it."""
    place = directory / "epochs.json"
    if not place.exists():
        speed = _Speed()
        run = Run(device="cpu", precision="bf16", progress=speed, time_limit=MEASURED)
        TextAutoencoder.fit(
            texts, "readable-embeddings", validation=0.0, gallery=False, vectors=vectors, run=run, epochs=1, **settings
        )
        epochs = max(1, round(minutes * 60 * speed.rate() / len(texts)))
        place.write_text(json.dumps({"epochs": epochs, "texts_a_second": speed.rate(), "minutes": minutes}))
        logger.info("%.0f texts per second: %d epochs in %.0f minutes", speed.rate(), epochs, minutes)
    return int(json.loads(place.read_text())["epochs"])


class _Speed:
    """Texts a second after the first few batches."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, int]] = []

    def start(self, epochs: int, rows: int, metric: str | None, first: int = 0) -> None:
        pass

    def step(self, rows: int, loss: float) -> None:
        self.steps.append((time.perf_counter(), rows))

    def epoch(self, record: Mapping[str, float | int | str]) -> None:
        pass

    def stop(self) -> None:
        pass

    def rate(self) -> float:
        """Batches are in random order of length, so that a minute of them stands for an epoch."""
        counted = self.steps[min(3, len(self.steps) - 2) :]
        return sum(rows for _, rows in counted[1:]) / (counted[-1][0] - counted[0][0])


def nearest_training_texts(wanted: np.ndarray, texts: Sequence[str], vectors: np.ndarray) -> list[str]:
    """The training text with the largest cosine, for each vector."""
    known = torch.from_numpy(vectors)
    return [texts[int(row)] for part in torch.from_numpy(wanted).split(100) for row in (part @ known.T).argmax(1)]

"""What the pretend device refuses and counts, and what a training does there that is not a verb of a face."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pretend_device
import torch

from device_cases import autoencoders, recommenders
from isthmus.training.run import Run
from isthmus_interactions.recommender import Recommender
from isthmus_vectors.compressor import Compressor
from isthmus_vectors.detection.detector import Detector

NAME = pretend_device.NAME


def refusals() -> dict[str, str]:
    """The error of each operation that CUDA refuses."""
    there, here = torch.ones(3, device=NAME), torch.ones(3)

    def error(work: Callable[[], Any]) -> str:
        try:
            work()
        except pretend_device.DeviceError as found:
            return str(found)
        return "allowed"

    return {
        "two devices": error(lambda: there + here),
        "results to the host": error(lambda: here.add_(there)),
        "values of the host": error(lambda: there.index_put_((torch.tensor([0, 1]),), torch.ones(2))),
        "indices of the device": error(lambda: here[torch.tensor([0], device=NAME)]),
        "generator of the host": error(lambda: torch.randn(3, generator=torch.Generator(), device=NAME)),
        "state of another generator": error(lambda: torch.Generator(NAME).set_state(torch.Generator().get_state())),
        "numpy": error(lambda: there.numpy()),
        "a number of the host": error(lambda: there + torch.tensor(1.0)),
    }


def counts() -> dict[str, Any]:
    """What three operations cost, and what two questions of the host cost."""
    account = pretend_device.ACCOUNT
    account.reset()
    x = torch.ones(4, 4, device=NAME)
    y = (x @ x).view(16).sum()
    launches = account.launches
    float(y)
    y.cpu()
    x[x > 0]
    return {"launches": launches, "waits": sorted(kind for kind, _ in account.waits)}


def autocast() -> list[str]:
    """The types of a product and of a softmax."""
    x = torch.ones(4, 4, device=NAME)
    with torch.autocast(NAME, torch.bfloat16):
        product = x @ x
        return [str(product.dtype), str(product.softmax(1).dtype)]


def bf16(builder: str) -> list[float]:
    """Losses of the last epoch in bf16 and in fp32."""
    found = [recommenders.fitted(builder, NAME, precision=precision) for precision in ("bf16", "fp32")]
    return [float(face.history.records[-1]["loss"]) for face in found]


def resumed_elsewhere(first: str, second: str) -> dict[str, Any]:
    """A training that ends on one kind of device, and goes on on another."""
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("isthmus").addHandler(handler)
    with tempfile.TemporaryDirectory() as place:
        halfway = Run(device=first, checkpoints=Path(place), every=2, until=2)
        recommenders.fitted("mult-vae", first, epochs=4, refit=False, run=halfway)
        further = Run(device=second, checkpoints=Path(place), resume=True)
        face = recommenders.fitted("mult-vae", second, epochs=4, refit=False, run=further)
    return {
        "epochs": len(face.history.records),
        "device": str(face.fitted.device.type),
        "said": [text for text in told if "kind of device" in text],
        "losses": [float(record["loss"]) for record in face.history.records],
    }


def early_stopping() -> list[list[Any]]:
    """When a training without progress ends, on both devices."""
    found = []
    for device in ("cpu", NAME):
        face = recommenders.fitted("mult-vae", device, epochs=30, patience=2, learning_rate=0.05)
        found.append([len(face.history.records), face.history.best_epoch, face.history.stopped_early])
    return found


def vectors_of_a_compressor() -> dict[str, str]:
    data = autoencoders.vectors(300)
    here, there = (Compressor.fit(data, bytes=2, device=device, progress=False, epochs=1) for device in ("cpu", NAME))
    return {"codes": str(bool(np.mean(here.encode(data[:20]) == there.encode(data[:20])) > 0.9))}


def detected() -> float:
    """The largest difference between anomaly scores, as a share of the largest score."""
    data = autoencoders.vectors(80)
    here, there = (
        Detector.fit(data, device=device, progress=False, epochs=3).anomaly_scores(data) for device in ("cpu", NAME)
    )
    return float(np.abs(here - there).max() / np.abs(here).max())


def auto() -> dict[str, Any]:
    """The default model, trained and asked on the device."""
    data = recommenders.interactions()
    face = Recommender.fit(data, device=NAME, progress=False, validation=0.45, metric="ndcg@10", time_limit=8.0)
    return {"device": face.fitted.device.type, "found": [len(face.recommend([[0, 4], []], k=5)[row]) for row in (0, 1)]}

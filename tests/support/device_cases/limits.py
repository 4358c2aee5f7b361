"""Devices with little memory, and devices on which only operations with a fixed result are asked for."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pretend_device
import torch

from device_cases import autoencoders, recommenders
from isthmus.errors import SettingError
from isthmus.machine import devices
from isthmus.training.determinism import WORKSPACE, deterministic
from isthmus.training.run import Run
from isthmus_interactions.cold_start.features import ItemFeatures
from isthmus_interactions.recommender import Recommender

NAME = pretend_device.NAME


def crowded(builder: str) -> dict[str, Any]:
    """A model for which the device has no room: where it is, what was said, and whether it answers as on the CPU."""
    devices.LOOKED_AT = 0
    here = recommenders.fitted(builder, "cpu")
    pretend_device.MEMORY["free"] = 1000
    told = _told()
    there = recommenders.fitted(builder, NAME)
    answers = [face.recommend([[0, 4, 8], [1, 5], []], k=5) for face in (here, there)]
    return {
        "device": there.fitted.device.type,
        "said": sum("stays on the CPU" in text for text in told),
        "equal": all(a.ids == b.ids for a, b in zip(*answers, strict=True)),
    }


def crowded_later() -> dict[str, str]:
    """Room for a model and none for more: what is loaded, and what has new items."""
    devices.LOOKED_AT = 0
    face = recommenders.fitted("ease", NAME)
    pretend_device.MEMORY["free"] = 1000
    groups = np.eye(4, dtype=np.float32)[np.arange(recommenders.ITEMS + 2) % 4]
    wider = face.with_features(ItemFeatures.of(range(recommenders.ITEMS + 2), groups))
    found = {"with new items": wider.fitted.device.type, "as it was": face.fitted.device.type}
    wider.recommend([[0, 4]], k=5)
    face.recommend([[0, 4]], k=5)
    with tempfile.TemporaryDirectory() as place:
        face.save(Path(place) / "b")
        try:
            Recommender.load(Path(place) / "b", device=NAME)
            found["by name"] = "loaded"
        except SettingError as error:
            found["by name"] = str(error)
    return found


def fixed(domain: str, builder: str) -> dict[str, Any]:
    """The end of a training with ``deterministic``, and whether the settings of the process are what they were."""
    before = _settings()
    try:
        if domain == "interactions":
            recommenders.fitted(builder, NAME, run=Run(device=NAME, precision="fp32", deterministic=True))
        else:
            with deterministic(True):
                autoencoders.FITS[domain](builder, NAME)
        outcome = "trained"
    except SettingError as error:
        outcome = str(error)
    return {"outcome": outcome, "restored": _settings() == before}


def refused() -> dict[str, Any]:
    """A sum that CUDA computes in another order in every run."""
    before = _settings()
    try:
        with deterministic(True):
            torch.ones(3, device=NAME).cumsum(0)
        outcome = "computed"
    except SettingError as error:
        outcome = str(error)
    return {"outcome": outcome, "restored": _settings() == before}


def unable(builder: str) -> str:
    """The error of a training on a device that lacks what it needs."""
    try:
        recommenders.fitted(builder, NAME)
    except SettingError as error:
        return str(error)
    return "trained"


def blocks() -> list[int]:
    """Bytes of scores at a time, here and there."""
    return [devices.block_bytes(torch.device(name)) for name in ("cpu", NAME)]


def _settings() -> list[Any]:
    cudnn = torch.backends.cudnn
    return [
        torch.are_deterministic_algorithms_enabled(), cudnn.deterministic, cudnn.benchmark, os.environ.get(WORKSPACE),
    ]  # fmt: skip


def _told() -> list[str]:
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("isthmus").addHandler(handler)
    return told

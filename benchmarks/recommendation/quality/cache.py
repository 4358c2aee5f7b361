"""Fitted models and people's values between one piece of a benchmark and the next; not committed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.torch import load_file, save_file
from torch import nn

from isthmus import plugins
from isthmus.batch import Bag
from isthmus.bundle.tensors import state_of
from isthmus.models.recipes.rebuild import rebuild
from isthmus.models.recipes.settings import checked

Key = tuple[str, str, str, Mapping[str, Any], int]
"""Stage, split, model, setting, seed."""


class Fits:
    """A folder of models and values."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, key: Key, model: nn.Module) -> None:
        """Save a model."""
        save_file(state_of(model), self._path(key))

    def has(self, key: Key) -> bool:
        """Whether a model was kept."""
        return self._path(key).exists()

    def load(self, key: Key, items: int) -> nn.Module:
        """A model that was kept."""
        _, _, name, setting, _ = key
        _, builder = plugins.find_builder(name, "interactions")
        return rebuild(builder, Bag(items), checked(name, builder, setting), load_file(self._path(key)))

    def values(self, name: str, values: Mapping[str, npt.NDArray[np.float64]]) -> None:
        """Save each person's values of some metrics."""
        np.savez_compressed(self.folder / f"{name}.npz", allow_pickle=False, **values)

    def _path(self, key: Key) -> Path:
        stage, split, model, setting, seed = key
        digest = hashlib.sha256(json.dumps(dict(setting), sort_keys=True).encode()).hexdigest()[:12]
        return self.folder / f"{stage}.{split}.{model}.{digest}.{seed}.safetensors"

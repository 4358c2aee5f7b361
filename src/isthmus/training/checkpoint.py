"""Checkpoints and best weights on disk, never in memory and never pickled.

DIRECTORY/
  epoch-000010/            a bundle: model, optimiser and generators as tensors, history as a document
  best-000008.safetensors  the weights of the best epoch so far
"""

from __future__ import annotations

import json
import logging
import shutil
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn

from isthmus import bundle
from isthmus.bundle.tensors import load_state, state_of
from isthmus.errors import BundleError, SettingError, TrainingError
from isthmus.training.history import History

KEPT = 2
"""So many checkpoints stay: should the newest one be damaged, the one before it is whole."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingState:
    """Everything that changes while a model trains.

    Attributes:
        plan: what is being carried out, as text; a resumed run must agree with it.
    """

    plan: str
    model: nn.Module
    optimizer: torch.optim.Optimizer
    generators: Mapping[str, Generator]


class CheckpointStore:
    """A directory of checkpoints and best weights."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def check_empty(self) -> None:
        """Ask before a training that does not resume: two of them in one directory would delete each other's files.

        Raises:
            SettingError: checkpoints of an earlier training are there.
        """
        if self._checkpoints():
            raise SettingError(
                f"{self.directory} holds checkpoints of an earlier training",
                expected="an empty directory",
                remedy="resume it (--resume), or name another directory",
            )

    def save(self, epoch: int, state: TrainingState, history: History) -> None:
        """Write a checkpoint, whole or not at all; older ones than the last two are deleted.

        Args:
            epoch: how many epochs are done.
            state: what is saved.
            history: so far.
        """
        bundle.write(
            self.directory / f"epoch-{epoch:06d}",
            plugin="training",
            builder="checkpoint",
            settings={"epoch": epoch, "plan": state.plan},
            tensors=_tensors(state),
            documents={"history.json": json.dumps(history.to_json())},
        )
        for old in self._checkpoints()[KEPT:]:
            shutil.rmtree(old)
        self._forget_weights(history.best_epoch)

    def resume(self, state: TrainingState) -> tuple[int, History]:
        """Put the newest whole checkpoint into the state's parts; 0 epochs and an empty history where none exists.

        Raises:
            TrainingError: checkpoints are there and none of them is whole.
            SettingError: they belong to another plan.
        """
        found = self._checkpoints()
        for directory in found:
            try:
                saved = bundle.read(directory)
                history = History.from_json(json.loads(saved.documents["history.json"]))
            except (BundleError, KeyError, TypeError, ValueError) as error:
                logger.warning("checkpoint %s is damaged: %s", directory.name, error)
                continue
            _check_plan(directory, saved.manifest.settings, state.plan)
            _restore(state, saved.tensors)
            return int(saved.manifest.settings["epoch"]), history
        if found:
            raise TrainingError(f"no checkpoint in {self.directory} is whole", remedy="start anew without resume")
        return 0, History()

    def keep_best(self, epoch: int, model: nn.Module) -> None:
        """The weights of the best epoch so far."""
        place = self._best(epoch)
        partial = place.with_suffix(".partial")
        save_file(state_of(model), partial)
        partial.replace(place)

    def load_best(self, epoch: int, model: nn.Module) -> None:
        """Put the weights of that epoch into the model."""
        load_state(model, load_file(self._best(epoch)))

    def _best(self, epoch: int) -> Path:
        return self.directory / f"best-{epoch:06d}.safetensors"

    def _checkpoints(self) -> list[Path]:
        return sorted(self.directory.glob("epoch-??????"), reverse=True)

    def _forget_weights(self, epoch: int | None) -> None:
        for old in self.directory.glob("best-*.safetensors"):
            if epoch is None or old != self._best(epoch):
                old.unlink()


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    tensors = {f"model.{name}": tensor for name, tensor in state_of(state.model).items()}
    for index, values in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value.cpu() for key, value in values.items()}
    return tensors | {f"generator.{name}": g.get_state() for name, g in state.generators.items()}


def _restore(training: TrainingState, tensors: Mapping[str, Tensor]) -> None:
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "generator": {}}
    for name, tensor in tensors.items():
        kind, rest = name.split(".", 1)
        parts[kind][rest] = tensor
    load_state(training.model, parts["model"])
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts["optimizer"].items():
        index, key = name.split(".", 1)
        moments.setdefault(int(index), {})[key] = tensor
    whole: dict[str, Any] = training.optimizer.state_dict()
    training.optimizer.load_state_dict({"state": moments, "param_groups": whole["param_groups"]})
    for name, generator in training.generators.items():
        _restore_generator(name, generator, parts["generator"][name])


def _check_plan(directory: Path, settings: Mapping[str, Any], plan: str) -> None:
    if settings.get("plan") != plan:
        raise SettingError(
            f"{directory} belongs to another training",
            expected=f"the same data, seed and plan: {plan}",
            remedy="use the settings it was started with, or another directory",
        )


def _restore_generator(name: str, generator: Generator, state: Tensor) -> None:
    """The generator goes on where it was, or, where it was one of another kind of device, with numbers of its own."""
    if state.shape == generator.get_state().shape:
        generator.set_state(state)
        return
    generator.manual_seed(zlib.crc32(state.numpy().tobytes()))
    logger.warning(
        "the checkpoint was written on another kind of device: training goes on, with other random numbers (%s) than "
        "there, so that the weights will differ in detail",
        name,
    )

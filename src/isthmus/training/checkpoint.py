"""Checkpoints and best weights on disk, never pickled.

DIRECTORY/
  epoch-000010/     a bundle: model, optimiser and generators as tensors, history as a document
  best-000008/      a bundle: the weights of the best epoch so far

A checkpoint names the best weights that belong to it, with their SHA-256; they are kept as long as one of the
checkpoints needs them. In directories of version 0.1 they are a file, ``best-000008.safetensors``.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from safetensors.torch import load_file
from torch import Generator, Tensor, nn

from isthmus import bundle
from isthmus.bundle.manifest import WEIGHTS
from isthmus.bundle.tensors import load_state, state_of
from isthmus.disk import remove, steadily, sweep_folder
from isthmus.errors import BundleError, SettingError, TrainingError
from isthmus.training.history import History

KEPT = 2
"""Number of checkpoints that are kept, in case the newest one is damaged."""

PLUGIN, CHECKPOINT, BEST = "training", "checkpoint", "best"
"""Names of the plugin and of the two kinds of bundles in the manifests."""

DAMAGE = (AttributeError, BundleError, KeyError, TypeError, ValueError)
"""Errors that a damaged checkpoint can cause."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingState:
    """Everything that changes while a model is trained.

    Attributes:
        plan: the plan as text; a resumed run must have the same plan.
    """

    plan: str
    model: nn.Module
    optimizer: torch.optim.Optimizer
    generators: Mapping[str, Generator]


@runtime_checkable
class Store(Protocol):
    """A store of the checkpoints and best weights of a training; ``CheckpointStore`` is one."""

    def check_empty(self) -> None:
        """Raise an error if there are checkpoints of an earlier training."""

    def save(self, epoch: int, state: TrainingState, history: History) -> None:
        """Write a checkpoint."""

    def resume(self, state: TrainingState) -> tuple[int, History]:
        """Load the newest checkpoint; without one, return 0 epochs."""

    def keep_best(self, epoch: int, tensors: Mapping[str, Tensor]) -> None:
        """Write the weights of the best epoch so far."""

    def load_best(self, epoch: int, model: nn.Module) -> None:
        """Load the weights of that epoch into the model."""


class CheckpointStore:
    """A directory of checkpoints and best weights.

    Args:
        directory: created if it does not exist; incomplete files of killed trainings are removed.
        durable: whether to sync what is written to disk.
    """

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        self.directory, self._durable = directory, durable
        directory.mkdir(parents=True, exist_ok=True)
        sweep_folder(directory)
        self._written: dict[int, str] = {}

    def check_empty(self) -> None:
        """Check the directory before a training that does not resume, because two trainings would delete each other's
        files.

        Raises:
            SettingError: it contains checkpoints of an earlier training.
        """
        if self._checkpoints():
            raise not_empty(self.directory)

    def save(self, epoch: int, state: TrainingState, history: History) -> None:
        """Write a checkpoint, completely or not at all; only the last two are kept.

        Args:
            epoch: number of finished epochs.
            state: the state to save.
            history: history so far.

        Raises:
            OSError: the disk is full or not writable; earlier checkpoints are kept.
        """
        best = history.best_epoch
        digest = {} if best not in self._written else {"best": {"epoch": best, "sha256": self._written[best]}}
        bundle.write(
            self.directory / f"epoch-{epoch:06d}",
            plugin=PLUGIN,
            builder=CHECKPOINT,
            settings={"epoch": epoch, "plan": state.plan, **digest},
            tensors=_tensors(state),
            documents={"history.json": json.dumps(history.to_json())},
            durable=self._durable,
        )
        for old in self._checkpoints()[KEPT:]:
            remove(old)
        self._forget_weights(best)

    def resume(self, state: TrainingState) -> tuple[int, History]:
        """Load the newest undamaged checkpoint into the state; without checkpoints, return 0 epochs and an empty
        history.

        A checkpoint without its best weights counts as damaged. Too little memory or an unreadable disk is not damage;
        such errors are raised.

        Raises:
            TrainingError: there are checkpoints, but all are damaged.
            SettingError: they belong to another plan.
            OSError, MemoryError: a checkpoint cannot be read at the moment.
        """
        found = self._checkpoints()
        for directory in found:
            check_whole(directory)
            try:
                saved = bundle.read(directory)
                history = History.from_json(json.loads(saved.documents["history.json"]))
                self._check_best(history.best_epoch, saved.manifest.settings.get("best"))
                epoch = _epoch_of(saved.manifest.settings, history)
            except DAMAGE as error:
                logger.warning("checkpoint %s is damaged: %s", directory.name, error)
                continue
            check_plan(directory, saved.manifest.settings, state.plan)
            try:
                restore(state, saved.tensors)
            except DAMAGE as error:
                # Values that were already loaded are replaced by an earlier checkpoint, or never used.
                logger.warning("checkpoint %s does not fit this training: %s", directory.name, error)
                continue
            return epoch, history
        if found:
            raise all_damaged(self.directory)
        return 0, History()

    def keep_best(self, epoch: int, tensors: Mapping[str, Tensor]) -> None:
        """Write the weights of the best epoch so far, on the CPU; earlier ones that no checkpoint needs are deleted."""
        written = bundle.write(
            self._best(epoch),
            plugin=PLUGIN,
            builder=BEST,
            settings={"epoch": epoch},
            tensors=tensors,
            documents={},
            durable=self._durable,
        )
        self._written[epoch] = written.files[WEIGHTS].sha256
        self._forget_weights(epoch)

    def load_best(self, epoch: int, model: nn.Module) -> None:
        """Load the weights of that epoch into the model.

        Raises:
            BundleError: they are missing or were altered.
        """
        load_state(model, self._best_weights(epoch))

    def _best(self, epoch: int) -> Path:
        return self.directory / f"best-{epoch:06d}"

    def _best_weights(self, epoch: int) -> Mapping[str, Tensor]:
        former = self._best(epoch).with_suffix(".safetensors")
        if former.is_file():
            with bundle.as_damage(former):
                return load_file(former)
        return bundle.read(self._best(epoch)).tensors

    def _check_best(self, epoch: int | None, said: Any) -> None:
        """Check that the best weights that a checkpoint needs exist and are unaltered."""
        if epoch is None:
            return
        if said is None:
            self._best_weights(epoch)
            return
        saved = bundle.read(self._best(epoch)).manifest.files[WEIGHTS].sha256
        if epoch != said["epoch"] or saved != said["sha256"]:
            raise BundleError(f"the best weights of epoch {epoch} are not those that belong to it")
        self._written[epoch] = saved

    def _checkpoints(self) -> list[Path]:
        return sorted(self.directory.glob("epoch-??????"), reverse=True)

    def _forget_weights(self, epoch: int | None) -> None:
        """Delete all best weights except those of ``epoch`` and of the checkpoints."""
        try:
            needed = {epoch, *map(_best_of, self._checkpoints())}
        except OSError:
            return
        for old in self.directory.glob("best-??????*"):
            number = old.name.removeprefix("best-").removesuffix(".safetensors")
            if number.isdigit() and int(number) not in needed:
                remove(old)


PARTS = "parts.json"
"""The file that describes a checkpoint written by several processes."""


def check_whole(checkpoint: Path) -> None:
    """Raise an error for a checkpoint that several processes wrote together.

    Raises:
        SettingError: it is one.
    """
    if (checkpoint / PARTS).exists():
        raise SettingError(
            f"{checkpoint} was written by a training with tables cut by rows",
            expected="a checkpoint of one process",
            remedy="resume with shard='rows'; torchrun --nproc-per-node 1 suffices",
            option="resume with --shards rows; torchrun --nproc-per-node 1 suffices",
        )


def _epoch_of(settings: Mapping[str, Any], history: History) -> int:
    """The number of finished epochs of a checkpoint, on which its manifest and its history must agree."""
    epoch = settings["epoch"]
    if type(epoch) is not int or epoch != history.epochs or (history.best_epoch or 0) > epoch:
        raise BundleError(f"a checkpoint of epoch {epoch!r} with a history of {history.epochs}", expected="as saved")
    return epoch


def _best_of(checkpoint: Path) -> int | None:
    """The epoch of the best weights that a checkpoint needs; None if it needs none or is damaged."""
    try:
        manifest = bundle.peek(checkpoint)
        if "best" in manifest.settings:
            return int(manifest.settings["best"]["epoch"])
        # In checkpoints of version 0.1 only the history has this epoch.
        text = steadily(checkpoint, lambda place: (place / "documents" / "history.json").read_text(encoding="utf-8"))
        found = json.loads(text)["best_epoch"]
        return None if found is None else int(found)
    except (AttributeError, BundleError, KeyError, TypeError, ValueError):
        return None


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    tensors = {f"model.{name}": tensor for name, tensor in state_of(state.model).items()}
    for index, values in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value.cpu() for key, value in values.items()}
    return tensors | {f"generator.{name}": g.get_state() for name, g in state.generators.items()}


def restore(training: TrainingState, tensors: Mapping[str, Tensor]) -> None:
    """Load the tensors of a checkpoint into a training.

    Raises:
        BundleError: tensors whose names, shapes or types differ from those of this training.
        KeyError, ValueError, TypeError: names that a checkpoint cannot have.
    """
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "optimizer": {}, "generator": {}}
    for name, tensor in tensors.items():
        kind, rest = name.split(".", 1)
        parts[kind][rest] = tensor
    load_state(training.model, parts["model"])
    moments: dict[int, dict[str, Tensor]] = {}
    for name, tensor in parts["optimizer"].items():
        index, key = name.split(".", 1)
        moments.setdefault(int(index), {})[key] = tensor
    _check_moments(training.optimizer, moments)
    whole: dict[str, Any] = training.optimizer.state_dict()
    training.optimizer.load_state_dict({"state": moments, "param_groups": whole["param_groups"]})
    for name, generator in training.generators.items():
        _restore_generator(name, generator, parts["generator"][name])


def _check_moments(optimizer: torch.optim.Optimizer, moments: Mapping[int, Mapping[str, Tensor]]) -> None:
    """Check that the state of an optimiser belongs to its parameters.

    Raises:
        BundleError: the state of a parameter that does not exist, or has another shape.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, values in moments.items():
        if not 0 <= index < len(parameters):
            raise BundleError(f"the optimizer's numbers of parameter {index}", expected=f"0 to {len(parameters) - 1}")
        for key, value in values.items():
            # Row-wise optimisers also keep one number for each row of a table.
            whole = parameters[index].shape
            if value.shape not in ((), whole[:1], whole):
                raise BundleError(
                    f"{key} of parameter {index} of shape {list(value.shape)}",
                    expected=f"{list(whole)}",
                )


def not_empty(directory: Path) -> SettingError:
    """The error for a directory that a training which does not resume may not write to."""
    return SettingError(
        f"{directory} contains checkpoints of an earlier training",
        expected="an empty directory",
        remedy="resume it (--resume), or use another directory",
    )


def all_damaged(directory: Path) -> TrainingError:
    """The error for a directory without an undamaged checkpoint."""
    return TrainingError(f"all checkpoints in {directory} are damaged", remedy="start again without resume")


def check_plan(directory: Path, settings: Mapping[str, Any], plan: str) -> None:
    """Check that a checkpoint belongs to a training.

    Args:
        directory: the checkpoint.
        settings: what was saved with it.
        plan: of the training.

    Raises:
        SettingError: it was written for another plan.
    """
    if settings.get("plan") != plan:
        raise SettingError(
            f"{directory} belongs to another training",
            expected=f"the same data, seed and plan: {plan}",
            remedy="use the settings it was started with, or another directory",
        )


def _restore_generator(name: str, generator: Generator, state: Tensor) -> None:
    """Restore the state of a generator; a generator of another kind of device continues with different numbers."""
    if state.dtype != torch.uint8:
        raise BundleError(f"a generator's state of {state.dtype}", expected="bytes")
    if state.shape == generator.get_state().shape:
        try:
            generator.set_state(state)
        except RuntimeError as error:
            raise BundleError(f"a generator's state that is none ({error})", expected="as saved") from None
        return
    generator.manual_seed(zlib.crc32(state.numpy().tobytes()))
    logger.warning(
        "the checkpoint was written on another kind of device: training goes on, with other random numbers (%s) than "
        "there, so that the weights will differ in detail",
        name,
    )

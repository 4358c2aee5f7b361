"""Checkpoints of a training in which every process has the whole model: process 0 writes them as usual, and all read
them. A training in one process can therefore resume them, and the reverse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor, nn

from isthmus.distributed.talk import Talk
from isthmus.errors import TrainingError
from isthmus.training.checkpoint import Store, TrainingState
from isthmus.training.history import History


class LeaderStore:
    """A directory of checkpoints and best weights; the methods are those of ``isthmus.training.checkpoint.Store``.

    All methods are called by all processes, with the same folder.

    Args:
        directory: a folder that all processes can read.
        usual: makes the store of one process.
        talk: connection to the other processes.
    """

    def __init__(self, directory: Path, usual: Callable[[Path], Store], talk: Talk) -> None:
        self.directory, self._talk = directory, talk
        made: list[Store] = []
        talk.by_leader(lambda: made.append(usual(directory)))
        self._usual = made[0] if made else usual(directory)

    def check_empty(self) -> None:
        """Check the directory before a training that does not resume.

        Raises:
            SettingError: it contains checkpoints of an earlier training.
            TrainingError: the same, in the other processes.
        """
        self._talk.by_leader(self._usual.check_empty)

    def save(self, epoch: int, state: TrainingState, history: History) -> None:
        """Write a checkpoint.

        Raises:
            OSError: it could not be written.
            TrainingError: the same, in the other processes.
        """
        self._talk.by_leader(lambda: self._usual.save(epoch, state, history))

    def resume(self, state: TrainingState) -> tuple[int, History]:
        """Load the newest undamaged checkpoint into the state; without checkpoints, return 0 epochs and an empty
        history.

        Raises:
            TrainingError: all are damaged, or this process finds other ones than process 0.
            SettingError: they belong to another plan.
        """
        found: list[tuple[int, History]] = []

        def first() -> int:
            found.append(self._usual.resume(state))
            return found[0][0]

        epoch = int(self._talk.by_leader(first))
        own = found[0] if found else self._usual.resume(state)
        if own[0] != epoch:
            raise TrainingError(
                f"{self.directory} has a checkpoint of epoch {own[0]} here, and of epoch {epoch} in process 0",
                expected="one folder for all processes",
                remedy="give a folder that all machines share",
            )
        return own

    def keep_best(self, epoch: int, tensors: Mapping[str, Tensor]) -> None:
        """Write the weights of the best epoch so far."""
        self._talk.by_leader(lambda: self._usual.keep_best(epoch, tensors))

    def load_best(self, epoch: int, model: nn.Module) -> None:
        """Load the weights of that epoch into the model.

        Raises:
            BundleError: they are missing or were altered.
        """
        self._usual.load_best(epoch, model)

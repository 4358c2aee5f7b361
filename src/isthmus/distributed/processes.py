"""The placement of item tables in several processes, by rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from isthmus.core.placement import Rows
from isthmus.distributed.row_shard import RowShard
from isthmus.distributed.talk import Talk


@dataclass(frozen=True)
class Processes:
    """All processes of a training, seen from one of them; the methods are those of ``isthmus.core.placement.Placement``.

    Attributes:
        talk: connection to the other processes.
    """  # noqa: E501

    talk: Talk

    @property
    def leader(self) -> bool:
        """Whether this process shows the progress and writes what is not distributed."""
        return self.talk.leads

    @property
    def recovers(self) -> bool:
        """Never, because the other processes would not do the same after an error."""
        return False

    def rows(self, width: int) -> Rows:
        """The rows of this process.

        Raises:
            SettingError: fewer rows than processes.
        """
        return RowShard.of(width, self.talk)

    def any(self, here: bool) -> bool:
        """Whether ``here`` is true in any process."""
        return self.talk.any(here)

    def most(self, here: int) -> int:
        """The maximum over all processes."""
        return self.talk.most(here)

    def store(self, model: nn.Module, folder: Path, usual: Callable[[Path], Any]) -> Any:
        """A store of checkpoints to which each process writes a part.

        Args:
            model: the model that is trained.
            folder: a folder that all processes can write to.
            usual: the store for one process; not used.
        """
        # This import takes a second.
        from isthmus.distributed.shard_store import ShardStore

        return ShardStore(folder, model, self.talk)

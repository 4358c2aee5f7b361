"""The processes that train one model together: the placement of its tables by rows."""

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
        talk: to the others.
    """  # noqa: E501

    talk: Talk

    @property
    def leader(self) -> bool:
        """Whether this process speaks for all."""
        return self.talk.leads

    @property
    def recovers(self) -> bool:
        """Never: what one process does after an error, the others do not do."""
        return False

    def rows(self, width: int) -> Rows:
        """The rows of this process.

        Raises:
            SettingError: fewer rows than would give each process one.
        """
        return RowShard.of(width, self.talk)

    def any(self, here: bool) -> bool:
        """Whether it is so in any process."""
        return self.talk.any(here)

    def most(self, here: int) -> int:
        """The largest number of any process."""
        return self.talk.most(here)

    def store(self, model: nn.Module, folder: Path, usual: Callable[[Path], Any]) -> Any:
        """Checkpoints that each process writes a part of.

        Args:
            model: what is trained.
            folder: that all processes can write to.
            usual: what keeps those of one process; not used.
        """
        # What reads and writes them takes a second to import.
        from isthmus.distributed.shard_store import ShardStore

        return ShardStore(folder, model, self.talk)

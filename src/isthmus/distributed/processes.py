"""The placement of a training in several processes: item tables by rows, batches by rows, or both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch import Tensor, nn

from isthmus.batch import Tensors
from isthmus.core.placement import AllRows, Rows
from isthmus.core.shares import sharing
from isthmus.distributed.batch_share import BatchShare, sum_gradients
from isthmus.distributed.row_shard import RowShard
from isthmus.distributed.talk import Talk, answered
from isthmus.errors import SettingError
from isthmus.training.run import Run

ALONE = Talk(0, 1)
"""The only process along an axis."""


@dataclass(frozen=True)
class Processes:
    """All processes of a training, seen from one of them; the methods are those of ``isthmus.core.placement.Placement``.

    The processes form a grid. Those of a *group* have all rows of the item tables together, and compute a part of each
    batch; those with the same rows in each group sum their gradients.

    Attributes:
        talk: connection to all other processes.
        of_group: connection to the processes of the group.
        over_groups: connection to the processes with the same rows in the other groups.
        cut: whether tables are cut by rows.
    """  # noqa: E501

    talk: Talk
    of_group: Talk
    over_groups: Talk = ALONE
    cut: bool = True

    @classmethod
    def of(cls, run: Run) -> Processes:
        """The processes of the process group that exists, as the run divides them.

        Raises:
            SettingError: processes that cannot be divided into so many groups.
        """
        rank, size = dist.get_rank(), dist.get_world_size()
        talk, groups = Talk(rank, size), size if run.shard == "batches" else run.groups
        if size % groups:
            raise SettingError(
                f"groups={groups} of {size} processes",
                expected="a number that divides that of the processes",
                remedy=f"start {groups * -(-size // groups)} processes, or change groups",
            )
        cut, each = run.shard == "rows", size // groups
        if groups == 1:
            return cls(talk, talk, ALONE, cut)
        if not cut:
            return cls(talk, ALONE, talk, cut)
        own = _joined([range(first, first + each) for first in range(0, size, each)], rank)
        return cls(talk, own, _joined([range(first, size, each) for first in range(each)], rank), cut)

    @property
    def leader(self) -> bool:
        """Whether this process shows the progress and writes what is not distributed."""
        return self.talk.leads

    @property
    def alone(self) -> bool:
        """Never, even if there is only one: its batches are split like those of several."""
        return False

    @property
    def recovers(self) -> bool:
        """Never, because the other processes would not do the same after an error."""
        return False

    def rows(self, width: int) -> Rows:
        """The rows of this process.

        Raises:
            SettingError: fewer rows than processes.
        """
        return RowShard.of(width, self.of_group) if self.cut else AllRows(width)

    def any(self, here: bool) -> bool:
        """Whether ``here`` is true in any process."""
        return self.talk.any(here)

    def most(self, here: int) -> int:
        """The maximum over all processes."""
        return self.talk.most(here)

    def agreed(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """The numbers of the leader: different processors may round differently."""
        found: dict[str, Any] = json.loads(self.talk.told(json.dumps(dict(numbers))))
        return found

    def sharing(self, inputs: Tensors) -> AbstractContextManager[None]:
        """A context for a training step on these inputs, of which each group computes some rows; if there are fewer
        rows than groups, all compute all of them."""
        if inputs.size < self.over_groups.size or self.over_groups.size == 1:
            return nullcontext()
        return sharing(BatchShare.of(inputs, self.over_groups))

    def differentiate(self, loss: Tensor, parameters: Iterable[nn.Parameter]) -> None:
        """Compute the gradient of the loss, as the sum over the groups."""
        if self.over_groups.size == 1:
            loss.backward()
            return
        (loss / self.over_groups.size).backward()
        sum_gradients(parameters, self.over_groups)

    def store(self, model: nn.Module, folder: Path, usual: Callable[[Path], Any]) -> Any:
        """A store of checkpoints to which each process of a group writes a part or, if all have the whole model, one
        that process 0 writes as usual.

        Args:
            model: the model that is trained.
            folder: a folder that all processes can write to.
            usual: the store for one process.
        """
        if not self.cut:
            from isthmus.distributed.leader_store import LeaderStore

            return LeaderStore(folder, usual, self.talk)
        # This import takes a second.
        from isthmus.distributed.shard_store import ShardStore

        return ShardStore(folder, model, self.talk, self.of_group, writes=self.over_groups.leads)


def _joined(several: Iterable[range], rank: int) -> Talk:
    """The connection to those of several sets of processes to which this one belongs. All processes make all sets."""
    with answered():
        made = [(them, dist.new_group(list(them))) for them in several]
    return next(Talk(them.index(rank), len(them), group) for them, group in made if rank in them)

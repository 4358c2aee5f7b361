"""What processes tell each other: sums, maxima, parts of tensors, and a few words. No objects are pickled."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from isthmus.errors import IsthmusError, TrainingError


@contextmanager
def answered() -> Iterator[None]:
    """A context around a call that needs the other processes.

    Raises:
        TrainingError: they do not respond, because one of them ended or the network failed.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ConnectionError) as error:
        told = " ".join(str(error).split())[:200]
        raise TrainingError(
            f"the other processes of this training do not answer ({told})",
            expected="all of them, until the end",
            remedy="look for the first error in what they printed; with checkpoints, start all of them again to resume",
            option="look for the first error in what they printed; with --checkpoints, start all again with --resume",
        ) from error


@dataclass(frozen=True)
class Talk:
    """One of several processes: of all, or of some.

    Attributes:
        rank: its number, from 0.
        size: number of processes.
        group: torch's group of them; None if they are all processes.
    """

    rank: int
    size: int
    group: dist.ProcessGroup | None = None

    @property
    def leads(self) -> bool:
        """Whether this is process 0."""
        return self.rank == 0

    def added(self, part: Tensor) -> Tensor:
        """The sum over all processes, bit for bit the same in each."""
        whole = part.detach().clone(memory_format=torch.contiguous_format)
        with answered():
            dist.all_reduce(whole, group=self.group)
        return whole

    def largest(self, part: Tensor) -> Tensor:
        """The elementwise maximum over all processes."""
        whole = part.detach().clone(memory_format=torch.contiguous_format)
        with answered():
            dist.all_reduce(whole, op=dist.ReduceOp.MAX, group=self.group)
        return whole

    def gathered(self, part: Tensor) -> list[Tensor]:
        """The tensors of all processes, in their order; all have the same shape."""
        parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(self.size)]
        with answered():
            dist.all_gather(parts, part.detach().contiguous(), group=self.group)
        return parts

    def collected(self, part: Tensor) -> list[Tensor]:
        """The tensors of all processes, in their order, if their lengths may differ."""
        lengths = [int(one) for one in self.gathered(torch.tensor(len(part)))]
        padded = part.new_zeros(max(lengths), *part.shape[1:])
        padded[: len(part)] = part.detach()
        return [one[:length] for one, length in zip(self.gathered(padded), lengths, strict=True)]

    def most(self, number: int) -> int:
        """The maximum over all processes."""
        return int(self.largest(torch.tensor(number, dtype=torch.int64)))

    def any(self, here: bool) -> bool:
        """Whether ``here`` is true in any process."""
        return bool(self.most(int(here)))

    def told(self, text: str) -> str:
        """The leader's text; for the talk of all processes, like everything below."""
        content = torch.tensor(list(text.encode()) if self.leads else [], dtype=torch.uint8)
        length = torch.tensor(len(content))
        with answered():
            dist.broadcast(length, 0)
            content = content if self.leads else torch.empty(int(length), dtype=torch.uint8)
            dist.broadcast(content, 0)
        return bytes(content.tolist()).decode()

    def by_leader(self, work: Callable[[], Any]) -> Any:
        """The result of work that only the leader does, a JSON value. If it raises an error, the other processes raise
        a ``TrainingError`` with the same message.

        Raises:
            TrainingError: the leader could not do it.
        """
        if not self.leads:
            found = json.loads(self.told(""))
            if "failed" in found:
                raise TrainingError(f"process 0 of this training: {found['failed']}")
            return found["done"]
        try:
            done = work()
        except (IsthmusError, OSError) as error:
            self.told(json.dumps({"failed": str(error)}))
            raise
        self.told(json.dumps({"done": done}))
        return done

    def to_leader(self, part: Tensor, whole: Tensor | None, spans: list[slice]) -> None:
        """Collect the rows of a table in the leader.

        Args:
            part: the rows of this process.
            whole: tensor for all rows, which is filled; None except in the leader.
            spans: the rows of each process.
        """
        with answered():
            if whole is None:
                dist.send(part.detach().cpu().contiguous(), 0)
                return
            whole[spans[0]] = part.detach().cpu()
            for other in range(1, self.size):
                dist.recv(whole[spans[other]], other)

    def wait(self) -> None:
        """Wait for all processes."""
        with answered():
            dist.barrier(group=self.group)

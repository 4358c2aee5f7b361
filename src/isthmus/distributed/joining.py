"""Joins the processes that ``torchrun`` started, for the time of a training."""

from __future__ import annotations

import atexit
import logging
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from isthmus.core.placement import OneProcess, placed
from isthmus.distributed import Numbers
from isthmus.distributed.environment import bind, check_started, number
from isthmus.distributed.processes import Processes
from isthmus.distributed.talk import Talk, answered
from isthmus.distributed.whole import Elsewhere, collected
from isthmus.errors import SettingError
from isthmus.machine.hardware import multiplies_bf16
from isthmus.training.interrupts import interruptible
from isthmus.training.progress import NoProgress
from isthmus.training.run import Run

AT_A_TIME = 1 << 22
"""Number of values that are hashed together."""

PATIENCE = timedelta(minutes=30)
"""Time that a process waits for the others before it gives up; one of them may be reading a slow disk."""


@dataclass(frozen=True)
class Together:
    """A training of this process with others; see ``isthmus.distributed.Joined``."""

    run: Run
    processes: Processes

    @property
    def talk(self) -> Talk:
        """Connection to the other processes."""
        return self.processes.talk

    def check_same(self, what: str, *arrays: Numbers) -> None:
        """Raise an error if processes have different data.

        Args:
            what: description of the data.
            arrays: the data; they may be memory-mapped and larger than the memory.

        Raises:
            SettingError: two processes have different data.
        """
        own = 0
        for array in arrays:
            for start in range(0, len(array), AT_A_TIME):
                own = zlib.crc32(np.ascontiguousarray(array[start : start + AT_A_TIME]).data, own)
        both = self.talk.largest(torch.tensor([own, -own], dtype=torch.int64))
        if int(both[0]) != -int(both[1]):
            raise SettingError(
                f"the processes of this training were given different {what}",
                expected="the same in each of them",
                remedy="give all of them the same file and the same settings",
            )

    def finished(self, model: nn.Module, rebuild: Callable[[Mapping[str, Tensor]], nn.Module]) -> nn.Module:
        """The whole model in process 0, and a placeholder in the others. If all have the whole model, it is returned,
        marked so that only process 0 saves it."""
        if not self.processes.cut:
            # ``save`` asks for it, as it asks the placeholder.
            model.elsewhere = not self.talk.leads  # type: ignore[assignment]
            return model
        tensors = collected(model, self.processes.of_group) if self.processes.over_groups.leads else {}
        if not self.talk.leads:
            return Elsewhere(self.talk)
        with placed(OneProcess()):
            return rebuild(tensors)


@contextmanager
def together(run: Run) -> Iterator[Together]:
    """Join the other processes; see ``isthmus.distributed.joined``.

    A process group that exists already (of a script, or of Ray Train) is used and left as it is.
    """
    _meet()
    processes = Processes.of(run)
    talk = processes.talk
    with placed(processes), interruptible() as stop, stop.jointly(talk.any), _silent(not talk.leads):
        yield Together(_agreed(run, talk), processes)


def _meet() -> None:
    """Create the process group, once per process, because a second one would reuse the addresses of the first."""
    if dist.is_initialized():
        if "gloo" not in (backends := str(dist.get_backend_config())):
            raise SettingError(
                f"a process group with {backends}",
                expected="gloo for what is not on a device",
                remedy='make it with init_process_group("cpu:gloo,cuda:nccl")',
            )
        return
    check_started()
    bind()
    with answered():
        # The code for CUDA follows PyTorch's documentation; it has never run.
        if torch.cuda.is_available():
            torch.cuda.set_device(number("LOCAL_RANK", 0))
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    atexit.register(dist.destroy_process_group)


def _agreed(run: Run, talk: Talk) -> Run:
    """The run of each process: its own device, the same precision for all, and progress only in one of them."""
    device = run.device
    if device in ("auto", "cuda") and torch.cuda.is_available():
        device = f"cuda:{number('LOCAL_RANK', 0)}"
    run = replace(run, device=device)
    fast = multiplies_bf16(run.torch_device().type)
    precision = "fp32" if run.precision == "auto" and talk.any(not fast) else run.precision
    progress = run.progress if talk.leads else NoProgress()
    return replace(run, precision=precision, progress=progress, graphs=False)


@contextmanager
def _silent(wanted: bool) -> Iterator[None]:
    """Inside this context, if wanted, messages that would be the same in all processes are not shown; process 0 shows
    them."""
    if not wanted:
        yield
        return
    ours = [logging.getLogger(name) for name in ("isthmus", "isthmus_interactions", "isthmus_text")]
    before = [logger.level for logger in ours]
    for logger in ours:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(ours, before, strict=True):
            logger.setLevel(level)

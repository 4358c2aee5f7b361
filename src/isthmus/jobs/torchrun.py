"""The engine that processes parts in the processes that torchrun started, on one machine or several with a shared file
system.

Each process takes every n-th part. They exchange one number through torch's process group, over the loopback interface
on one machine, and over the interface named in the environment on several.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
import torch.distributed as dist

from isthmus.distributed.environment import bind
from isthmus.errors import SettingError
from isthmus.jobs.part import Part
from isthmus.jobs.work import Question, Told, answered


def place() -> tuple[int, int]:
    """The number of this process, and the number of processes.

    Raises:
        SettingError: torchrun did not start this process.
    """
    try:
        return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    except (KeyError, ValueError):
        raise SettingError(
            "the engine torchrun outside of torchrun", remedy="torchrun --nproc-per-node 2 -m isthmus ..."
        ) from None


def ranks(question: Question, parts: Sequence[Part], workers: int | None, told: Told) -> None:
    """Process the parts of this process, and wait for the others.

    Args:
        question: the bundle, task and options.
        parts: the parts of all processes.
        workers: None; torchrun determines the number.
        told: receives the outcome of each part of this process.

    Raises:
        SettingError: a number of workers, or torchrun did not start this process.
    """
    rank, world = place()
    if workers not in (None, world):
        raise SettingError(f"workers={workers} with torchrun", expected=f"--nproc-per-node, which is {world}")
    try:
        # No process may begin before all know which parts are missing.
        wait_for_others()
        for part in parts[rank::world]:
            told(answered(question, part))
        wait_for_others()
    finally:
        leave()


def wait_for_others() -> None:
    """Wait until all processes have called this.

    Raises:
        SettingError: several machines, and the environment names no network interface.
    """
    if not dist.is_initialized():
        bind()
        dist.init_process_group("gloo")
    dist.all_reduce(torch.zeros(1))


def leave() -> None:
    """Close the process group."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()

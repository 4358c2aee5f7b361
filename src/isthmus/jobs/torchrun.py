"""Parts answered by the processes that torchrun started, on one machine or several with a shared file system.

Each process takes every n-th part. They exchange one number, through torch's process group: over loopback on one
machine, over the interface that the environment names on several.
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
    """The number of this process, and how many there are.

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
    """Answer this process's share of the parts, and wait for the others.

    Args:
        question: what is asked.
        parts: those of all processes.
        workers: None; torchrun says how many.
        told: receives what became of each part of this process.

    Raises:
        SettingError: a number of workers, or torchrun did not start this process.
    """
    rank, world = place()
    if workers not in (None, world):
        raise SettingError(f"workers={workers} with torchrun", expected=f"--nproc-per-node, which is {world}")
    try:
        # Nobody may begin before all know which parts are missing.
        wait_for_others()
        for part in parts[rank::world]:
            told(answered(question, part))
        wait_for_others()
    finally:
        leave()


def wait_for_others() -> None:
    """Return when all processes have come here.

    Raises:
        SettingError: several machines, and the environment names no network interface.
    """
    if not dist.is_initialized():
        bind()
        dist.init_process_group("gloo")
    dist.all_reduce(torch.zeros(1))


def leave() -> None:
    """Close what the processes talked through."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()

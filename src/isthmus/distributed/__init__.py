"""Training in several processes: the rows of item tables are distributed, or those of each batch, or both.

    torchrun --nproc-per-node 4 -m isthmus fit interactions events.csv --model mult-vae --out my.bundle --shards rows

Every process draws the same batches and the same noise from the same seed, and holds some rows of the item tables with
their moments. Everything that needs all rows (``isthmus.core.placement.Rows``) is computed in parts and summed: each
step has two all-reduces of batch × hidden numbers and a few of batch numbers.

    torchrun --nproc-per-node 4 -m isthmus fit text texts.txt --out my.bundle

Here every process has the whole model and computes some rows of each batch (``isthmus.core.shares``); hidden states,
log-likelihoods and gradients are summed.

``joined`` is the entry point. A training in one process imports nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy.typing as npt
import torch
from torch import Tensor, nn

from isthmus.errors import SettingError
from isthmus.training.run import Run

__all__ = ["Joined", "check_alone", "check_network", "joined", "leads", "several"]

Rebuild = Callable[[Mapping[str, Tensor]], nn.Module]
"""Builds the whole model from all its tensors."""

Numbers = npt.NDArray[Any]


@runtime_checkable
class Joined(Protocol):
    """A training of this process, alone or with others."""

    @property
    def run(self) -> Run:
        """The run, as all processes agreed on it."""

    def check_same(self, what: str, *arrays: Numbers) -> None:
        """Raise an error if processes have different data."""

    def finished(self, model: nn.Module, rebuild: Rebuild) -> nn.Module:
        """The result of this process: the whole model, or a placeholder that says where it is."""


@dataclass(frozen=True)
class _Alone:
    run: Run

    def check_same(self, what: str, *arrays: Numbers) -> None:
        """Nothing to compare with."""

    def finished(self, model: nn.Module, rebuild: Rebuild) -> nn.Module:
        """The model."""
        return model


@contextmanager
def joined(run: Run) -> Iterator[Joined]:
    """A context that joins the other processes of a training, if the run requires it; models must be built and trained
    inside.

    Args:
        run: with ``shard`` this process becomes one of those that ``torchrun`` started.

    Raises:
        SettingError: ``torchrun`` did not start this process, or several machines without a private interface.
        TrainingError: the other processes cannot be reached any more.
    """
    if run.shard is None:
        yield _Alone(run)
        return
    from isthmus.distributed.joining import together

    with together(run) as others:
        yield others


def check_network(run: Run, model: str, more: str) -> None:
    """Check before a training that its model can be trained by several processes.

    Args:
        run: says whether there are several, and what is distributed.
        model: name of a builder in Python, or "auto", which compares models of all kinds.
        more: description of other settings that need the whole model; empty if there are none.

    Raises:
        SettingError: the model is "auto" or cannot be distributed, ``more`` is not empty, or ``torchrun`` did not start
            this process.
    """
    if run.shard is None:
        return
    if model == "auto" or more:
        raise SettingError(
            f"shard={run.shard!r} with {more or 'model=' + repr(model)}",
            expected="the name of a network over items, and nothing that needs all of it",
            remedy="name one, such as 'mult-vae', and give the rest to the bundle that is saved",
            option="name one, such as --model mult-vae, and give the rest to the bundle that is saved",
        )
    from isthmus.distributed.environment import check_started

    if not torch.distributed.is_initialized():
        check_started()


def check_alone(run: Run) -> None:
    """Check that several processes are not about to do the same work.

    Raises:
        SettingError: ``torchrun`` started several of them for a training in one.
    """
    if run.shard is None and several():
        raise SettingError(
            f"a training in one process, started {os.environ['WORLD_SIZE']} times by torchrun",
            expected="shard='rows' or 'batches'",
            remedy="add it for interactions or texts, or start one process",
            option="add --shards rows or --shards batches for interactions, or start one process",
        )


def several() -> bool:
    """Whether ``torchrun`` started this process and others."""
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"


def leads(run: Run) -> bool:
    """Whether this process writes and reports the results of a run."""
    if run.shard is None:
        return True
    from isthmus.distributed.environment import number

    return number("RANK", 0) == 0

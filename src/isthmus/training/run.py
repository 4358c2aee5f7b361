"""What merely runs a training: device, seed, precision, where to write. None of it is part of a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from isthmus.errors import SettingError
from isthmus.machine.hardware import multiplies_bf16, named_device, parsed_device
from isthmus.reprs import brief
from isthmus.training.progress import NoProgress, Progress
from isthmus.training.progress_display import as_progress

LEAST_WORK = 2**24
"""With fewer multiplications a pass takes longer in bf16: measured over networks of 9,000 and 98,000 weights and
batches of 32 to 1,024 rows."""


@brief
@dataclass(frozen=True)
class Run:
    """How a plan is carried out.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda``, one of several such as ``cuda:1``, or another kind of device that torch
            knows, such as ``mps``; ``auto`` takes CUDA where there is a device.
        seed: of the order of rows, the noise and the initial weights; the same seed gives the same weights bit for bit
            on one machine.
        precision: of matrix products: ``fp32``, ``bf16``, or ``auto``, which takes bf16 where the machine multiplies
            it in hardware and the products are large enough to pay for turning numbers into it.
        progress: what is called after every step and epoch.
        checkpoints: a directory for checkpoints; None writes none.
        every: epochs between checkpoints.
        resume: continue from the newest complete checkpoint in ``checkpoints``, if there is one.
        time_limit: seconds that training may take, validation included; afterwards it ends as Ctrl-C would end it;
            the epoch that is not done is scored, and kept if it is the best. None sets no limit.
        until: the epoch of the plan after which training ends, with all schedules as if it went on; None goes to the
            end of the plan.
    """

    device: str = "auto"
    seed: int = 0
    precision: str = "auto"
    progress: Progress = field(default_factory=NoProgress)
    checkpoints: Path | None = None
    every: int = 10
    resume: bool = False
    time_limit: float | None = None
    until: int | None = None

    def __post_init__(self) -> None:
        if self.device != "auto":
            parsed_device(self.device)
        if self.precision not in ("auto", "fp32", "bf16"):
            raise SettingError(f"precision {self.precision!r}", expected="auto, fp32 or bf16")
        if self.every < 1:
            raise SettingError(f"a checkpoint every {self.every} epochs", expected="at least 1")
        if self.time_limit is not None and not self.time_limit > 0:
            raise SettingError(f"time_limit={self.time_limit:g}", expected="more than 0 seconds, or no limit")
        if self.until is not None and self.until < 1:
            raise SettingError(f"training until epoch {self.until}", expected="at least 1, or no limit")
        if self.resume and self.checkpoints is None:
            raise SettingError("resume without a directory of checkpoints", remedy="name the directory to resume from")

    @classmethod
    def gather(
        cls,
        run: Run | None = None,
        seed: int = 0,
        device: str = "auto",
        precision: str = "auto",
        progress: Progress | bool = True,
        checkpoints: str | Path | None = None,
        resume: bool = False,
        time_limit: float | None = None,
        *,
        default: Run | None = None,
    ) -> Run:
        """What a ``fit`` was given one by one, as one object.

        Args:
            run: what was given as a whole instead.
            seed, device, precision, checkpoints, resume, time_limit: as in ``Run``.
            progress: whether it is shown, or what is called after every step and epoch.
            default: what the keywords are where the caller says nothing, if that is not ``Run()``.

        Raises:
            SettingError: ``run`` and one of the keywords, or a value outside its range.
        """
        place = None if checkpoints is None else Path(checkpoints)
        shown = NoProgress() if run is not None else as_progress(progress)
        given = cls(device, seed, precision, shown, place, resume=resume, time_limit=time_limit)
        if run is None:
            return given
        usual, names = default or cls(), ("seed", "device", "precision", "checkpoints", "resume", "time_limit")
        twice = [name for name in names if getattr(given, name) != getattr(usual, name)]
        twice += [] if progress is True else ["progress"]
        if twice:
            raise SettingError(
                f"run= together with {', '.join(twice)}", expected="one of them", remedy="put it into Run(...)"
            )
        return run

    def generator(self, device: str | torch.device = "cpu", stream: int = 0) -> torch.Generator:
        """A private generator; streams of one seed are independent."""
        mixed = (self.seed * 0x9E3779B97F4A7C15 + stream * 0xBF58476D1CE4E5B9) % 2**63
        return torch.Generator(device).manual_seed(mixed)

    def torch_device(self) -> torch.device:
        """The device in torch's terms.

        Raises:
            SettingError: a device was asked for that is not there.
        """
        return named_device(self.device)

    def products(self, work: int | float = math.inf) -> AbstractContextManager[Any]:
        """The context in which matrix products have the chosen precision.

        Args:
            work: multiplications of one pass, roughly: rows times numbers in matrices. By default as many as it takes.
        """
        device = self.torch_device().type
        pays = work >= LEAST_WORK and multiplies_bf16(device)
        bf16 = pays if self.precision == "auto" else self.precision == "bf16"
        return torch.autocast(device, torch.bfloat16, enabled=bf16)


@brief
@dataclass(frozen=True)
class Validation:
    """A score that decides which weights are best.

    Attributes:
        name: such as ``ndcg@100``.
        score: of the model as it stands; higher is better.
        every: epochs between scores.
        watch: more numbers for the record of a scored epoch, by name; they decide nothing.
    """

    name: str
    score: Callable[[nn.Module], float]
    every: int = 1
    watch: Callable[[nn.Module], Mapping[str, float]] | None = None

    def numbers(self, model: nn.Module, *, scored: bool = True) -> dict[str, float | int | str]:
        """The score under its name, unless this epoch is not to be scored, and whatever is watched."""
        numbers: dict[str, float | int | str] = {self.name: self.score(model)} if scored else {}
        return numbers | dict(self.watch(model) if self.watch else {})

"""How a training is run: device, seed, precision, checkpoints. These settings are not part of a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from isthmus.checked.arguments import ABOVE_ZERO, checked_seed, choice, flag, path_of, real, whole
from isthmus.errors import SettingError
from isthmus.machine.devices import named_device, parsed_device
from isthmus.machine.hardware import multiplies_bf16
from isthmus.reprs import brief
from isthmus.training.loggers.logged import Log, Logged
from isthmus.training.progress import NoProgress, Progress
from isthmus.training.progress_display import as_progress

LEAST_WORK = 2**24
"""With fewer multiplications, a pass is slower in bf16 (measured for networks of 9,000 and 98,000 weights and batches
of 32 to 1,024 rows)."""


@brief
@dataclass(frozen=True)
class Run:
    """How a training is run.

    Attributes:
        device: ``auto``, ``cpu``, ``cuda``, one of several such as ``cuda:1``, or another kind of device that PyTorch
            knows, such as ``mps``; ``auto`` uses CUDA if there is a device.
        seed: seed of the order of rows, the noise and the initial weights; on one machine, the same seed gives the same
            weights bit for bit, on CUDA with the exceptions in the guide "Control the training".
        precision: precision of matrix products: ``fp32``, ``bf16``, or ``auto``, which uses bf16 where it is
            faster on this hardware and the products are large enough; see ``isthmus.machine.hardware``.
        progress: receives a call after every step and epoch.
        checkpoints: directory for checkpoints; None writes none.
        every: epochs between checkpoints.
        resume: continue from the newest complete checkpoint in ``checkpoints``, if there is one.
        time_limit: seconds that training may take, validation included; afterwards it ends as after Ctrl-C; the
            unfinished epoch is scored, and kept if it is the best. None sets no limit.
        graphs: whether steps are captured in CUDA graphs and replayed, which saves the host's work of launching each
            operation: ``auto`` if device, model and data set allow it, ``True`` with a warning if they do not,
            ``False`` never. Batches are then padded to a few sizes, so that different random numbers are drawn.
        until: the epoch of the plan after which training ends, with all schedules as for the whole plan; None trains to
            the end of the plan.
        deterministic: only use operations whose results are the same bit for bit in every run, and raise an error if
            PyTorch has none; on a CPU all are. See the guide "Control the training" for what is guaranteed on CUDA
            without it.
        shard: None trains in this process. With the processes that ``torchrun`` started, "rows" distributes the rows of
            the item tables over them, and "batches" the rows of each batch; see the guide "When one machine is not
            enough".
        groups: with ``shard="rows"``, into how many groups the processes are divided. The processes of a group have all
            rows of the tables together, and each group computes a part of each batch.
        log: called with the record of each epoch, see ``isthmus.training.loggers``; it becomes a part of ``progress``.
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
    graphs: bool | str = "auto"
    deterministic: bool = False
    shard: str | None = None
    groups: int = 1
    log: InitVar[Log | None] = None

    def __post_init__(self, log: Log | None) -> None:
        if not (isinstance(self.device, str) and self.device == "auto"):
            parsed_device(self.device)
        choice("precision", self.precision, ("auto", "fp32", "bf16"))
        if self.shard is not None:
            choice("shard", self.shard, ("rows", "batches"))
        plain: dict[str, Any] = {"seed": checked_seed(self.seed), "every": whole("every", self.every, least=1)}
        plain["groups"] = whole("groups", self.groups, least=1)
        plain["resume"] = flag("resume", self.resume)
        if not (isinstance(self.graphs, str) and self.graphs == "auto"):
            plain["graphs"] = flag("graphs", self.graphs)
        plain["deterministic"] = flag("deterministic", self.deterministic)
        if self.checkpoints is not None:
            plain["checkpoints"] = folder = path_of("checkpoints", self.checkpoints)
            if folder.is_file():
                raise SettingError(f"checkpoints={str(folder)!r} is a file", expected="a directory")
        if self.time_limit is not None:
            expected = "more than 0 seconds, or no limit"
            plain["time_limit"] = real("time_limit", self.time_limit, expected, least=ABOVE_ZERO)
        if self.until is not None:
            plain["until"] = whole("until", self.until, least=1)
        if log is not None:
            plain["progress"] = Logged(self.progress, log)
        for name, value in plain.items():
            object.__setattr__(self, name, value)
        if self.groups > 1 and self.shard != "rows":
            raise SettingError(
                f"groups={self.groups} with shard={self.shard!r}",
                expected="shard='rows'",
                remedy="omit groups: with shard='batches' every process computes a part of each batch",
            )
        if self.resume and self.checkpoints is None:
            raise SettingError("resume without a directory of checkpoints", remedy="give the directory to resume from")

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
        log: Log | None = None,
        *,
        shard: str | None = None,
        groups: int = 1,
        default: Run | None = None,
    ) -> Run:
        """Combine the keywords of a ``fit`` into one object.

        Args:
            run: a ``Run`` that was given instead of the keywords.
            seed, device, precision, checkpoints, resume, time_limit, shard, groups: as in ``Run``.
            progress: whether to show the progress, or an object that receives it.
            log: called with the record of each epoch.
            default: defaults of the keywords, if they differ from ``Run()``.

        Returns:
            The combined object.

        Raises:
            SettingError: both ``run`` and one of the keywords, or a value outside its range.
        """
        place = None if checkpoints is None else path_of("checkpoints", checkpoints)
        shown = NoProgress() if run is not None else as_progress(progress)
        together: dict[str, Any] = {"shard": shard, "groups": groups}
        given = cls(device, seed, precision, shown, place, resume=resume, time_limit=time_limit, log=log, **together)
        if run is None:
            return given
        names = ("seed", "device", "precision", "checkpoints", "resume", "time_limit", *together)
        usual = default or cls()
        twice = [name for name in names if getattr(given, name) != getattr(usual, name)]
        twice += ([] if progress is True else ["progress"]) + ([] if log is None else ["log"])
        if twice:
            raise SettingError(
                f"run= together with {', '.join(twice)}",
                expected="either run= or the keywords",
                remedy="set it in Run(...)",
            )
        return run

    def generator(self, device: str | torch.device = "cpu", stream: int = 0) -> torch.Generator:
        """A private random generator; streams of one seed are independent."""
        mixed = (self.seed * 0x9E3779B97F4A7C15 + stream * 0xBF58476D1CE4E5B9) % 2**63
        return torch.Generator(device).manual_seed(mixed)

    def torch_device(self) -> torch.device:
        """The device as a torch object.

        Raises:
            SettingError: the requested device does not exist.
        """
        return named_device(self.device)

    def products(self, work: int | float = math.inf) -> AbstractContextManager[Any]:
        """The context in which matrix products have the chosen precision.

        Args:
            work: approximate number of multiplications per pass: rows times numbers in matrices. By default unlimited.
        """
        device = self.torch_device().type
        pays = work >= LEAST_WORK and multiplies_bf16(device)
        bf16 = pays if self.precision == "auto" else self.precision == "bf16"
        if not (bf16 or torch.is_autocast_enabled(device)):
            return nullcontext()
        return torch.autocast(device, torch.bfloat16, enabled=bf16)


@brief
@dataclass(frozen=True)
class Validation:
    """A score that chooses the best weights.

    Attributes:
        name: such as ``ndcg@100``.
        score: computes the score of the model in its current state; higher is better.
        every: epochs between scores.
        watch: further values for the record of a scored epoch, by name; they do not affect the choice.
    """

    name: str
    score: Callable[[nn.Module], float]
    every: int = 1
    watch: Callable[[nn.Module], Mapping[str, float]] | None = None

    def numbers(self, model: nn.Module, *, scored: bool = True) -> dict[str, float | int | str]:
        """The score under its name, unless this epoch is not scored, and the watched values."""
        numbers: dict[str, float | int | str] = {self.name: self.score(model)} if scored else {}
        return numbers | dict(self.watch(model) if self.watch else {})

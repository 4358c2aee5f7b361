"""One fit of a rival as a process of its own: handed its matrices, watched, halted or ended from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, save_npz

from benchmarks.processes import SCRIPTS
from isthmus_interactions.splits import FoldIn

GIB = 2**30
SPARE = GIB // 2
"""What the machine must have left; below, the process is ended before the system ends somebody else's."""
TAIL = 600
SLEEP = 0.1


class StopAskedError(Exception):
    """The stop file is there."""


@dataclass(frozen=True)
class Environments:
    """The Python of each library."""

    pythons: Mapping[str, Path]


@dataclass(frozen=True)
class Limits:
    """What a fit may take. ``minutes`` and ``training_minutes`` are of the processor: others may share the machine.

    Attributes:
        minutes: beyond, the process is ended.
        training_minutes: no epoch begins later.
        gib: resident memory; beyond, the process is ended.
        stop_file: everything ends when it exists.
        pause_file: the process is halted while it exists.
    """

    minutes: float
    training_minutes: float
    gib: float
    stop_file: Path | None
    pause_file: Path | None


@dataclass(frozen=True)
class Outcome:
    """How a fit ended and what is known of it: done, over memory, over time, machine out of memory or failed."""

    outcome: str
    fields: dict[str, Any]


def hand_over(
    folder: Path, train: csr_array, fold: FoldIn, people: npt.NDArray[np.int64], *, early_stopping: bool
) -> None:
    """Write what ``rivals/handover.py`` reads; what is held out only for stopping early, never of a test."""
    save_npz(folder / "train.npz", train)
    save_npz(folder / "history.npz", fold.history)
    np.save(folder / "people.npy", people)
    if early_stopping:
        save_npz(folder / "held_out.npz", fold.held_out)


def supervised(folder: Path, library: str, environments: Environments, limits: Limits) -> Outcome:
    """Run the job in ``folder`` to its end, or end it.

    Raises:
        StopAskedError: the stop file came into being; the process is gone.
    """
    paused = wait(limits)
    one_core = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = ["nice", "-n", "5", str(environments.pythons[library]), str(SCRIPTS / f"{library}_ranking.py"), "."]
    with (folder / "log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **one_core}, stdout=log, stderr=log)
    try:
        ended, paused = watched(process, limits)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    fields: dict[str, Any] = {**ended, "threads": 1, "training_minutes": limits.training_minutes}
    reason = fields.pop("reason")
    if reason == "done" and process.returncode == 0:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        return Outcome("done", {**fields, **report, "fit_seconds": report["fit_seconds"] - paused})
    if reason == "done":
        fields["error"] = (folder / "log").read_text(encoding="utf-8", errors="replace")[-TAIL:]
        return Outcome("failed", fields)
    return Outcome(reason, fields)


def watched(process: subprocess.Popen[bytes], limits: Limits) -> tuple[dict[str, Any], float]:
    """Until it ends or is to be ended: why, the peak of its memory, its processor's time, and seconds halted."""
    peak, processor, paused = 0, 0.0, 0.0
    while process.poll() is None:
        peak, processor = max(peak, _peak(process.pid)), _processor(process.pid) or processor
        known = {"peak_gib": round(peak / GIB, 3), "process_cpu_seconds": round(processor, 1)}
        if peak > limits.gib * GIB:
            return {"reason": "over memory", **known}, paused
        if processor > 60 * limits.minutes:
            return {"reason": "over time", **known}, paused
        if _available() < SPARE:
            return {"reason": "machine out of memory", **known}, paused
        if limits.pause_file is not None and limits.pause_file.exists():
            process.send_signal(signal.SIGSTOP)
            try:
                paused += wait(limits)
            finally:
                process.send_signal(signal.SIGCONT)
        _stop(limits)
        time.sleep(SLEEP)
    return {"reason": "done", "peak_gib": round(peak / GIB, 3), "process_cpu_seconds": round(processor, 1)}, paused


def wait(limits: Limits) -> float:
    """Until the pause file is gone; the seconds that took."""
    start = time.perf_counter()
    _stop(limits)
    while limits.pause_file is not None and limits.pause_file.exists():
        _stop(limits)
        time.sleep(1)
    return time.perf_counter() - start


def _stop(limits: Limits) -> None:
    if limits.stop_file is not None and limits.stop_file.exists():
        raise StopAskedError


def _peak(process: int) -> int:
    """The largest resident memory so far, bytes; 0 when the process is gone."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)


def _available() -> int:
    """Memory that the machine has left, bytes."""
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def _processor(process: int) -> float:
    """Seconds of the processor so far; 0 when the process is gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

"""A server in a process of its own, for measurements and tests."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.errors import InputError

PATIENCE = 300.0
"""Seconds that a server may take to load its bundles."""


@dataclass(frozen=True)
class Child:
    """A running server.

    Attributes:
        address: where it answers.
        process: its process.
        log: what it wrote to standard error.
    """

    address: str
    process: subprocess.Popen[bytes]
    log: Path

    def megabytes(self) -> float | None:
        """Its resident memory; None where the system does not say."""
        try:
            lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), None)

    def processor_seconds(self) -> float | None:
        """The time that it has computed, on all cores together; None where the system does not say."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return None


@contextlib.contextmanager
def served(*arguments: str, command: Sequence[str] = ("-m", "isthmus", "serve"), **env: str) -> Iterator[Child]:
    """Run ``isthmus serve`` with a free port, and stop it afterwards.

    Args:
        arguments: bundles and options.
        command: of this Python; by default that of isthmus.
        env: further variables of its environment.

    Raises:
        InputError: it does not start; the message has the last of what it said.
    """
    with tempfile.TemporaryDirectory(prefix="isthmus-") as folder:
        log = Path(folder) / "log"
        whole: list[Any] = [sys.executable, *command, *arguments, "--port", "0"]
        with log.open("wb") as file:
            process = subprocess.Popen(whole, stdin=subprocess.DEVNULL, stderr=file, env={**os.environ, **env})
        try:
            yield Child(_address(process, log), process, log)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        said = log.read_text(encoding="utf-8", errors="replace").splitlines()
        found = next((line.split()[0] for line in said if line.startswith("http://")), None)
        if found is not None:
            return found
        if process.poll() is not None:
            raise InputError("a server that does not start", remedy=" ".join(said[-1:]))
        time.sleep(0.05)
    raise InputError(f"a server that did not start within {PATIENCE:.0f} s")

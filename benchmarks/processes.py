"""Work in processes of its own: ours where nothing else may be counted, and rivals in their own environments."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from isthmus.errors import IsthmusError

SCRIPTS = Path(__file__).parent / "rivals"

Python = Annotated[Path | None, typer.Option(help="The interpreter of the rivals' environment.")]


class RivalError(IsthmusError):
    """A rival's process failed, or its environment was not named."""


def alone(work: Callable[..., Any], *arguments: Any, apart: bool = True) -> Any:
    """The answer of a process of ours that does this work and nothing else.

    Args:
        work: a function of a module.
        arguments: its arguments.
        apart: without it this process does the work, which is enough where nothing is measured.
    """
    if not apart:
        return work(*arguments)
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_send, args=(work, arguments, there))
    process.start()
    there.close()
    try:
        return here.recv()
    except EOFError:
        raise RuntimeError(f"{work.__qualname__} ended without an answer") from None
    finally:
        process.join()


def _send(work: Callable[..., Any], arguments: tuple[Any, ...], pipe: Connection) -> None:
    pipe.send(work(*arguments))


def available(python: Path | None, rival: str, *, smoke: bool) -> bool:
    """Whether a rival can be run.

    Args:
        python: the interpreter of its environment, if one was named.
        rival: its name, for the message.
        smoke: whether it may be left out; that is said.

    Raises:
        RivalError: it is needed and its environment was not named or is not there.
    """
    if python is not None and python.exists():
        return True
    if not smoke:
        raise RivalError(
            f"no environment of {rival}" if python is None else f"{python} as the environment of {rival}",
            expected="the path of its interpreter",
        )
    print(f"{rival} left out: its environment was not named", file=sys.stderr, flush=True)
    return False


def answered(
    python: Path | str, script: str, *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Any:
    """What a script of ``rivals/`` says: the last line that it prints, which is JSON; None where it prints nothing.

    Args:
        python: the interpreter that runs it.
        script: the name of its file.
        arguments: of the command line.
        cwd: where it runs.
        env: variables beside those of this process.

    Raises:
        RivalError: it failed; with the end of what it wrote.
    """
    command = [str(python), str(SCRIPTS / script), *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RivalError(f"{script} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else None


class Server:
    """A script of ``rivals/`` that waits for lines and answers each with a line of JSON."""

    def __init__(self, python: Path | str, script: str, *arguments: object, log: Path, **env: str) -> None:
        command = [str(python), str(SCRIPTS / script), *map(str, arguments)]
        self._log = log.open("w", encoding="utf-8")
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, **env},
        )
        if self._read() != "ready\n":
            raise RivalError(f"{script} did not start: {log.read_text(encoding='utf-8')[-2000:]}")

    def ask(self, line: object = "") -> Any:
        """The answer to a line."""
        sent: IO[str] | None = self._process.stdin
        assert sent is not None
        sent.write(f"{line}\n")
        sent.flush()
        return json.loads(self._read())

    def close(self) -> None:
        """Let it end."""
        self._process.communicate(timeout=60)
        self._log.close()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

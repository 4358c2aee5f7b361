"""Run as a script: fits faces with four threads, asks them here, and again in other processes; prints as JSON which
answers are not the same. A process that does not answer in time is killed.

    python process_run.py SECONDS METHOD[,METHOD] FACE[,FACE...]

``fork`` is ``os.fork`` and, after the answers of a first child, one that fits faces of its own; other methods are those
of ``multiprocessing``, whose child gets the faces as they are after their verbs.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from tiny_faces import alike, answers_of, made

WIDE = 700
"""Of a product of matrices that torch shares out among its threads."""


def answer(faces: Mapping[str, Any], out: Path) -> None:
    """Write what all faces answer."""
    out.write_text(json.dumps({name: answers_of(name, face) for name, face in faces.items()}), encoding="utf-8")


def fit_again(faces: Mapping[str, Any], out: Path) -> None:
    """Write what faces answer that are fitted here, in a thread."""
    threading.Thread(target=lambda: answer({name: made(name) for name in faces}, out)).start()


def fork(work: Callable[[], None], seconds: float) -> str:
    """Do it in a child; returns what went wrong."""
    child = os.fork()
    if not child:
        try:
            work()
            for thread in threading.enumerate():
                if thread is not threading.current_thread() and not thread.daemon:
                    thread.join()
        finally:
            os._exit(0)
    last = time.monotonic() + seconds
    while time.monotonic() < last:
        if os.waitpid(child, os.WNOHANG)[0]:
            return ""
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hangs"


def start(method: str, faces: Mapping[str, Any], out: Path, seconds: float) -> str:
    """The same by multiprocessing."""
    child = multiprocessing.get_context(method).Process(target=answer, args=(faces, out))
    child.start()
    child.join(seconds)
    if child.is_alive():
        child.kill()
        return "hangs"
    return "" if child.exitcode == 0 else f"exit status {child.exitcode}"


def compared(expected: Any, out: Path, failure: str) -> list[str]:
    """What went wrong: a failure, or the verbs that answered something else."""
    if failure or not out.exists():
        return [failure or "no answer"]
    found = json.loads(out.read_text(encoding="utf-8"))
    return [
        f"{name}: {verb}"
        for name, verbs in expected.items()
        for verb, one in verbs.items()
        if not alike(one, found[name][verb])
    ]


def main(seconds: float, methods: list[str], names: list[str]) -> dict[str, list[str]]:
    """What went wrong, by method."""
    torch.set_num_threads(4)
    faces = {name: made(name) for name in names}
    torch.randn(WIDE, WIDE) @ torch.randn(WIDE, WIDE)
    expected = json.loads(json.dumps({name: answers_of(name, face) for name, face in faces.items()}))
    wrong = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, method in enumerate(methods):
            out, again = Path(folder, f"{number}.json"), Path(folder, f"{number}-again.json")
            if method != "fork":
                wrong[method] = compared(expected, out, start(method, faces, out, seconds))
                continue
            wrong["fork"] = compared(expected, out, fork(lambda out=out: answer(faces, out), seconds))
            failure = fork(lambda again=again: fit_again(faces, again), seconds)
            wrong["fit in a fork"] = [failure] if failure else [] if again.exists() else ["no answer"]
    return wrong


if __name__ == "__main__":
    print(json.dumps(main(float(sys.argv[1]), sys.argv[2].split(","), sys.argv[3].split(","))))

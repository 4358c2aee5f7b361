"""What was fitted answers in other processes as it did in its own: forked, spawned, and after a copy."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_faces import MAKERS, alike, answers_of, made, numbers

from isthmus.errors import SettingError
from isthmus.index import Index, threads
from isthmus.machine import processes
from isthmus.training import interrupts
from isthmus.training.run import Run

SUPPORT = Path(__file__).parent.parent / "support"

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def ran(methods: str, names: list[str]) -> dict[str, Any]:
    paths = os.pathsep.join([str(SUPPORT), *sys.path])
    script = [sys.executable, "-W", "error", str(SUPPORT / "process_run.py"), "100", methods, ",".join(names)]
    done = subprocess.run(
        script,
        capture_output=True,
        text=True,
        timeout=540,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "4"},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_a_forked_child_answers_and_fits() -> None:
    assert ran("fork", ["index", "detector"]) == {"fork": [], "fit in a fork": []}


@pytest.mark.slow
def test_all_faces_answer_in_other_processes() -> None:
    found = ran("fork,spawn,forkserver", list(MAKERS))
    assert found == {"fork": [], "fit in a fork": [], "spawn": [], "forkserver": []}


@pytest.fixture(scope="module", params=list(MAKERS))
def face(request: pytest.FixtureRequest) -> tuple[str, Any]:
    return request.param, made(request.param)


@pytest.mark.slow
def test_copies_answer_the_same(face: tuple[str, Any]) -> None:
    name, one = face
    expected = answers_of(name, one)
    for copied in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one), copy.copy(one)):
        assert alike(answers_of(name, copied), expected)


@pytest.mark.slow
def test_threads_answer_as_one_thread_does(face: tuple[str, Any]) -> None:
    name, one = face
    fresh = copy.deepcopy(one)  # nothing is cached yet
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: answers_of(name, fresh), range(4)))
    assert all(alike(answers, answers_of(name, one)) for answers in found)


def test_a_copy_of_an_index_changes_alone() -> None:
    index = Index.build(numbers(5))
    for copied in (copy.copy(index), copy.deepcopy(index), pickle.loads(pickle.dumps(index))):
        copied.remove([0])
        assert (len(copied), len(index)) == (4, 5)


def test_a_fit_works_in_another_thread() -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(made("vector")))
    thread.start()
    thread.join()
    assert alike(answers_of("vector", found[0]), answers_of("vector", made("vector")))


def test_in_a_child(tmp_path: Path) -> None:
    """One process has all of it: a thread, a lock that was held, a ``fit`` under way."""
    lock, out = processes.ForkSafeLock(), tmp_path / "found.json"
    with lock, interrupts.interruptible() as stop:
        child = os.fork()
        if not child:
            try:
                with lock, threads.limit(3), interrupts.interruptible() as own:
                    found = [processes.is_forked(), torch.get_num_threads(), own is stop]
                out.write_text(json.dumps(found))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
    assert json.loads(out.read_text()) == [True, 1, False]
    assert not processes.is_forked()


def test_cuda_is_left_alone_in_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(processes, "cuda_is_lost", lambda: True)
    assert Run().torch_device() == torch.device("cpu")
    with pytest.raises(SettingError, match="forked"):
        Run(device="cuda").torch_device()

"""A fault at each call to the file system: what is there afterwards is the old or the new, whole, the error has its own
name, and nothing is left over after the next time."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.disk import replaced, written

SUPPORT = Path(__file__).parents[1] / "support"
CALLS = ("chmod", "fsync", "mkdir", "open", "rename", "replace", "rmdir", "unlink")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="faults are made on Linux")


def put_folder(place: Path, content: str) -> None:
    with replaced(place) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "x").write_text(content)


def put_file(place: Path, content: str) -> None:
    with written(place) as file:
        file.write(content.encode())


def get(place: Path) -> str:
    return (place / "deep" / "x" if place.is_dir() else place).read_text()


@pytest.mark.parametrize("put", [put_folder, put_file])
@pytest.mark.parametrize("failure", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_each_call_of_python_may_fail(tmp_path: Path, put, failure: BaseException):
    """Calls of ``os`` that change something, one after the other."""
    for at in range(1, 100):
        folder = tmp_path / str(at)
        folder.mkdir()
        put(folder / "a", "old")
        failed = with_fault(lambda folder=folder: put(folder / "a", "new"), at, failure)
        assert get(folder / "a") in ("old", "new")
        put(folder / "a", "again")
        assert get(folder / "a") == "again"
        assert [path.name for path in folder.iterdir()] == ["a"]
        if not failed:
            break
    assert at > 4


def with_fault(work, at: int, failure: BaseException) -> bool:
    """Whether the work came to the call of that number, which fails."""
    count = 0

    def counted(call):
        def instead(*given, **named):
            nonlocal count
            count += 1
            if count == at:
                raise failure
            return call(*given, **named)

        return instead

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, counted(getattr(os, name)))
        try:
            work()
        except type(failure):
            pass
    return count >= at


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None:
        pytest.skip("no C compiler")
    made = tmp_path_factory.mktemp("shim") / "faulty_disk.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, SUPPORT / "faulty_disk.c", "-ldl"], check=True)
    return made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operation", "calls"),
    [("save", 20), ("first", 6), ("update", 4), ("index", 8), ("export", 8), ("answers", 8), ("training", 6)],
)
def test_each_call_of_the_system_may_fail_or_be_the_last(tmp_path: Path, shim: Path, operation: str, calls: int):
    """Killed there, or a full disk, a disk that fails, a right that is missing; see ``fault_driver.py``."""
    path = os.pathsep.join([str(SUPPORT), *sys.path])
    environment = {**os.environ, "LD_PRELOAD": str(shim), "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SUPPORT / "fault_driver.py"), operation, str(tmp_path / "a"), str(calls)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["calls"] > 4
    assert found["outcomes"]["kill: killed"] > 0
    assert found["outcomes"]["ENOSPC: failed"] > 0

"""Folders replace each other in one step, or in two where the system cannot; what killed processes left goes away."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from isthmus.disk import folders, new_folder, private_folder, replaced, scratch, steadily
from isthmus.errors import BundleError, InputError

posix = pytest.mark.skipif(os.name != "posix", reason="modes and locks of POSIX")

TWO_STEPS = """
import os, sys
from isthmus.disk import folders, replaced
folders.exchange = lambda *_: False
rename = os.rename
def once(*paths):
    rename(*paths)
    if once.left == 0: os.kill(os.getpid(), 9)
    once.left -= 1
once.left = int(sys.argv[2])
os.rename = once
with replaced(sys.argv[1]) as folder: (folder / "x").write_text("new")
"""
"""Is killed after one of two renames."""


@pytest.fixture(params=["exchange", "two renames"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "two renames":
        monkeypatch.setattr(folders, "exchange", lambda *_: False)
    return str(request.param)


def put(place: Path, content: str) -> None:
    with replaced(place, durable=False) as folder:
        (folder / "deep").mkdir()
        for name in ("one", "deep/two"):
            (folder / name).write_text(content)


def fail_half_way(place: Path) -> None:
    with replaced(place) as folder:
        (folder / "one").write_text("new")
        raise OSError(errno.ENOSPC, "full")


def content(place: Path) -> str:
    one, two = ((place / name).read_text() for name in ("one", "deep/two"))
    assert one == two, "of two states"
    return one


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_new_over_old(tmp_path: Path, way: str):
    for number in range(3):
        put(tmp_path / "a", str(number))
        assert content(tmp_path / "a") == str(number)
        assert names(tmp_path) == ["a"]


def test_what_fails_leaves_the_old_one(tmp_path: Path, way: str):
    put(tmp_path / "a", "old")
    with pytest.raises(OSError, match="full") as raised:
        fail_half_way(tmp_path / "a")
    assert raised.value.filename == str(tmp_path / "a")
    assert (names(tmp_path), content(tmp_path / "a")) == (["a"], "old")


def test_readers_beside_writers(tmp_path: Path, way: str):
    """Two threads replace a folder again and again; what is read is always of one state."""
    place, over = tmp_path / "a", threading.Event()
    put(place, "begin")

    def write(name: str) -> None:
        number = 0
        while not over.is_set():
            number += 1
            put(place, f"{name} {number}")

    writers = [threading.Thread(target=write, args=(name,)) for name in ("left", "right")]
    for writer in writers:
        writer.start()
    found: list[str] = []
    # A slow disk lets many reads see the same state.
    while len(found) < 300 or (len(set(found)) < 5 and len(found) < 100_000):
        found.append(steadily(place, content))
    over.set()
    for writer in writers:
        writer.join()
    assert len(set(found)) >= 5
    assert names(tmp_path) == ["a"]


def test_what_is_missing_or_damaged_is_said_at_once(tmp_path: Path):
    calls: list[Path] = []

    def fails(folder: Path) -> None:
        calls.append(folder)
        raise BundleError("damaged")

    for place in (tmp_path / "none", tmp_path):
        with pytest.raises(BundleError, match="damaged"):
            steadily(place, fails)
    assert calls == [tmp_path / "none", tmp_path]


@posix
@pytest.mark.parametrize("renames", [0, 1])
def test_a_kill_between_two_renames_loses_nothing(tmp_path: Path, renames: int):
    place = tmp_path / "a"
    put(place, "old")
    for by in ("reader", "writer"):
        killed = subprocess.run([sys.executable, "-c", TWO_STEPS, str(place), str(renames)], check=False)
        assert killed.returncode == -9
        assert len(names(tmp_path)) > 1
        if by == "reader":
            assert steadily(place, names) == (["deep", "one"] if renames == 0 else ["x"])
        put(place, by)
        assert (names(tmp_path), content(place)) == (["a"], by)


@posix
def test_only_what_nobody_writes_is_swept(tmp_path: Path):
    dead = [tmp_path / f".a.{'0' * 12}.partial", tmp_path / f".a.{'1' * 12}.replaced"]
    others = [tmp_path / f".b.{'0' * 12}.partial", tmp_path / ".a.partial", tmp_path / ".a.0123456789az.partial"]
    put(tmp_path / "a", "first")
    for path in dead:
        put(path, "left")
    for path in others:
        path.write_text("")
    with replaced(tmp_path / "a") as first:
        assert not any(path.exists() for path in dead)
        put(tmp_path / "a", "second")
        assert first.exists()
        (first / "one").write_text("first")
    assert names(tmp_path) == sorted(["a", *(path.name for path in others)])
    assert names(tmp_path / "a") == ["one"]
    scratch.sweep_folder(tmp_path)
    assert not others[0].exists()
    assert others[1].exists()


@posix
def test_the_mode_of_the_old_one_stays_even_without_the_right_to_write(tmp_path: Path, way: str):
    put(tmp_path / "a", "old")
    (tmp_path / "a").chmod(0o2550)
    put(tmp_path / "a", "new")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o2550
    assert content(tmp_path / "a") == "new"
    assert names(tmp_path) == ["a"]


def test_a_folder_that_must_be_new(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "other/new"):
        with new_folder(tmp_path / name) as folder:
            (folder / "x").write_text("")
        with pytest.raises(InputError, match="exists"), new_folder(tmp_path / name):
            pass
        assert names(tmp_path / name) == ["x"]
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotADirectoryError), replaced(tmp_path / "file"):
        pass
    assert (tmp_path / "file").read_text() == "mine"


@posix
def test_a_private_folder_of_a_killed_process_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = "import os; from isthmus.disk import private_folder\n"
    code += "with private_folder('isthmus-x') as f: (f / 'y').write_text(''); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)}, check=False)
    assert len(names(tmp_path)) == 1
    with private_folder("isthmus-x") as folder:
        assert names(tmp_path) == [folder.name]
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert names(tmp_path) == []


def test_names_as_long_as_the_file_system_takes(tmp_path: Path):
    place = tmp_path / ("ä" * 120)
    for text in ("old", "new"):
        put(place, text)
    assert (content(place), len(names(tmp_path))) == ("new", 1)

"""Other users, folders in which nothing may be written, and disks that are full."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus import bundle
from isthmus.disk import allocate, written
from isthmus.errors import InputError
from isthmus.index import Index

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="users and file systems of Linux")
NOBODY, GROUP = 65534, 60_000
LARGE = 400_000


def save(place: Path, number: int, size: int = 10) -> None:
    tensors = {"a": torch.full((size,), float(number))}
    bundle.write(place, plugin="letters", builder="x", settings={}, tensors=tensors, documents={"a.json": "{}"})


def number_of(place: Path) -> int:
    return int(bundle.read(place).tensors["a"][0])


def as_nobody(work: Callable[[], object], *groups: int) -> str:
    """What goes wrong where another user does it; nothing where all is well."""
    if os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        said = ""
        try:
            os.setgroups(groups)
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            work()
        except BaseException as error:
            said = "".join(traceback.format_exception_only(error))
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder that everybody can reach."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & stat.S_IXOTH:
            folder.chmod(0o755)
    return tmp_path


def test_everybody_reads_what_the_umask_allows(shared: Path):
    save(shared / "a", 1)
    Index.build(np.eye(3)).save(shared / "index")
    assert as_nobody(lambda: [number_of(shared / "a"), Index.load(shared / "index")]) == ""
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (shared / "a").rglob("*") if path.is_file()}
    assert len(set(modes.values())) == 1, modes


def test_nobody_else_writes(shared: Path):
    save(shared / "a", 1)
    assert "InputError: nothing may be written in" in as_nobody(lambda: save(shared / "a", 2))
    assert "InputError: nothing may be written in" in as_nobody(lambda: Index.build(np.eye(3)).export(shared / "x.npy"))
    assert number_of(shared / "a") == 1
    assert [path.name for path in shared.iterdir()] == ["a"]


def test_a_group_shares_a_folder(shared: Path):
    """Who may write in the folder may replace what others saved there; its group and mode stay."""
    if os.geteuid() != 0:
        pytest.skip("only root gives files to groups")
    os.chown(shared, -1, GROUP)
    shared.chmod(0o2775)
    save(shared / "a", 1)
    (shared / "a").chmod(0o2770)
    assert as_nobody(lambda: save(shared / "a", 2), GROUP) == ""
    found = (shared / "a").stat()
    assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (GROUP, 0o2770)
    assert {path.stat().st_gid for path in (shared / "a").rglob("*")} == {GROUP}
    save(shared / "a", 3)
    # Root gives what it replaces back to its owner.
    assert (shared / "a" / "weights.safetensors").stat().st_uid == NOBODY
    assert as_nobody(lambda: number_of(shared / "a")) == ""


def test_a_read_only_file_is_not_replaced(shared: Path):
    shared.chmod(0o777)
    (shared / "a.npy").write_bytes(b"mine")
    (shared / "a.npy").chmod(0o444)
    assert "may not be written to" in as_nobody(lambda: Index.build(np.eye(3)).export(shared / "a.npy"))
    assert (shared / "a.npy").read_bytes() == b"mine"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def memory_map(path: Path) -> None:
    with written(path) as file:
        codes = np.lib.format.open_memmap(file.name, mode="w+", dtype=np.float32, shape=(LARGE,))
        allocate(file, codes.offset, codes.offset + codes.nbytes)
        codes[:] = 1


LARGE_WORK: dict[str, Callable[[Path], object]] = {
    "bundle": lambda place: save(place, 2, LARGE),
    "index": lambda place: Index.build(np.ones((LARGE // 4, 4))).save(place),
    "export": lambda place: Index.build(np.ones((LARGE // 4, 4))).export(place.with_suffix(".npy")),
    "memory map": lambda place: memory_map(place.with_suffix(".npy")),
}


@pytest.mark.parametrize("what", LARGE_WORK)
def test_a_full_disk_is_an_error_with_the_path_and_loses_nothing(small: Path, what: str):
    save(small / "a", 1)
    with pytest.raises(OSError, match="No space left") as raised:
        LARGE_WORK[what](small / "a")
    assert raised.value.errno == errno.ENOSPC
    assert str(raised.value.filename).startswith(str(small / "a"))
    assert [path.name for path in small.iterdir()] == ["a"]
    assert number_of(small / "a") == 1
    save(small / "a", 3)
    assert number_of(small / "a") == 3


@pytest.mark.parametrize("what", LARGE_WORK)
def test_files_that_may_not_grow(tmp_path: Path, what: str):
    """As a full disk, where no file system can be mounted."""
    import resource

    save(tmp_path / "a", 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        with pytest.raises(OSError, match="too large") as raised:
            LARGE_WORK[what](tmp_path / "a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(raised.value.filename).startswith(str(tmp_path / "a"))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert number_of(tmp_path / "a") == 1


def test_a_file_system_that_is_read_only(small: Path):
    save(small / "a", 1)
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    with pytest.raises((InputError, OSError)) as raised:
        save(small / "a", 2)
    assert str(small) in str(raised.value)
    assert number_of(small / "a") == 1

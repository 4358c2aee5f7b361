"""Files appear whole or not at all; links are written through, and streams into."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from isthmus.disk import allocate, check_file, check_new_file, is_stream, written
from isthmus.errors import InputError

posix = pytest.mark.skipif(os.name != "posix", reason="links, pipes and modes of POSIX")


def put(path: str | Path, content: bytes) -> None:
    with written(path) as file:
        file.write(content)


def fail_half_way(path: Path, error: BaseException) -> None:
    with written(path) as file:
        file.write(b"half")
        raise error


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("kind", [OSError, KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("old", [b"old", None])
def test_old_or_new(tmp_path: Path, kind: type[BaseException], old: bytes | None):
    place, error = tmp_path / "a.npy", kind(errno.ENOSPC, "No space left")
    if old is not None:
        place.write_bytes(old)
    with pytest.raises(kind) as raised:
        fail_half_way(place, error)
    assert names(tmp_path) == ([] if old is None else ["a.npy"])
    assert old is None or place.read_bytes() == old
    assert not isinstance(error, OSError) or raised.value.filename == str(place)
    put(place, b"new")
    assert place.read_bytes() == b"new"
    assert names(tmp_path) == ["a.npy"]


def test_an_error_speaks_of_the_place_not_of_the_scratch(tmp_path: Path):
    with pytest.raises(OSError, match="bin") as raised, written(tmp_path / "a.bin") as file:
        raise OSError(errno.EIO, "Input/output error", file.name)
    assert raised.value.filename == str(tmp_path / "a.bin")
    with pytest.raises(OSError, match="other") as raised, written(tmp_path / "a.bin"):
        raise FileNotFoundError(errno.ENOENT, "No such file", "other")
    assert raised.value.filename == "other"


@posix
def test_a_link_is_written_through(tmp_path: Path):
    (tmp_path / "far").mkdir()
    for name, target in (("link", "far/real"), ("chain", "link"), ("dangling", "far/new")):
        (tmp_path / name).symlink_to(target)
    put(tmp_path / "far" / "real", b"0")
    for name in ("link", "chain", "dangling"):
        put(tmp_path / name, name.encode())
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / name).read_bytes() == name.encode()
    assert names(tmp_path) == ["chain", "dangling", "far", "link"]
    assert names(tmp_path / "far") == ["new", "real"]
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError):
        put(tmp_path / "loop", b"")


@posix
def test_a_pipe_gets_everything_and_stays_a_pipe(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    check_new_file(tmp_path / "pipe")
    put(tmp_path / "pipe", b"x" * 200_000)
    reader.join()
    assert got == [b"x" * 200_000]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    put(os.devnull, b"x")


@posix
def test_standard_output_is_written_into_even_where_it_is_a_file(tmp_path: Path):
    code = "import sys; from isthmus.disk import written\nprint('before', flush=True)\n"
    code += "with written('/dev/stdout') as f: f.write(b'inside\\n')\nprint('after')"
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out").read_text().split() == ["before", "inside", "after"]
    assert is_stream("/dev/stdout")
    assert not is_stream(tmp_path / "out")


def test_what_cannot_be_a_file_is_refused_before_anything_is_done(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path, tmp_path / "none" / "a", tmp_path / "file" / "a"):
        for ask in (check_file, check_new_file):
            with pytest.raises(InputError):
                ask(path)
    check_file(tmp_path / "file")
    with pytest.raises(InputError, match="exists"):
        check_new_file(tmp_path / "file")


@posix
def test_modes(tmp_path: Path):
    """A new file has that of the umask, a replaced one keeps its own."""
    before = os.umask(0o027)
    try:
        put(tmp_path / "a", b"1")
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
        (tmp_path / "a").chmod(0o604)
        put(tmp_path / "a", b"2")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o604


def test_what_is_allocated_is_there_and_what_was_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def cannot(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "not here")

    for way in ("fallocate", "zeros"):
        if way == "zeros" and hasattr(os, "posix_fallocate"):
            monkeypatch.setattr(os, "posix_fallocate", cannot)
        with written(tmp_path / way) as file:
            file.write(b"head")
            file.flush()
            allocate(file, 4, 3_000_004)
            allocate(file, 9, 9)
        found = (tmp_path / way).read_bytes()
        assert found[:4] == b"head"
        assert found[4:] == bytes(3_000_000)
        assert (tmp_path / way).stat().st_blocks * 512 >= 3_000_000

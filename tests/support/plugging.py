"""Distributions made up for a test: real metadata and modules in a folder on the path."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Announce = Callable[..., Path]

WORKING = '''
import json
from pathlib import Path
from typing import Annotated
import typer
from isthmus.cli.output import Json, emit, table
from isthmus.protocols import Plugin
from isthmus import bundle
from isthmus.errors import InputError


class Adapter:
    signal = None

    @classmethod
    def read(cls, source, **options): ...

    @classmethod
    def fit(cls, records): ...

    def prepare(self, records): ...

    def state(self): ...

    @classmethod
    def restore(cls, state): ...


def count_vae(signal, *, generator, code: int = 2):
    """Counts things (Nobody 1999).

    More.
    """


def fit(file: Path, out: Annotated[Path, typer.Option("--out")], as_json: Json = False) -> None:
    """Count the letters of a file."""
    facts = {"letters": len(file.read_text())}
    bundle.write(out, plugin="NAME", builder="count_vae", settings={}, tensors={}, documents={}, facts=facts)
    emit({"out": out, **facts}, as_json, lambda: table(("letters",), [(facts["letters"],)]))


def letters(directory: Annotated[Path, typer.Argument(metavar="DIR")], times: int = 1, as_json: Json = False) -> None:
    """Tell how many letters were counted."""
    count = bundle.peek(directory).facts["letters"] * times
    emit({"letters": count}, as_json, lambda: table(("letters",), [(count,)]))


def fails(directory: Path, how: str) -> None:
    """Fail."""
    errors = {
        "input": InputError("a\\nstrange \\x1b[31mthing", remedy="try another"),
        "lost": FileNotFoundError(2, "No such file or directory", "lost.csv"),
        "denied": PermissionError(13, "Permission denied", "secret.csv"),
        "folder": IsADirectoryError(21, "Is a directory", "folder"),
        "full": OSError(28, "No space left on device"),
        "memory": MemoryError(),
        "ours": ZeroDivisionError("division by zero"),
        "ctrl-c": KeyboardInterrupt(),
        "pipe": BrokenPipeError(),
        "exit": typer.Exit(3),
        "sys-exit": SystemExit(4),
        "sys-exit-text": SystemExit("gone"),
        "sys-exit-none": SystemExit(),
        "abort": typer.Abort(),
    }
    raise errors[how]


def demo(seed: int = 0, as_json: Json = False) -> None:
    """Show counting."""
    emit({"seed": seed}, as_json, lambda: "counted")


plugin = Plugin(Adapter, {"count_vae": count_vae}, {"fit": fit, "letters": letters, "fails": fails, "demo": demo})
'''


def write_distribution(folder: Path, name: str, points: str, metadata: str = "", version: str = "1.0") -> None:
    """The installed metadata of a distribution, as pip would leave them."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}")
    (info / "entry_points.txt").write_text(f"[isthmus.adapters]\n{points}\n")


@pytest.fixture
def announce(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Announce]:
    """``announce(plugin, source, distribution=..., metadata=...)`` puts a made-up distribution on the path."""
    count, before = itertools.count(), set(sys.modules)

    def put(name: str, source: str = WORKING, distribution: str = "letters", metadata: str = "") -> Path:
        folder, module = tmp_path / f"site{next(count)}", f"made_up_{name}_{next(count)}"
        write_distribution(folder, distribution, f"{name} = {module}:plugin", metadata)
        (folder / f"{module}.py").write_text(source.replace("NAME", name))
        monkeypatch.syspath_prepend(folder)
        return folder

    yield put
    for module in set(sys.modules) - before:
        if module.startswith("made_up_"):
            del sys.modules[module]

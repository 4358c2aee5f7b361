"""Bundles and indexes that are read while others write them, and written by two at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus import bundle
from isthmus.disk import folders
from isthmus.index import Index


def save(place: Path, number: int) -> None:
    """A bundle all of whose files speak of one number, and are as large as those of others."""
    bundle.write(
        place,
        plugin="letters",
        builder="x",
        settings={"number": number},
        tensors={"a": torch.full((50,), float(number))},
        documents={"a.json": f"{number:03d}"},
        durable=False,
    )


def number_of(place: Path) -> int:
    found = bundle.read(place)
    numbers = {int(found.tensors["a"][0]), int(found.documents["a.json"]), found.manifest.settings["number"]}
    assert len(numbers) == 1, "of several bundles"
    return numbers.pop()


def save_index(place: Path, number: int) -> None:
    Index.build(np.full((40, 3), float(number)), [f"{number:03d} {row:02d}" for row in range(40)]).save(place)


def number_of_index(place: Path) -> int:
    found = Index.load(place, verify="header", mmap=True)
    ids = {int(str(one)[:3]) for one in found.ids}
    numbers = ids | {int(one) for one in np.unique(found.vectors(found.ids))}
    assert len(numbers) == 1, "of several indexes"
    return numbers.pop()


@pytest.mark.parametrize("way", ["exchange", "two renames"])
@pytest.mark.parametrize(("write", "read"), [(save, number_of), (save_index, number_of_index)])
def test_two_writers_and_a_reader(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    write: Callable[[Path, int], None],
    read: Callable[[Path], int],
):
    if way == "two renames":
        monkeypatch.setattr(folders, "exchange", lambda *_: False)
    place, failures = tmp_path / "a", []
    write(place, 0)

    def writes(numbers: range) -> None:
        try:
            for number in numbers:
                write(place, number)
        except Exception as error:
            failures.append(error)

    writers = [threading.Thread(target=writes, args=(range(start, 24, 2),)) for start in (1, 2)]
    for writer in writers:
        writer.start()
    found = [read(place)]
    while any(writer.is_alive() for writer in writers):
        found.append(read(place))
    for writer in writers:
        writer.join()
    assert failures == []
    assert read(place) in (22, 23)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]

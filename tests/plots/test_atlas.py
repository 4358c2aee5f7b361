"""The table for Embedding Atlas, and the command that writes it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny_faces import made

from isthmus.cli import main
from isthmus.errors import InputError
from isthmus.plots.atlas import Mapped, atlas_table, mapped


@pytest.mark.parametrize(("name", "text"), [("ease", "title"), ("vector", None), ("index ids", "id")])
def test_every_face_with_records_has_a_map(tmp_path: Path, name: str, text: str | None) -> None:
    face = made(name)
    records = mapped(face, 5)
    table = atlas_table(records)
    assert records.text == text
    assert len(table) == 5
    assert {"id", "x", "y", "code", "neighbors"} <= set(table.column_names)
    near = table["neighbors"].to_pylist()
    assert all(row not in one["ids"] and len(one["ids"]) == 4 for row, one in enumerate(near))
    assert all(one["distances"] == sorted(one["distances"]) for one in near)


def test_the_nearest_records_are_those_with_the_largest_cosine() -> None:
    codes = np.array([[1.0, 0.0, 0.0], [0.9, 0.1, 0.0], [0.0, 1.0, 0.0], [0.0, 0.9, 0.5]], np.float32)
    near = atlas_table(Mapped(codes))["neighbors"].to_pylist()
    assert [one["ids"][0] for one in near] == [1, 0, 3, 2]
    with pytest.raises(InputError, match="1 records"):
        atlas_table(Mapped(codes[:1]))


def test_the_command_writes_the_file_and_starts_the_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made("index ids").save(tmp_path / "a")
    program = tmp_path / "bin" / "embedding-atlas"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path / "told"}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", "")
    assert main(["atlas", str(tmp_path / "a"), "--json"]) == 0
    found = capsys.readouterr()
    document = json.loads(found.out)
    assert pq.read_table(document["path"]).column_names == document["columns"]
    assert "pip install embedding-atlas" in found.err
    monkeypatch.setenv("PATH", str(program.parent))
    assert main(["atlas", str(tmp_path / "a"), "--no-start"]) == 0
    assert not (tmp_path / "told").exists()
    assert main(["atlas", str(tmp_path / "a"), "--out", str(tmp_path / "b.parquet")]) == 0
    assert (tmp_path / "told").read_text().split() == [str(tmp_path / "b.parquet"), *document["command"][2:]]


def test_a_model_without_records_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made("detector").save(tmp_path / "a")
    assert main(["atlas", str(tmp_path / "a")]) == 2
    assert "without records" in capsys.readouterr().err
    assert main(["atlas", str(tmp_path / "a"), "--out", str(tmp_path / "a.csv")]) == 2

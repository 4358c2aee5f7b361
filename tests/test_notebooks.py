"""The notebooks of ``examples`` run from the first cell to the last, and are committed with what they print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "examples").glob("*.ipynb"))


def test_outputs_are_committed_and_small() -> None:
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
        assert any(cell["outputs"] for cell in cells), path.name
        assert path.stat().st_size < 200_000, path.name


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="notebooks need the extra docs")
    client = pytest.importorskip("nbclient", reason="notebooks need the extra docs")
    pytest.importorskip("ipykernel", reason="notebooks need the extra docs")
    notebook = nbformat.read(path, as_version=4)
    client.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()

"""Exports to ONNX: onnxruntime answers as the Python face does, for batches of any size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from tiny_faces import made
from torch import Tensor, nn

import isthmus
from isthmus import onnx
from isthmus.cli import main
from isthmus.errors import InputError, MissingLibraryError, SettingError
from isthmus.onnx.graph import check, session
from isthmus_interactions.exchange.onnx import exportable

BATCHES = 100
ENCODERS = ("image", "vector", "sparse")
ITEMS = 30
SMALL: dict[str, Any] = {"epochs": 1, "hidden": 8, "code": 4}
MODELS: dict[str, dict[str, Any]] = {
    "ease": {},
    "item-knn": {},
    "mult-vae": SMALL,
    "low-pass": {},
    "blend": {"parts": ["ease", {"model": "mult-vae", "settings": SMALL}], "validation": 0.3},
}


def shop() -> Any:
    chance = np.random.default_rng(0)
    return [f"u{row // 6}" for row in range(480)], [f"i{item:02}" for item in chance.integers(0, ITEMS, 480)]


def histories(chance: np.random.Generator) -> tuple[list[list[int]], dict[str, Any]]:
    """Up to eight histories, as lists and as inputs of a graph."""
    lengths = chance.integers(0, 7, chance.integers(1, 9))
    rows = [chance.choice(ITEMS, length, replace=False).astype(np.int64) for length in lengths]
    items = np.concatenate([np.empty(0, np.int64), *rows])
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    return [row.tolist() for row in rows], {
        "items": items,
        "offsets": offsets,
        "weights": np.ones(len(items), np.float32),
    }


SCRIPT = """
import sys
from isthmus.cli import main
sys.exit(max(main(["export", place, "--onnx", *(["-k", "5"] if "-k" in place else [])]) for place in sys.argv[1:]))
"""
"""The exporter reads the code of modules, in which it does not expect the checks of types that tests add: it runs in
another process."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Bundles, and next to each its export."""
    folder, faces = tmp_path_factory.mktemp("onnx"), {}
    for name, settings in MODELS.items():
        told = {"validation": 0.0, **settings}
        faces[f"{name}-k"] = isthmus.Recommender.fit(shop(), name, progress=False, **told)
    faces |= {name: made(name) for name in ENCODERS}
    for name, face in faces.items():
        face.save(folder / name)
    places = [str(folder / name) for name in faces]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *places], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder, faces


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_onnxruntime_recommends_as_python_does(exported: tuple[Path, dict[str, Any]], name: str) -> None:
    place, recommender = exported[0] / f"{name}-k.onnx", exported[1][f"{name}-k"]
    names = json.loads((place / "items.json").read_text())
    assert names == recommender.adapter.items.ids.tolist()
    run, chance = session(place / onnx.MODEL), np.random.default_rng(1)
    for _ in range(BATCHES):
        rows, inputs = histories(chance)
        ids, scores = run.run(None, inputs)
        # All scores of PyTorch: which of two items with almost the same score is first, kernels decide.
        known = recommender.score([[names[item] for item in row] for row in rows], names)
        for row, items in enumerate(rows):
            left = np.delete(known[row], items)
            scale = max(1e-6, float(np.abs(left).max()))
            np.testing.assert_allclose(scores[row], np.sort(left)[::-1][:5], atol=1e-4 * scale)
            np.testing.assert_allclose(scores[row], known[row][ids[row]], atol=1e-4 * scale)
            assert not set(ids[row].tolist()) & set(items)


@pytest.mark.slow
@pytest.mark.parametrize("name", ENCODERS)
def test_onnxruntime_encodes_as_python_does(exported: tuple[Path, dict[str, Any]], name: str) -> None:
    face = exported[1][name]
    run, chance = session(exported[0] / f"{name}.onnx" / onnx.MODEL), np.random.default_rng(1)
    for _ in range(BATCHES):
        given, inputs = records(name, chance)
        (codes,) = run.run(None, inputs)
        expected = face.encode(given)
        np.testing.assert_allclose(codes, expected, atol=1e-4 * max(1.0, float(np.abs(expected).max())))


def records(name: str, chance: np.random.Generator) -> tuple[Any, dict[str, Any]]:
    """Some records as Python takes them, and as inputs of a graph; rows with extreme numbers among them."""
    rows = int(chance.integers(1, 9))
    if name == "image":
        pixels = chance.random((rows, 8, 8)).astype(np.float32)
        return pixels, {"images": pixels[:, None]}
    drawn = chance.normal(size=(rows, 6)) * chance.choice([1.0, 100.0])
    if name == "vector":
        return drawn, {"rows": drawn}
    entries = scipy.sparse.csr_array(np.where(drawn > 0, drawn, 0))
    inputs = {"items": entries.indices.astype(np.int64), "offsets": entries.indptr.astype(np.int64)}
    return entries, {**inputs, "weights": entries.data.astype(np.float32)}


@pytest.mark.parametrize(
    ("model", "settings", "why"),
    [
        ("als", {"iterations": 1, "factors": 2}, "system of equations"),
        ("sequence-linear", {}, "order"),
        ("recent", {"of": "ease", "half_life": 5}, "order"),
    ],
)
def test_models_that_cannot_say_why(model: str, settings: dict[str, Any], why: str) -> None:
    recommender = isthmus.Recommender.fit(shop(), model, ordered=True, progress=False, validation=0.0, **settings)
    with pytest.raises(SettingError, match=why):
        exportable(recommender.model, recommender.builder)


@pytest.mark.parametrize(("name", "options", "told"), [
    ("text", [], "sentence_transformers"),
    ("compressor", [], "Compressor cannot be exported"),
    ("vector", ["-k", "3"], "leave it out"),
])  # fmt: skip
def test_faces_that_cannot_say_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, options: list[str], told: str
) -> None:
    made(name).save(tmp_path / "a")
    assert main(["export", str(tmp_path / "a"), "--onnx", *options]) == 2
    assert told in capsys.readouterr().err
    assert main(["export", str(tmp_path / "a")]) == 2
    assert "--onnx" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingLibraryError, match=r"isthmus\[onnx\]"):
        made("vector").to_onnx(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


class Double(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        return rows * 2


class Branch(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        return rows if float(rows.sum()) > 0 else -rows


@pytest.mark.slow
def test_what_computes_something_else_is_refused(tmp_path: Path) -> None:
    trials = [{"rows": torch.arange(6.0).view(3, 2)}, {"rows": torch.ones(1, 2)}]
    graph = onnx.Graph(Double(), trials, {"rows": {0: "rows"}}, ("out",), {"made": "here"}, {"rows": 2})
    place = onnx.write(graph, tmp_path)
    assert session(place).get_modelmeta().custom_metadata_map["made"] == "here"
    other = onnx.Graph(nn.Identity(), trials, graph.axes, ("out",))
    with pytest.raises(SettingError, match="computes other out"):
        check(other, place)
    with pytest.raises(SettingError, match="cannot export"):
        onnx.write(onnx.Graph(Branch(), trials, graph.axes, ("out",), {}, {"rows": 2}), tmp_path)


def test_an_existing_folder_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "mine").write_text("kept")
    with pytest.raises(InputError, match="exists"):
        made("vector").to_onnx(tmp_path / "a")
    assert (tmp_path / "a" / "mine").read_text() == "kept"

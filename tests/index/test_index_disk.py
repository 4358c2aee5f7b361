"""An index on disk: there and back, whole or not at all, and no damage that is not seen."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

from isthmus.bundle import bundle
from isthmus.bundle.manifest import sealed
from isthmus.errors import BundleError, InputError
from isthmus.index import Budget, Index
from isthmus.index.faiss import kinds

FUZZ = Path(__file__).parents[1] / "support" / "index_fuzz.py"
OLD = Path(__file__).parents[1] / "data" / "indexes-0.1"
METRICS = ("ip", "cosine", "l2")


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def build(kind: str, metric: str = "ip", text: bool = False) -> Index:
    """A handle of its own on what was built once."""
    index = built(kind, metric, text)
    return Index(index._state.snapshot, index._state.chosen, index._request)


@lru_cache
def built(kind: str, metric: str, text: bool) -> Index:
    """Never changed."""
    rows = 400
    ids = [f"ä{row}" for row in range(rows)] if text else list(range(rows))
    index = Index.build(numbers(rows, 6), ids, metric, kind=kind, target_recall=0.2, budget=Budget(bytes=10**9))
    index.remove(ids[3:9])
    index.add(numbers(5, 6, seed=1), [f"late{row}" for row in range(5)] if text else None)
    return index


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "verify", "mmap"),
    [
        *(("exact", "full", False), ("exact", "full", True), ("exact", "header", True), ("fp16", "full", True)),
        *(("ivf", "full", False), ("ivf-lifted", "full", True), ("ivf-pq", "header", True), ("rabitq", "full", False)),
        *(("hnsw", "header", True), ("hnsw-short", "full", False)),
    ],
)
def test_there_and_back(tmp_path: Path, kind: str, verify: str, mmap: bool, caplog: pytest.LogCaptureFixture):
    for number, metric in enumerate(METRICS):
        index = build(kind, metric, text=bool(number % 2))
        index.save(tmp_path / "a")
        again = Index.load(tmp_path / "a", verify=verify, mmap=mmap)
        assert again.info() == index.info()
        assert again.ids == index.ids
        assert np.array_equal(again.vectors(again.ids), index.vectors(index.ids))
        queries = numbers(20, 6, seed=2)
        assert list(again.search(queries, 5)) == list(index.search(queries, 5))
        again.remove([again.ids[-1]])
        again.add(numbers(1, 6), ["z"] if number % 2 else [9999])
        if not number:
            again.compact()
        assert len(again) == len(index)
    assert not caplog.records


def test_an_empty_index_and_one_of_late_rows_only(tmp_path: Path):
    index = Index.build(np.empty((0, 3)))
    index.save(tmp_path / "a")
    assert len(Index.load(tmp_path / "a")) == 0
    index.add(np.eye(3), ["a", "", "c"])
    index.save(tmp_path / "a")
    again = Index.load(tmp_path / "a")
    assert again.ids == ["a", "", "c"]
    assert again.search(np.eye(3)[1], 1).ids == [[""]]


def test_what_is_mapped_is_not_read_at_once_and_survives_being_replaced(tmp_path: Path):
    index = Index.build(numbers(500, 8))
    index.save(tmp_path / "a")
    mapped = Index.load(tmp_path / "a", verify="header", mmap=True)
    wanted = list(mapped.search(numbers(3, 8, seed=1), 4))
    Index.build(numbers(500, 8, seed=5)).save(tmp_path / "a")
    assert list(mapped.search(numbers(3, 8, seed=1), 4)) == wanted
    index.save(tmp_path / "a")


@pytest.mark.parametrize("kind", ["ivf", "rabitq", "hnsw", "hnsw-short", "sq8"])
def test_an_index_saved_by_version_0_1_loads_and_answers_the_same(kind: str, monkeypatch: pytest.MonkeyPatch):
    saved = json.loads((OLD / "answers.json").read_text())[kind]
    if kind != "sq8":
        unused = replace(kinds.KINDS[kind], learn=lambda *given: pytest.fail("looked for again"))
        monkeypatch.setitem(kinds.KINDS, kind, unused)
    index = Index.load(OLD / kind)
    info = index.info()
    assert {name: info[name] for name in saved["info"]} == saved["info"]
    found = index.search(np.random.default_rng(1).standard_normal((8, 6)).astype(np.float32), 5)
    # A row at the edge of a list or of a code may be another one on another processor.
    same = np.equal(np.array(found.ids, dtype=object), np.array(saved["ids"], dtype=object))
    assert same.mean() > 0.9
    scores = np.abs(np.array(found.scores) - np.array(saved["scores"])) < 1e-4
    assert scores[same].all()


def test_the_structure_is_taken_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for kind in ("ivf", "hnsw"):
        build(kind).save(tmp_path / kind)
    learnt = []
    for kind in ("ivf", "hnsw"):
        changed = replace(kinds.KINDS[kind], learn=lambda *given: learnt.append(given))
        monkeypatch.setitem(kinds.KINDS, kind, changed)
    for kind in ("ivf", "hnsw"):
        Index.load(tmp_path / kind)
    assert not learnt


@pytest.mark.parametrize(("kind", "stamped"), [("ivf", False), ("hnsw", True), ("ivf", True)])
def test_a_damaged_cache_is_made_again(tmp_path: Path, kind: str, stamped: bool, caplog: pytest.LogCaptureFixture):
    index = build(kind)
    index.save(tmp_path / "a")
    cache = tmp_path / "a" / "cache" / "structure.safetensors"
    content = bytearray(cache.read_bytes())
    # An infinite centroid; a link to a node that is not there.
    content[-4:] = b"\0\0\x80\x7f"
    cache.write_bytes(content)
    if stamped:
        path = tmp_path / "a" / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["files"]["cache/structure.safetensors"]["sha256"] = hashlib.sha256(content).hexdigest()
        path.write_text(json.dumps(sealed(manifest)))
    again = Index.load(tmp_path / "a")
    assert ("made again" in caplog.text) is not stamped
    queries = numbers(20, 6, seed=2)
    assert list(again.search(queries, 5)) == list(index.search(queries, 5))
    cache.unlink()
    assert list(Index.load(tmp_path / "a").search(queries, 5)) == list(index.search(queries, 5))


def test_a_save_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    index = Index.build(np.eye(3))
    index.save(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine").write_text("")
    with pytest.raises(InputError, match="not an isthmus bundle"):
        index.save(tmp_path / "b")

    def full(*given: object) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr(bundle, "save_tensors", full)
    index.add(np.ones((1, 3)))
    with pytest.raises(OSError, match="no space"):
        index.save(tmp_path / "a")
    assert Index.load(tmp_path / "a").ids == [0, 1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_what_is_no_index_is_refused(tmp_path: Path):
    with pytest.raises(BundleError, match="does not exist"):
        Index.load(tmp_path / "none")
    with pytest.raises(BundleError, match=r"no manifest\.json"):
        Index.load(tmp_path)
    bundle.write(tmp_path / "a", plugin="letters", builder="x", settings={}, tensors={"a": torch.ones(1)}, documents={})
    with pytest.raises(BundleError, match="is of 'letters'"):
        Index.load(tmp_path / "a")


def changed(directory: Path, **settings: object) -> None:
    path = directory / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["settings"] |= settings
    path.write_text(json.dumps(sealed(manifest)))


def test_settings_that_do_not_fit_are_damage(tmp_path: Path):
    for wrong in (
        {"metric": "dot"},
        {"kind": "tree"},
        {"width": 7},
        {"ids": "string"},
        {"ids": "float"},
        {"index": {"lists": 1 << 40}},
        {"index": {"breadth": "many"}},
        {"index": []},
        {"wish": {}},
    ):
        build("ivf").save(tmp_path / "a")
        changed(tmp_path / "a", **wrong)
        with pytest.raises(BundleError):
            Index.load(tmp_path / "a")


def written(directory: Path, **tensors: torch.Tensor | None) -> None:
    """The index with other tensors, stamped."""
    index = bundle.read(directory)
    mine = {**index.tensors, **{name.replace("_", "."): tensor for name, tensor in tensors.items()}}
    bundle.write(
        directory,
        plugin="index",
        builder="index",
        settings=index.manifest.settings,
        facts=index.manifest.facts,
        tensors={name: tensor for name, tensor in mine.items() if tensor is not None},
        documents={},
        cache=index.cache,
    )


def test_tensors_that_do_not_fit_are_damage(tmp_path: Path):
    for wrong, said in (
        ({"base_ids": torch.zeros(400, dtype=torch.int64)}, "twice"),
        ({"base_ids": torch.arange(399)}, "399 ids"),
        ({"base_ids": torch.arange(400).float()}, "ids"),
        ({"base_vectors": torch.zeros(400, 5)}, r"\[400, 5\]"),
        ({"base_vectors": torch.zeros(400, 6).double()}, "float64"),
        ({"base_vectors": None, "base_ids": None, "dead": None}, "5 rows"),
        ({"dead": torch.tensor([400])}, "deleted rows"),
        ({"dead": torch.tensor([-1])}, "deleted rows"),
        ({"dead": torch.tensor([0.5])}, "deleted rows"),
        ({"later_ids": torch.arange(5)}, "twice"),
    ):
        build("exact").save(tmp_path / "a")
        written(tmp_path / "a", **wrong)
        with pytest.raises(BundleError, match=said):
            Index.load(tmp_path / "a")


def test_texts_that_overlap_are_damage(tmp_path: Path):
    for ends in ([-1, *range(2, 401)], [*range(400, 0, -1)], [*range(1, 400), 10**6]):
        build("exact", text=True).save(tmp_path / "a")
        written(tmp_path / "a", base_ends=torch.tensor(ends))
        with pytest.raises(BundleError, match="texts"):
            Index.load(tmp_path / "a")


def fuzz(folder: Path, rounds: int, seed: int) -> dict[str, int]:
    command = [sys.executable, str(FUZZ), str(folder), str(rounds), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3000, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    counted: dict[str, int] = json.loads(done.stdout)
    return counted


def check(counted: dict[str, int], rounds: int) -> None:
    assert sum(counted.values()) == rounds
    assert not [said for said in counted if "FAILED" in said]
    # What is read in full and was not stamped again is refused, unless only the cache is damaged.
    assert counted["structure as it is: opened"] > 0
    assert "structure as it is: refused" not in counted
    assert counted["weights as it is: refused"] > counted.get("weights as it is: opened", 0)
    assert counted["weights stamped: refused"] > 0


@pytest.mark.slow
def test_no_damage_kills_the_process(tmp_path: Path):
    check(fuzz(tmp_path, 100, seed=0), 100)


@pytest.mark.slow
def test_no_damage_of_thousands_kills_the_process(tmp_path: Path):
    check(fuzz(tmp_path, 5000, seed=1), 5000)

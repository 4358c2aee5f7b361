"""A kind of index that is not of FAISS, in this file alone: hash tables of random projections, on NumPy and torch.

Charikar 2002, "Similarity estimation techniques from rounding algorithms", section 3: the signs of a few random
projections are a hash, and vectors at a small angle often share it. Several tables find most of the near ones; beside
a query's own bucket, those that differ in the bits it was least sure of are looked into (Lv et al. 2007, "Multi-probe
LSH"). Inner products become angles when the vectors are lifted to one length.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from isthmus.bundle.manifest import sealed
from isthmus.errors import BundleError, NameClashError, PluginError, SettingError
from isthmus.index import ExactSearcher, Index, IndexKind, check_search, rank_candidates, register, registry
from isthmus.index.kinds import ApproximateSearcher, Setting, Structure, rising
from isthmus.index.tuning.measure import HeldOutQueries
from isthmus.index.vectors import lifted
from isthmus.testing.searcher import SearcherContract

# --- what a third party writes ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hashing:
    """Settings of hash tables.

    Attributes:
        bits: of a hash.
        tables: how many there are.
        probes: buckets of each table that are looked into.
        seed: of the projections.
    """

    bits: int
    tables: int = 8
    probes: int = 1
    seed: int = 0

    @classmethod
    def checked(cls, saved: Mapping[str, Any]) -> Hashing:
        """From what a manifest holds."""
        if set(saved) != {"bits", "tables", "probes", "seed"}:
            raise SettingError(f"settings {sorted(saved)}", expected="bits, tables, probes and seed")
        for name, value in saved.items():
            if type(value) is not int or not 0 <= value < 1 << 31:
                raise SettingError(f"{name} is {value!r}", expected="a whole number")
        made = cls(saved["bits"], saved["tables"], saved["probes"], saved["seed"])
        if not 1 <= made.bits <= 16 or not made.tables or not 1 <= made.probes <= made.bits + 1:
            raise SettingError(f"{made}", expected="1 to 16 bits, tables, and at most one probe more than bits")
        return made


@dataclass(frozen=True)
class HashSearcher:
    """Rows sorted by hash, for each table.

    Attributes:
        exact: over the vectors.
        hashing: how they were hashed.
        planes: the projections, ``[tables, bits, width]``.
        buckets: of each table, the rows by rising hash and where each hash begins.
    """

    exact: ExactSearcher
    hashing: Hashing
    planes: np.ndarray
    buckets: list[tuple[np.ndarray, np.ndarray]]

    kind = "signs"

    @property
    def settings(self) -> Mapping[str, Setting]:
        return asdict(self.hashing)

    @property
    def search_settings(self) -> Mapping[str, Setting]:
        return {"probes": self.hashing.probes}

    @property
    def structure(self) -> Structure:
        return {"planes": self.planes}

    @property
    def nbytes(self) -> int:
        return self.planes.nbytes + sum(order.nbytes + starts.nbytes for order, starts in self.buckets)

    def grid(self) -> Sequence[Sequence[HashSearcher]]:
        return [[replace(self, hashing=replace(self.hashing, probes=n)) for n in rising(1, self.hashing.bits + 1)]]

    def rebuilt(self, exact: ExactSearcher) -> HashSearcher:
        return made(exact, self.hashing, self.planes)

    def found(self, queries: torch.Tensor) -> torch.Tensor:
        """Candidates of each query, -1 to fill up."""
        asked = self.exact.prepared(queries).numpy()
        asked = np.pad(asked, ((0, 0), (0, self.planes.shape[2] - asked.shape[1])))
        hashes, sure = hashed(self.planes, asked)
        rows: list[list[np.ndarray]] = [[] for _ in asked]
        for (order, starts), own, distance in zip(self.buckets, hashes, sure, strict=True):
            flips = np.argsort(distance, axis=1)[:, : self.hashing.probes - 1]
            probes = np.concatenate([own[:, None], own[:, None] ^ (1 << flips)], 1)
            for query, bucket in np.ndindex(probes.shape):
                rows[query].append(order[starts[probes[query, bucket]] : starts[probes[query, bucket] + 1]])
        lists = [np.unique(np.concatenate(own)) for own in rows]
        table = np.full((len(lists), max(map(len, lists), default=0) or 1), -1)
        for place, own in zip(table, lists, strict=True):
            place[: len(own)] = own
        return torch.from_numpy(table)

    def search(self, queries: torch.Tensor, k: int, *, exclude: Any = None, allow: Any = None) -> Any:
        filters = check_search(self.exact, queries, k, exclude, allow)
        return rank_candidates(self.exact, queries, self.found(queries), k, filters)

    def candidates(self, queries: torch.Tensor, k: int, exclude: Any, allow: Any) -> torch.Tensor:
        return self.search(queries, k, exclude=exclude, allow=allow).rows

    def unfiltered_candidates(self, queries: torch.Tensor, k: int) -> None:
        return None


def hashed(planes: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The hash in each table, and how far each projection is from the other sign."""
    projected = np.einsum("tbw,nw->tnb", planes, vectors)
    return (projected > 0) @ (1 << np.arange(planes.shape[1])), np.abs(projected)


def made(exact: ExactSearcher, hashing: Hashing, known: np.ndarray | None = None) -> HashSearcher:
    """Hash tables; projections that are known are used if they fit."""
    if exact.metric == "l2":
        raise SettingError("kind 'signs' by l2", expected="ip or cosine")
    vectors = lifted(exact.compared) if exact.metric == "ip" else exact.compared
    shape = (hashing.tables, hashing.bits, vectors.shape[1])
    planes = np.random.default_rng(hashing.seed).standard_normal(shape, dtype=np.float32)
    if known is not None and known.shape == shape and known.dtype == planes.dtype and np.isfinite(known).all():
        planes = known
    buckets = []
    for hashes in hashed(planes, vectors.numpy())[0]:
        counts = np.bincount(hashes, minlength=1 << hashing.bits)
        buckets.append((np.argsort(hashes, kind="stable"), np.concatenate([[0], counts.cumsum()])))
    return HashSearcher(exact, hashing, planes, buckets)


@dataclass(frozen=True)
class HashKind:
    """Hash tables over angles."""

    name: str = "signs"
    metrics: tuple[str, ...] = ("ip", "cosine")
    structure_key: None = None

    def declines(self, exact: ExactSearcher) -> str | None:
        return "too few vectors" if len(exact) < 1000 else None

    def bytes_a_row(self, width: int) -> float:
        return 8.0 * 8

    def build(self, exact: ExactSearcher, seed: int, structure: Structure | None = None) -> HashSearcher:
        bits = max(1, min(16, int(np.log2(len(exact) / 30))))
        return made(exact, Hashing(bits, probes=min(4, bits), seed=seed))

    def restore(
        self, exact: ExactSearcher, settings: Mapping[str, Setting], structure: Structure | None
    ) -> HashSearcher:
        return made(exact, Hashing.checked(settings), None if structure is None else structure.get("planes"))


KIND = HashKind()

# --- what the library makes of it -------------------------------------------------------------------------------------


@pytest.fixture
def known() -> Iterator[None]:
    register(KIND)
    yield
    registry.unregister("signs")


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class HashContract(SearcherContract):
    metrics = ("ip", "cosine")
    recall = 0.5
    rows = 2000

    def build(self, vectors: torch.Tensor, metric: str) -> HashSearcher:
        return KIND.build(ExactSearcher.build(vectors, metric), seed=0)


def test_it_keeps_the_contract_of_every_searcher() -> None:
    HashContract().check()


def timed(monkeypatch: pytest.MonkeyPatch, fast: str) -> None:
    """One kind counts as fast and all others as slow: what wins must not hang on the machine."""

    def throughput(queries: HeldOutQueries, searcher: ApproximateSearcher | None, most: int = 0) -> float:
        return 9.0 if searcher is not None and searcher.kind == fast else 1.0

    monkeypatch.setattr(HeldOutQueries, "throughput", throughput)


@pytest.mark.slow
@pytest.mark.usefixtures("known")
def test_it_is_tried_beside_the_others_and_chosen_by_its_measured_recall(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(KIND, IndexKind)
    timed(monkeypatch, "signs")
    vectors = numbers(3000, 12)
    info = Index.build(vectors, metric="cosine", kind="fastest", target_recall=0.97).info()
    assert {"exact", "ivf", "hnsw", "signs"} <= {trial["kind"] for trial in info["trials"]}
    assert info["kind"] == "signs"
    assert 0.97 <= info["recall"] < 1
    assert info["settings"]["probes"] > 1
    timed(monkeypatch, "ivf")
    assert Index.build(vectors, metric="cosine", kind="fastest", target_recall=0.97).info()["kind"] == "ivf"
    # Where it is not offered, or declines, it is not tried.
    by_distance = Index.build(vectors[:1500], metric="l2", kind="fastest", target_recall=0.5).info()
    assert "signs" not in {trial["kind"] for trial in by_distance["trials"]}
    few = Index.build(vectors[:900], kind="fastest", target_recall=0.5).info()["trials"]
    assert [trial["outcome"] for trial in few if trial["kind"] == "signs"] == ["not tried: too few vectors"]


@pytest.mark.slow
@pytest.mark.usefixtures("known")
def test_it_lives_as_every_index_does(tmp_path: Path) -> None:
    index = Index.build(numbers(3000, 12), kind="signs", target_recall=0.5)
    queries = numbers(20, 12, seed=1)
    near = index.search(queries, 5)
    index.remove([near.ids[0][0], 7])
    index.add(numbers(10, 12, seed=2))
    changed = index.search(queries, 5, exclude=[9], allow=range(0, 3010, 2))
    assert all(id_ % 2 == 0 and id_ not in (9, near.ids[0][0]) for line in changed.ids for id_ in line)
    index.save(tmp_path / "a")
    again = Index.load(tmp_path / "a")
    assert again.info() == index.info()
    assert list(again.search(queries, 5)) == list(index.search(queries, 5))
    again.compact()
    assert again.info()["kind"] == "signs"
    assert again.info()["frozen"] == 3008


def test_a_saved_index_of_a_kind_that_is_not_known_names_it(tmp_path: Path) -> None:
    register(KIND)
    Index.build(numbers(1500, 6), kind="signs", target_recall=0.3).save(tmp_path / "a")
    registry.unregister("signs")
    with pytest.raises(BundleError, match="signs"):
        Index.load(tmp_path / "a")
    with pytest.raises(SettingError, match="signs"):
        Index.build(numbers(10, 2), kind="signs")


@pytest.mark.usefixtures("known")
def test_settings_and_arrays_that_do_not_fit_do_no_harm(tmp_path: Path) -> None:
    exact = ExactSearcher.build(numbers(1500, 6), "cosine")
    built = KIND.build(exact, seed=0)
    for planes in (built.planes[:1], built.planes * np.nan, built.planes.astype(np.float64)):
        assert np.array_equal(KIND.restore(exact, built.settings, {"planes": planes}).planes, built.planes)
    index = Index.build(numbers(1500, 6), kind="signs", target_recall=0.3)
    index.save(tmp_path / "a")
    manifest = tmp_path / "a" / "manifest.json"
    document = json.loads(manifest.read_text().replace('"bits":', '"depth":'))
    manifest.write_text(json.dumps(sealed(document)))
    with pytest.raises(BundleError):
        Index.load(tmp_path / "a")


@pytest.mark.usefixtures("known")
def test_names_do_not_clash() -> None:
    register(KIND)
    for name in ("signs", "ivf", "auto", "exact"):
        with pytest.raises(NameClashError, match=name):
            register(HashKind(name, metrics=("ip",)))


def test_a_distribution_announces_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    announced = {"signs": f"{__name__}:KIND", "lost": "no_such:KIND", "other": f"{__name__}:KIND"}
    points = [EntryPoint(name, value, registry.GROUP) for name, value in announced.items()]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    assert registry.find("signs") is KIND
    assert "signs" in [kind.name for kind in registry.tried("ip")]
    with pytest.raises(PluginError, match="lost"):
        registry.find("lost")
    with pytest.raises(PluginError, match="other"):
        registry.find("other")


@pytest.mark.slow
def test_exact_search_imports_no_faiss() -> None:
    code = """
import sys, torch
from isthmus.index import ExactSearcher, Index, IndexKind, searcher_over
import isthmus.index.index, isthmus.index.storage.saving
index = Index.build(torch.eye(3))
index.add(torch.eye(3)); index.search(torch.ones(3)); index.compact()
searcher_over(torch.eye(3)).search(torch.eye(3), 1)
print("faiss" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "False"

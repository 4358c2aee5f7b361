"""An index of several parts answers as one index of the same vectors."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.errors import BundleError, DuplicateIdError, InputError, SourceError, UnknownIdError
from isthmus.index import Index, ShardedIndex

RANDOM = np.random.default_rng(0)
VECTORS = RANDOM.standard_normal((90, 8)).astype(np.float32)
VECTORS[70] = VECTORS[3]
QUERIES = RANDOM.standard_normal((5, 8)).astype(np.float32)
NAMES = [f"v{row}" for row in range(90)]


def folder_of(tmp_path: Path, names: list[Any] | None) -> Path:
    """Three files of uneven row groups."""
    folder = tmp_path / "vectors"
    folder.mkdir()
    for number, (start, stop) in enumerate([(0, 31), (31, 32), (32, 90)]):
        columns: dict[str, Any] = {"vector": list(VECTORS[start:stop])}
        table = pa.table(columns if names is None else {"id": names[start:stop], **columns})
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=7)
    return folder


@pytest.fixture(params=["ip", "cosine", "l2"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ShardedIndex, Index]:
    made = ShardedIndex.build(folder_of(tmp_path, NAMES), tmp_path / "index", shards=4, metric=request.param)
    return made, Index.build(VECTORS, NAMES, request.param)


def same(found: Any, expected: Any) -> None:
    assert found.ids == expected.ids
    for ours, theirs in zip(found.scores, expected.scores, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_answers_are_those_of_one_index(both: tuple[ShardedIndex, Index]) -> None:
    ours, one = both
    assert (len(ours), ours.width, ours.metric, len(ours.parts)) == (90, 8, one.metric, 4)
    same(ours.search(QUERIES, 7), one.search(QUERIES, 7))
    same(ours.search(VECTORS[3], 2), one.search(VECTORS[3], 2))
    same(ours.search(QUERIES, [1, 2, 3, 90, 200]), one.search(QUERIES, [1, 2, 3, 90, 200]))
    floor = float(one.search(QUERIES, 20).scores[0][-1]) - 1e-4
    same(ours.within(QUERIES, floor), one.within(QUERIES, floor))
    out, only = ["v3", "v70", "nobody"], [NAMES[:5], NAMES[40:80], [], NAMES, ["nobody"]]
    same(ours.search(QUERIES, 9, exclude=out, allow=only), one.search(QUERIES, 9, exclude=out, allow=only))
    assert ours.recall(QUERIES, 10) == 1.0
    np.testing.assert_array_equal(ours.vectors(["v80", "v2", "v33"]), VECTORS[[80, 2, 33]])


def test_changes_reach_the_right_part_and_are_saved(both: tuple[ShardedIndex, Index], tmp_path: Path) -> None:
    ours, one = both
    for index in both:
        index.add(QUERIES[:2], ["new", "newer"])
        index.remove(["v0", "v89", "new"])
    with pytest.raises(DuplicateIdError, match="'v5' is already"):
        ours.add(QUERIES[:1], ["v5"])
    with pytest.raises(UnknownIdError, match="'v0'"):
        ours.remove(["v1", "v0"])
    with pytest.raises(DuplicateIdError, match="'v1' twice"):
        ours.remove(["v1", "v1"])
    ours.save(tmp_path / "again")
    again = ShardedIndex.load(tmp_path / "again", mmap=False)
    assert "newer" in again
    assert "v0" not in again
    for index in (ours, again):
        assert {*index.search(QUERIES, 88).ids[0]} == {*one.search(QUERIES, 88).ids[0]}
        same(index.search(QUERIES, 5), one.search(QUERIES, 5))


def test_rows_without_ids_count_over_all_files(tmp_path: Path) -> None:
    one = Index.build(VECTORS).search(QUERIES, 6)
    np.save(tmp_path / "vectors.npy", VECTORS)
    for number, source in enumerate((folder_of(tmp_path, None), tmp_path / "vectors.npy", VECTORS)):
        same(ShardedIndex.build(source, tmp_path / str(number), shards=3).search(QUERIES, 6), one)


def test_what_cannot_be_built(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, [f"v{row % 89}" for row in range(90)])
    with pytest.raises(DuplicateIdError, match="'v0' is in part 3"):
        ShardedIndex.build(folder, tmp_path / "index", shards=4)
    assert not (tmp_path / "index").exists()
    with pytest.raises(InputError, match="90 vectors for 91 parts"):
        ShardedIndex.build(VECTORS, tmp_path / "index", shards=91)
    with pytest.raises(InputError, match="no vectors"):
        ShardedIndex.build(VECTORS[:0], tmp_path / "index")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no Parquet files"):
        ShardedIndex.build(tmp_path / "empty", tmp_path / "index")
    (tmp_path / "none.parquet").write_text("none")
    with pytest.raises(SourceError, match="is no Parquet file"):
        ShardedIndex.build([tmp_path / "none.parquet"], tmp_path / "index")
    with pytest.raises(InputError, match="parts of 2 metrics"):
        ShardedIndex([Index.build(VECTORS), Index.build(VECTORS, metric="l2")])


def test_damage_is_found(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no index of several parts"):
        ShardedIndex.load(tmp_path)
    ShardedIndex.build(VECTORS, tmp_path / "index", shards=2)
    with pytest.raises(InputError, match="exists"):
        ShardedIndex.build(VECTORS, tmp_path / "index", shards=2)
    file = max((tmp_path / "index" / "part-00001").rglob("*"), key=lambda path: path.stat().st_size * path.is_file())
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BundleError):
        ShardedIndex.load(tmp_path / "index")


@pytest.mark.slow
def test_parts_built_side_by_side_are_the_same(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, NAMES)
    alone = ShardedIndex.build(folder, tmp_path / "one", shards=3)
    beside = ShardedIndex.build(folder, tmp_path / "two", shards=3, processes=2)
    same(beside.search(QUERIES, 8), alone.search(QUERIES, 8))

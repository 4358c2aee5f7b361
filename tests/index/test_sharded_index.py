"""An index of several parts answers as one index of the same vectors."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from isthmus.errors import BundleError, ColumnError, DuplicateIdError, InputError, SourceError, UnknownIdError
from isthmus.index import Index, SearchHits, ShardedIndex
from isthmus.index.sharded.building import merged_recall
from isthmus.index.sharded.homes import check_apart

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
    with pytest.raises(DuplicateIdError, match="'v5' is in the index"):
        ours.add(QUERIES[:1], ["v5"])
    with pytest.raises(UnknownIdError, match="'v0'"):
        ours.remove(["v1", "v0"])
    with pytest.raises(DuplicateIdError, match="'v1' is given twice"):
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


def test_filters_that_can_be_read_once_reach_every_part(both: tuple[ShardedIndex, Index]) -> None:
    ours, one = both
    only = [NAMES[:50], NAMES[60:], NAMES[::2], NAMES[3:5], []]
    same(ours.search(QUERIES, 9, allow=(iter(own) for own in only)), one.search(QUERIES, 9, allow=only))
    same(ours.search(QUERIES, 9, exclude=iter(NAMES[20:80])), one.search(QUERIES, 9, exclude=NAMES[20:80]))
    same(ours.within(QUERIES, -1e9, allow=iter(NAMES[20:80])), one.within(QUERIES, -1e9, allow=NAMES[20:80]))
    with pytest.raises(InputError, match="4 lists"):
        ours.search(QUERIES, 9, allow=only[:4])


def test_vectors_are_replaced_where_they_are(both: tuple[ShardedIndex, Index]) -> None:
    ours, one = both
    sizes = [len(part) for part in ours.parts]
    for index in both:
        index.update(QUERIES[:3], ["v80", "v0", "v30"])
    assert [len(part) for part in ours.parts] == sizes
    np.testing.assert_array_equal(ours.vectors(["v0", "v80"]), QUERIES[[1, 0]])
    same(ours.search(QUERIES, 9), one.search(QUERIES, 9))
    for wrong, error in (
        ((QUERIES[:2], ["v1", "nobody"]), UnknownIdError),
        ((QUERIES[:2], ["v1", "v1"]), DuplicateIdError),
        ((QUERIES[:2, :3], ["v1", "v2"]), InputError),
        ((QUERIES[:1], None), InputError),
    ):
        with pytest.raises(error):
            ours.update(*wrong)
    np.testing.assert_array_equal(ours.vectors(["v1"]), VECTORS[[1]])
    ours.compact()
    assert sum(part.info()["added"] + part.info()["gone"] for part in ours.parts) == 0
    assert ours.holds(["v80", "v99", "v3"]) == [True, False, True]
    same(ours.search(QUERIES, 9), one.search(QUERIES, 9))


def test_numbers_are_given_to_vectors_without_ids(tmp_path: Path) -> None:
    index = ShardedIndex.build(VECTORS, tmp_path / "index", shards=3)
    index.add(QUERIES)
    assert index.vectors([90, 94]).tolist() == QUERIES[[0, 4]].tolist()
    assert "91" not in ShardedIndex([Index.build(VECTORS, NAMES)])
    assert index.holds(["91", 95]) == [True, False]
    with pytest.raises(InputError, match="no ids"):
        ShardedIndex([Index.build(VECTORS, NAMES)]).add(QUERIES)


def test_the_ids_of_all_parts_are_of_one_type(tmp_path: Path) -> None:
    for number, ids in enumerate((["a", "b"], [1, 2])):
        table = pa.table({"id": ids, "vector": list(VECTORS[:2])})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    with pytest.raises(InputError, match="numbers in one part and text"):
        check_apart([Index.build(VECTORS[:2], ["a", "b"]), Index.build(VECTORS[:2], [1, 2])])
    with pytest.raises(ColumnError, match="different columns"):
        ShardedIndex.build([tmp_path / "0.parquet", tmp_path / "1.parquet"], tmp_path / "index", shards=2)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["ip", "cosine", "l2"])
@pytest.mark.parametrize("kind", ["ivf", "ivf-sq8"])
def test_one_quantiser_is_trained_for_all_parts(metric: Any, kind: str, tmp_path: Path) -> None:
    centres = RANDOM.standard_normal((40, 6)) + 3
    many = (np.repeat(centres, 60, axis=0) + 0.3 * RANDOM.standard_normal((2400, 6))).astype(np.float32)
    index = ShardedIndex.build(many, tmp_path / "index", shards=3, metric=metric, kind=kind, target_recall=0.8)
    learnt = []
    for number, part in enumerate(index.parts):
        file = tmp_path / "index" / f"part-{number:05d}" / "cache" / "structure.safetensors"
        centre = part.vectors(part.ids).mean(0) if metric == "l2" else 0
        learnt.append(load_file(file)["centroids"] + centre)
    assert len(learnt[0]) == 800 // 39
    for other in learnt[1:]:
        np.testing.assert_allclose(other, learnt[0], atol=1e-5)
    told = index.info()
    assert told["kind"] == kind
    assert [part["recall"] >= 0.8 for part in told["parts"]] == [True] * 3
    asked = many[::50] + 0.05
    assert 0.8 <= told["recall"] <= 1
    one = Index.build(many, metric=metric, kind="exact")
    hits = [len({*ours} & {*true}) for ours, true in zip(index.search(asked).ids, one.search(asked).ids, strict=True)]
    assert sum(hits) / (10 * len(asked)) >= 0.75
    assert ShardedIndex.load(tmp_path / "index").info() == told


def test_recall_after_merging_counts_the_true_neighbours_of_all_parts() -> None:
    found = SearchHits([[1, 2], [3, 4]], [np.float32([9, 5]), np.float32([3, 1])])
    scores = [np.float32([[9, 7], [3, 2]]), np.float32([[6, 5], [1, 0]])]
    assert merged_recall(found, scores, 2) == 0.5
    assert merged_recall(found, scores, 1) == 1.0


@pytest.mark.slow
def test_parts_built_side_by_side_are_the_same(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, NAMES)
    alone = ShardedIndex.build(folder, tmp_path / "one", shards=3)
    beside = ShardedIndex.build(folder, tmp_path / "two", shards=3, processes=2)
    same(beside.search(QUERIES, 8), alone.search(QUERIES, 8))
    given = ShardedIndex.build(VECTORS, tmp_path / "three", shards=3, processes=2)
    assert given.vectors([89]).tolist() == VECTORS[[89]].tolist()
    asked = ShardedIndex(given.parts, together=3)
    same(asked.search(QUERIES, 8), given.search(QUERIES, 8))
    wrong = folder_of(tmp_path / "three", [f"v{row % 35}" for row in range(90)])
    with pytest.raises(DuplicateIdError, match="twice"):
        ShardedIndex.build(wrong, tmp_path / "four", shards=2, processes=2)

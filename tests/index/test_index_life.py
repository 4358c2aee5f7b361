"""What changes an index, and what changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from isthmus.errors import (
    BudgetError,
    ColumnError,
    DuplicateIdError,
    InputError,
    SettingError,
    SourceError,
    UnknownIdError,
    ValueRangeError,
)
from isthmus.index import Budget, Index, threads


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


REFUSED: list[tuple[Callable[[Index], None], type, str]] = [
    (lambda index: index.add(np.ones((1, 3)), ["b"]), DuplicateIdError, "'b'"),
    (lambda index: index.add(np.ones((2, 3)), ["x", "x"]), DuplicateIdError, "'x'"),
    (lambda index: index.add(np.ones((1, 3)), [4]), InputError, "int64"),
    (lambda index: index.add(np.ones((1, 3))), InputError, "ids"),
    (lambda index: index.add(np.ones((1, 2)), ["x"]), InputError, "2"),
    (lambda index: index.add(np.ones((2, 3)), ["x"]), InputError, "1 ids"),
    (lambda index: index.add([[1.0, 2.0, np.nan]], ["x"]), ValueRangeError, "vector 0"),
    (lambda index: index.update(np.ones((1, 3)), ["x"]), UnknownIdError, "'x'"),
    (lambda index: index.update(np.ones((2, 3)), ["a", "a"]), DuplicateIdError, "'a'"),
    (lambda index: index.update(np.ones((1, 3))), InputError, "ids"),
    (lambda index: index.update(np.ones((1, 2)), ["a"]), InputError, "2"),
    (lambda index: index.remove(["a", "x"]), UnknownIdError, "'x'"),
    (lambda index: index.remove(["a", "a"]), DuplicateIdError, "'a'"),
    (lambda index: index.remove(["late", "late"]), DuplicateIdError, "'late'"),
    (lambda index: index.vectors(["x"]), UnknownIdError, "'x'"),
    (lambda index: index.add(np.ones((9, 3)), list("ABCDEFGHI")), BudgetError, "156"),
]


def test_a_change_that_is_refused_changes_nothing():
    index = Index.build(np.eye(3), ["a", "b", "c"], budget=Budget(bytes=100))
    index.add(np.ones((1, 3)), ["late"])
    for change, error, said in REFUSED:
        with pytest.raises(error, match=said):
            change(index)
        assert index.ids == ["a", "b", "c", "late"]
        assert index.vectors(index.ids).tolist() == [*np.eye(3).tolist(), [1, 1, 1]]


def test_changes_show_at_once_and_equal_scores_come_in_order_of_arrival():
    index = Index.build(np.zeros((3, 2)), metric="l2")
    index.update(np.zeros((1, 2)), [0])
    index.add(np.zeros((1, 2)), [-5])
    assert index.search(np.zeros(2), 9).ids == [[1, 2, 0, -5]]
    index.remove([2])
    index.remove([-5])
    index.add(np.zeros((2, 2)))
    assert index.search(np.zeros(2), 9).ids == [[1, 0, 2, 3]]
    before = index.info()
    assert (before["rows"], before["frozen"], before["gone"], before["added"]) == (4, 3, 2, 3)
    index.compact()
    assert index.search(np.zeros(2), 9).ids == [[1, 0, 2, 3]]
    after = index.info()
    assert (after["rows"], after["frozen"], after["gone"], after["added"]) == (4, 4, 0, 0)


def test_an_empty_change_is_none():
    index = Index.build(np.eye(2))
    index.add(np.empty((0, 2)))
    index.update(np.empty((0, 2)), [])
    index.remove([])
    assert index.ids == [0, 1]


def test_compacting_keeps_a_kind_that_still_finds_enough():
    index = Index.build(numbers(3000, 8), kind="ivf", target_recall=0.9)
    settings = index.info()["settings"]
    index.add(numbers(1000, 8, seed=1))
    index.compact()
    told = index.info()
    assert (told["kind"], told["frozen"], told["added"]) == ("ivf", 4000, 0)
    assert told["settings"]["lists"] >= settings["lists"]
    assert told["recall"] >= 0.9
    assert told["trials"][-1]["outcome"] == "kept when compacted"


@pytest.mark.slow
def test_compacting_chooses_anew_where_the_kind_finds_too_little():
    index = Index.build(numbers(4000, 4), kind="ivf", target_recall=0.9, metric="l2")
    probes = index.info()["settings"]["probes"]
    index.remove(range(4000))
    # In many dimensions that all count, a few lists hold few of the neighbours.
    hard = Index.build(numbers(4000, 24, seed=2), kind="ivf", target_recall=0.9, metric="l2")
    index = Index(hard._state.snapshot, index._state.chosen, hard._request)
    index.compact()
    told = index.info()
    assert told["settings"]["probes"] > probes
    assert told["trials"][0]["outcome"] == "the reference"
    assert told["recall"] >= 0.9


def test_searches_under_way_see_one_state_while_another_thread_changes():
    """Every state has ten rows of one group; an answer that mixes groups would have seen two states."""
    index = Index.build(np.ones((10, 2)), [f"0:{row}" for row in range(10)], metric="l2")
    done, wrong = threading.Event(), []

    def search() -> None:
        while not done.is_set():
            ids = index.search(np.ones(2), 30).ids[0]
            if len(ids) != 10 or len({str(id_).partition(":")[2] for id_ in ids}) != 10:
                wrong.append(ids)

    searching = [threading.Thread(target=search) for _ in range(3)]
    for thread in searching:
        thread.start()
    for turn in range(1, 30):
        with index._changing:
            snapshot = index._state.snapshot
            gone = next(id_ for id_ in snapshot.live()[1] if str(id_).endswith(f":{turn % 10}"))
            index._put(snapshot.without_rows([gone]).with_rows(torch.ones(1, 2), [f"{turn}:{turn % 10}"]))
        if turn % 7 == 0:
            index.compact()
    done.set()
    for thread in searching:
        thread.join()
    assert not wrong


def test_many_threads_change_one_index():
    index = Index.build(np.eye(4))

    def change(number: int) -> None:
        for turn in range(15):
            id_ = 1000 * number + turn
            index.add(np.full((1, 4), number), [id_])
            index.update(np.full((1, 4), number + 0.5), [id_])
            if turn % 3 == 0:
                index.remove([id_])
        index.compact()

    working = [threading.Thread(target=change, args=[number]) for number in range(1, 5)]
    for thread in working:
        thread.start()
    for thread in working:
        thread.join()
    assert len(index) == 4 + 4 * 10
    assert index.vectors([2001]).tolist() == [[2.5] * 4]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["exact", "hnsw", "ivf-pq"])
def test_many_threads_search_with_equal_answers(kind: str):
    index = Index.build(numbers(3000, 16), kind=kind, target_recall=0.1)
    index.add(numbers(30, 16, seed=1))
    index.remove(range(0, 300, 3))
    queries = numbers(40, 16, seed=2)
    asked = [{}, {"allow": list(range(1500))}, {"exclude": list(range(1, 60))}]
    alone = [list(index.search(queries, 5, **filters)) for filters in asked]
    found: list[list] = [[] for _ in range(6)]

    def search(number: int) -> None:
        for _ in range(3):
            found[number].append([list(index.search(queries, 5, **filters)) for filters in asked])

    searching = [threading.Thread(target=search, args=[number]) for number in range(6)]
    with threads.limit(2):
        for thread in searching:
            thread.start()
        for thread in searching:
            thread.join()
    assert found == [[alone] * 3] * 6


def test_npy_and_parquet_go_there_and_back(tmp_path: Path):
    vectors = numbers(20, 3).numpy()
    index = Index.build(vectors, [f"é{row}" for row in range(20)])
    index.remove(["é3"])
    index.export(tmp_path / "a.parquet")
    index.export(tmp_path / "a.npy")
    again = Index.build(tmp_path / "a.parquet")
    assert again.ids == index.ids
    assert np.array_equal(again.vectors(again.ids), index.vectors(index.ids))
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.delete(vectors, 3, 0))
    plain = Index.build(str(tmp_path / "a.npy"))
    assert plain.ids == list(range(19))
    plain.export(tmp_path / "b.parquet")
    assert Index.build(tmp_path / "b.parquet").ids == list(range(19))
    empty = Index.build(np.empty((0, 3)))
    empty.export(tmp_path / "c.npy")
    assert np.load(tmp_path / "c.npy").shape == (0, 3)
    with pytest.raises(InputError, match="to write vectors to"):
        index.export(tmp_path / "a.csv")


def test_lists_of_any_kind_in_parquet(tmp_path: Path):
    for number, kind in enumerate((pa.list_(pa.float64()), pa.large_list(pa.int32()), pa.list_(pa.float32(), 2))):
        table = pa.table({"vector": pa.array([[1, 2], [3, 4]], kind), "id": ["x", "y"]})
        pq.write_table(table, tmp_path / f"{number}.parquet")
        index = Index.build(tmp_path / f"{number}.parquet")
        assert index.ids == ["x", "y"]
        assert index.vectors(["y"]).tolist() == [[3, 4]]


def test_tables_whose_columns_have_other_names(tmp_path: Path):
    rows = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    names = [f"m{row}" for row in range(6)]
    pq.write_table(
        pa.table({"film": names, "embedding": rows.tolist(), "year": list(range(6))}), tmp_path / "v.parquet"
    )
    lines = [f"{a},{name},{b}\n" for name, (a, b) in zip(names, rows.tolist(), strict=True)]
    (tmp_path / "v.csv").write_text("x,film,y\n" + "".join(lines))
    for name in ("v.parquet", "v.csv"):
        index = Index.build(tmp_path / name, ids="film", metric="l2")
        assert index.ids == names
        index.save(tmp_path / "i")
        again = Index.load(tmp_path / "i")
        assert again.id_column == "film"
        np.testing.assert_allclose(again.vectors(["m3"]), rows[3:4], rtol=1e-6)
        again.remove(names)
        again.add(tmp_path / name)
        assert again.ids == names
    table = pa.table({"film": names, "embedding": rows.tolist()})
    assert Index.build(table, ids="film").ids == names
    frame = pd.DataFrame(rows, columns=["x", "y"], index=[5, 3, 1, 2, 4, 0])
    assert Index.build(frame.assign(film=names), ids="film").width == 2
    with pytest.raises(InputError, match="shape"):
        Index.build(frame["x"])
    with pytest.raises(ColumnError, match=r"no columns 'flm' in the table; .*did you mean 'film'"):
        Index.build(table, ids="flm")
    with pytest.raises(ColumnError, match=r"columns 'film' in .*ids='film' in Python, --ids"):
        Index.build(tmp_path / "v.csv")
    with pytest.raises(ColumnError, match="ids='film' for an array"):
        Index.build(rows, ids="film")


def test_a_parquet_file_that_cannot_be_used_is_refused(tmp_path: Path):
    for columns, error, said in (
        ({"v": [[1.0]], "w": [[1.0]]}, ColumnError, "columns of lists 'v', 'w'"),
        ({"vector": [1.0]}, ColumnError, "double"),
        ({"vector": [["a"]]}, ColumnError, "list"),
        ({"vector": [[1.0], None]}, ColumnError, "missing"),
        ({"vector": [[1.0, None]]}, ColumnError, "missing"),
        ({"vector": [[1.0], [1.0, 2.0]]}, ValueRangeError, "2"),
        ({"vector": [[1.0], [2.0]], "id": ["x", "x"]}, DuplicateIdError, "x"),
        ({"vector": [[1.0], [2.0]], "id": ["x", None]}, InputError, "None"),
    ):
        pq.write_table(pa.table(columns), tmp_path / "a.parquet")
        with pytest.raises(error, match=said):
            Index.build(tmp_path / "a.parquet")


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path):
    (tmp_path / "a.npy").write_bytes(b"no such thing")
    (tmp_path / "a.parquet").write_bytes(b"no such thing")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    for name in ("a.npy", "a.parquet", "objects.npy", "missing.npy", "a.txt"):
        with pytest.raises(SourceError):
            Index.build(tmp_path / name)
    for wrong in (
        "no file",
        np.ones(3),
        np.ones((2, 0)),
        np.array([["a"]]),
        np.ones((2, 2), dtype=bool),
        [[1], [1, 2]],
    ):
        with pytest.raises(InputError):
            Index.build(wrong)
    with pytest.raises(ValueRangeError, match="vector 1"):
        Index.build(np.array([[1.0], [1e60]]))


def test_the_switch_holds_for_all_and_is_put_back():
    import faiss

    before = torch.get_num_threads(), faiss.omp_get_max_threads()
    seen = []
    with threads.limit(3):
        assert torch.get_num_threads() == 3
        with threads.limit(2), threads.limited_to(faiss.omp_get_max_threads, faiss.omp_set_num_threads):
            assert torch.get_num_threads() == 2
            seen.append(faiss.omp_get_max_threads())

        def elsewhere() -> None:
            with threads.limited_to(faiss.omp_get_max_threads, faiss.omp_set_num_threads):
                seen.append(faiss.omp_get_max_threads())

        other = threading.Thread(target=elsewhere)
        other.start()
        other.join()
    assert seen == [2, 3]
    assert (torch.get_num_threads(), faiss.omp_get_max_threads()) == before
    with pytest.raises(SettingError, match="threads is 0"), threads.limit(0):
        pass

"""Features of items: matrices and tables taken over, and what is refused."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_array

from isthmus.errors import ColumnError, InputError, MissingLibraryError, SourceError, ValueRangeError
from isthmus_interactions import ItemFeatures

MOVIES = (
    "movieId,title,genres,plot\n1,One,a|b,a green whale\n2,Two,b,the green ship\n7,Seven,c|a|a,\n8,,,a ship of whale\n"
)


def dense(features: ItemFeatures) -> Any:
    return features.matrix.toarray() if isinstance(features.matrix, csr_array) else features.matrix


@pytest.mark.parametrize("make", [np.array, csr_array])
def test_rows_have_norm_one_or_nothing(make: Any) -> None:
    given = make([[3.0, 4.0], [0.0, 0.0], [0.0, -2.0]])
    features = ItemFeatures.of([5, 6, 7], given)
    np.testing.assert_allclose(dense(features), [[0.6, 0.8], [0, 0], [0, -1]], atol=1e-6)
    assert features.items.ids.tolist() == [5, 6, 7]
    assert isinstance(features.matrix, csr_array) == isinstance(given, csr_array)
    assert given[0, 0] == 3.0


@pytest.mark.parametrize("make", [np.array, csr_array])
def test_rare_features_weigh_more(make: Any) -> None:
    features = dense(ItemFeatures.of(["a", "b", "c"], make([[1, 1], [1, 0], [1, 0]]), idf=True))
    common, rare = 1.0, np.log(4 / 2) + 1
    np.testing.assert_allclose(features[0], np.array([common, rare]) / np.hypot(common, rare), rtol=1e-6)


def test_what_is_refused(subtests: pytest.Subtests) -> None:
    for ids, matrix, error, says in [
        ([1, 1], np.eye(2), InputError, "more than once"),
        ([1, 2, 3], np.eye(2), InputError, "3 ids for 2 rows"),
        ([], np.empty((0, 3)), InputError, "at least one item"),
        ([1, 2], np.empty((2, 0)), InputError, "one feature"),
        ([1, 2], np.array([[1, np.nan], [0, 1]]), ValueRangeError, "NaN"),
        ([1, 2], csr_array(np.array([[1, np.inf], [0, 1]])), ValueRangeError, "infinity"),
        ([1, 2], [["x", "y"], ["z", "w"]], InputError, "real numbers"),
        ([1, 2], np.ones(2), InputError, "1 dimensions"),
    ]:
        with subtests.test(ids=ids, matrix=matrix, error=error, says=says), pytest.raises(error, match=says):
            ItemFeatures.of(ids, matrix)


def test_tags_of_a_file(write: Any) -> None:
    features = ItemFeatures.read(write(MOVIES), tags="genres")
    assert features.items.ids.tolist() == [1, 2, 7, 8]
    assert dict(features.titles) == {1: "One", 2: "Two", 7: "Seven"}
    found = dense(features)
    assert found.shape == (4, 3)
    assert (found > 0).sum(1).tolist() == [2, 1, 2, 0]
    # 1 and 7 share the tag a; 2 and 7 share nothing.
    cosines = found @ found.T
    assert cosines[0, 2] > 0
    assert cosines[1, 2] == 0


def test_text_is_weighed_by_tf_idf(write: Any) -> None:
    found = dense(ItemFeatures.read(write(MOVIES), text="plot", id="movieId"))
    cosines = found @ found.T
    assert cosines[0, 1] > 0
    np.testing.assert_allclose(cosines.diagonal(), [1, 1, 0, 1], atol=1e-6)


def test_parts_stand_side_by_side_and_weigh_alike(write: Any) -> None:
    tagged, written = (
        dense(ItemFeatures.read(write(MOVIES), **part)) for part in ({"tags": "genres"}, {"text": "plot"})
    )
    both = dense(ItemFeatures.read(write(MOVIES), tags="genres", text="plot"))
    np.testing.assert_allclose(both[:2], np.hstack([tagged, written])[:2] / np.sqrt(2), atol=1e-6)


def test_vectors_of_a_table_and_of_columns(tmp_path: Any) -> None:
    vectors = [[1.0, 2.0], [0.5, 0.0]]
    table = pa.table({"item": ["x", "y"], "v": vectors, "p": [1.0, 0.5], "q": [2.0, 0.0]})
    pq.write_table(table, tmp_path / "t.parquet")
    expected = np.array(vectors) / np.linalg.norm(vectors, axis=1)[:, None]
    for source in (table, tmp_path / "t.parquet"):
        np.testing.assert_allclose(dense(ItemFeatures.read(source, vectors="v")), expected, rtol=1e-6)
        np.testing.assert_allclose(dense(ItemFeatures.read(source, vectors=["p", "q"])), expected, rtol=1e-6)


def test_tables_that_are_refused(subtests: pytest.Subtests, write: Any) -> None:
    for text, options, error, says in [
        (MOVIES, {}, InputError, "no column of features"),
        (MOVIES, {"tags": "genre"}, ColumnError, "'genre'"),
        (MOVIES, {"tags": "genres", "id": "nobody"}, ColumnError, "'nobody'"),
        ("x,genres\n1,a\n", {"tags": "genres"}, ColumnError, "0 columns could hold the ids"),
        ("item,id,genres\n1,1,a\n", {"tags": "genres"}, ColumnError, "2 columns could hold the ids"),
        ("item,genres\n1,a\n1,b\n", {"tags": "genres"}, InputError, "more than once"),
        ("item,genres\n1,a\n,b\n", {"tags": "genres"}, ValueRangeError, "without an id"),
        ("item,genres\n1,\n2,\n", {"tags": "genres"}, InputError, "tags are empty"),
        ("item,genres\n", {"tags": "genres"}, SourceError, "no rows"),
        ("item,plot\n1,\n2,\n", {"text": "plot"}, InputError, "no usable words"),
        ("item,v\n1,a\n", {"vectors": "v"}, ColumnError, "not numbers"),
        ("item,v\n1,1\n2,\n", {"vectors": "v"}, ValueRangeError, "NaN"),
    ]:
        with subtests.test(text=text, options=options), pytest.raises(error, match=says):
            ItemFeatures.read(write(text), **options)


def test_texts_without_the_library_name_the_extra(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingLibraryError, match=r"isthmus\[features\]"):
        ItemFeatures.read(write(MOVIES), text="plot")

"""What interactions are read from, and how what was told is remembered."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from scipy.sparse import coo_array, csr_array

from isthmus.errors import ColumnError, InputError, SettingError, SourceError
from isthmus_interactions import Interactions, Recommender

COLUMNS = {"user": "who", "item": "movie", "value": "stars", "time": "when"}
CSV = "who,movie,stars,when\n" + "".join(
    f"u{row},m{(row + step) % 6},{5 - step},{step}\n" for row in range(6) for step in range(4)
)


@pytest.fixture
def fitted(tmp_path: Path) -> Recommender:
    (tmp_path / "movies.csv").write_text(CSV)
    Recommender.fit(tmp_path / "movies.csv", "ease", **COLUMNS).save(tmp_path / "bundle")
    return Recommender.load(tmp_path / "bundle")


# --- columns ---


def test_columns_are_remembered_by_the_bundle(fitted: Recommender, tmp_path: Path) -> None:
    assert fitted.facts["columns"] == COLUMNS
    assert fitted.facts["keep"] == ">=4"
    (tmp_path / "new.csv").write_text("who,movie,stars,when\nu9,m9,5,9\nu9,m0,1,8\n")
    updated = fitted.update(tmp_path / "new.csv")
    assert updated.recommend_users(["u9"], 1)[0].ids
    assert updated.interactions[updated.adapter.users.rows(["u9"])].indices.tolist() == [6]
    assert updated.ordered_histories is not None
    assert updated.ordered_histories.times_of(6).tolist() == [9]
    assert updated.facts["columns"] == COLUMNS


def test_another_table_may_be_told_otherwise_or_have_the_usual_names(fitted: Recommender) -> None:
    for frame, told in [
        (pd.DataFrame({"user": ["u9"], "item": ["m1"], "stars": [5]}), {}),
        (pl.DataFrame({"person": ["u9"], "film": ["m1"], "stars": [5]}), {"user": "person", "item": "film"}),
        (pa.table({"who": ["u9"], "film": ["m1"], "stars": [3]}), {"item": "film", "keep": "all"}),
    ]:
        updated = fitted.update(frame, **told)
        assert updated.interactions[updated.adapter.users.rows(["u9"])].indices.tolist() == [1]


def test_a_remembered_column_that_is_missing(fitted: Recommender, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ColumnError, match=r"no column 'who' among 'name', 'movie'.*with user='NAME'") as caught:
        fitted.update(pa.table({"name": ["u9"], "movie": ["m1"]}))
    assert "--user NAME" in caught.value.on_command_line()
    fitted.update(pa.table({"who": ["u9"], "movie": ["m1"]}))
    assert "no column 'stars', as in the training data: every row counts" in caplog.text


def test_messages_speak_python_or_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text(CSV)
    with pytest.raises(ColumnError) as caught:
        Recommender.fit(tmp_path / "movies.csv")
    assert str(caught.value).endswith("such as user='who', item='movie'")
    assert caught.value.on_command_line().endswith("such as --user who --item movie")


# --- matrices and arrays ---


def test_arrays_of_every_kind() -> None:
    users, items, values = [2, 1, 2], ["a", "b", "b"], [5.0, 1.0, 4.0]
    for given in [
        (users, items, values),
        (np.array(users), np.array(items), torch.tensor(values)),
        (pd.Series(users), pl.Series(items), pa.chunked_array([values[:2], values[2:]])),
    ]:
        read = Interactions.read(given)
        assert read.matrix.toarray().tolist() == [[1, 1]]
        assert read.users.ids.tolist() == [2]
    timed = Interactions.read((users, items, None, [3, 2, 1]), weights="value")
    assert timed.times.tolist() == [2, 3, 1]


def test_a_matrix_is_taken_as_it_is_unless_told_otherwise() -> None:
    matrix = coo_array(np.array([[0, 5.0, 1.0], [0, 0, 3.0]]))
    plain = Interactions.read(matrix)
    assert (plain.matrix.toarray() == matrix.toarray()).all()
    assert plain.report.weights == "value"
    told = Interactions.read(matrix, users=["a", "b"], items=[7, 8, 9], keep=3, weights="binary")
    assert told.matrix.toarray().tolist() == [[0, 1, 0], [0, 0, 1]]
    assert told.report.filtered == 1
    assert told.users.ids.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("source", "told", "error", "message"),
    [
        (([1, 2], [1]), {}, SourceError, "2 of user, 1 of item"),
        (([1],), {}, SourceError, r"a tuple of 1; expected \(users, items\)"),
        ((np.eye(2), [1, 2]), {}, SourceError, "2 dimensions"),
        (([1, "a"], [1, 2]), {}, SourceError, "users of type list"),
        (np.eye(2), {}, SourceError, "a dense matrix a scipy.sparse"),
        (csr_array(np.eye(2)), {"user": "who"}, SettingError, "user= for a matrix"),
        (([1], [1]), {"items": [1]}, SettingError, "items= for a table"),
        (csr_array(np.eye(2)), {"items": [1]}, InputError, "1 ids of items for a matrix with 2"),
        (Interactions.read(([1], [1])), {"keep": 3}, SettingError, "keep= for interactions that are read already"),
    ],
)
def test_what_does_not_fit_is_refused(source: object, told: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Interactions.read(source, **told)


def test_a_recommender_is_fitted_and_updated_with_a_matrix() -> None:
    matrix = csr_array(np.random.default_rng(0).random((30, 8)) > 0.5).astype(np.float32) * 2
    fitted = Recommender.fit(matrix, "ease", items=[f"i{n}" for n in range(8)])
    assert fitted.facts["weights"] == "value"
    updated = fitted.update(csr_array(np.ones((1, 2))), users=[99], items=["i0", "new"])
    assert updated.interactions[30].toarray()[[0, 8]].tolist() == [1, 1]
    assert updated.recommend_users([99], 2)[0].ids

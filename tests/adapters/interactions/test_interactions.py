import logging

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array, csr_array, csr_matrix

from isthmus.errors import InputError, SettingError, UnknownIdError, ValueRangeError
from isthmus.vocabulary import Vocabulary
from isthmus_interactions.interactions import Interactions


def table(rows):
    users, items, values, times = zip(*rows, strict=True)
    return pa.table({"user": users, "item": items, "rating": values, "time": times})


ROWS = [(1, 10, 4, 5), (1, 10, 5, 9), (1, 20, 5, 7), (2, 20, 1, 1), (3, 30, 4, 2)]


def test_the_matrix_is_plain_scipy():
    interactions = Interactions.read(table(ROWS), keep="all")
    matrix = interactions.matrix
    assert isinstance(matrix, csr_array)
    assert matrix.dtype == np.float32
    assert matrix.indices.dtype == matrix.indptr.dtype == np.int32
    assert matrix.has_canonical_format
    assert len(interactions) == 3
    assert interactions.nnz == 4
    assert len(interactions.times) == 4


@pytest.mark.parametrize(
    ("weights", "cell"), [("binary", 1.0), ("value", 9.0), ("log", np.log1p(np.float32(9)))], ids=lambda w: str(w)
)
def test_duplicates_merge_and_the_latest_time_stays(weights, cell):
    interactions = Interactions.read(table(ROWS), keep="all", weights=weights)
    assert interactions.matrix[0, 0] == pytest.approx(cell)
    assert interactions.times.tolist() == [9, 7, 1, 2]
    assert interactions.report.duplicates == 1
    assert interactions.report.rows_kept == interactions.nnz == 4


def test_without_values_rows_are_counted():
    events = pa.table({"user": [1, 1, 1, 2], "item": [5, 5, 6, 5]})
    np.testing.assert_array_equal(Interactions.read(events).matrix.toarray(), [[1, 1], [1, 0]])
    np.testing.assert_array_equal(Interactions.read(events, weights="value").matrix.toarray(), [[2, 1], [1, 0]])
    logs = Interactions.read(events, weights="log").matrix.toarray()
    np.testing.assert_allclose(logs, np.log1p([[2, 1], [1, 0]]), rtol=1e-6)


def test_the_default_rule_is_applied_and_told(caplog):
    caplog.set_level(logging.INFO, logger="isthmus_interactions")
    interactions = Interactions.read(table([(1, i, i, i) for i in range(1, 6)]))
    assert interactions.items.ids.tolist() == [4, 5]
    report = interactions.report
    assert (report.keep, report.rows_read, report.filtered, report.rows_kept) == (">=4", 5, 3, 2)
    assert "top two fifths of the scale from 1 to 5" in report.text()
    assert report.text() in caplog.text


def test_zeros_are_no_weights():
    rows = [(1, 1, 0, 0), (1, 2, 3, 0), (2, 1, 0, 0)]
    weighted = Interactions.read(table(rows), keep="all", weights="value")
    assert weighted.users.ids.tolist() == [1]
    assert weighted.report.zeros == 2
    assert Interactions.read(table(rows), keep="all").nnz == 3


def test_one_user_and_one_item():
    interactions = Interactions.read(table(ROWS[:1]))
    assert interactions.matrix.shape == (1, 1)
    assert interactions.matrix.toarray() == [[1]]


def test_sums_beyond_float32_are_refused():
    with pytest.raises(ValueRangeError, match="more than 32 bits"):
        Interactions.read(table([(1, 1, 3e38, 0), (1, 1, 3e38, 0)]), weights="value")


def test_unknown_weights_are_refused():
    read = Interactions.read.__func__
    unchecked = getattr(read, "__wrapped__", read)  # past the run-time type check that only the tests have
    with pytest.raises(SettingError, match="weights='tfidf'"):
        unchecked(Interactions, table(ROWS), weights="tfidf")


# --- from_csr ---


def test_a_matrix_is_taken_over_with_its_empty_rows_and_columns():
    given_matrix = coo_array(([2.0, 3.0, 0.0, 1.0], ([0, 0, 2, 2], [3, 3, 0, 1])), shape=(4, 5))
    interactions = Interactions.from_csr(given_matrix)
    expected = np.zeros((4, 5))
    expected[0, 3], expected[2, 1] = 5, 1
    np.testing.assert_array_equal(interactions.matrix.toarray(), expected)
    assert interactions.matrix.nnz == 2
    assert interactions.users.ids.tolist() == [0, 1, 2, 3]
    assert len(interactions.items) == 5
    assert interactions.times is None
    assert given_matrix.nnz == 4


def test_a_matrix_with_ids():
    interactions = Interactions.from_csr(csr_matrix(np.eye(2)), users=["b", "a"], items=Vocabulary([9, 8]))
    assert interactions.row_of("a") == 1
    assert interactions.items.ids.tolist() == [9, 8]
    with pytest.raises(UnknownIdError):
        interactions.row_of("c")
    with pytest.raises(InputError, match="1 ids of items"):
        Interactions.from_csr(csr_matrix(np.eye(2)), items=[1])


def test_a_matrix_with_bad_values_names_the_cell(subtests):
    for bad in [-1.0, np.nan, np.inf, 1e39]:
        with subtests.test(bad=bad), pytest.raises(ValueRangeError, match="row 1, column 2"):
            Interactions.from_csr(csr_array(np.array([[1.0, 0, 0], [0, 0, bad]])))


def test_the_given_matrix_is_not_shared():
    mine = csr_array(np.eye(3, dtype=np.float32))
    interactions = Interactions.from_csr(mine)
    mine.data[:] = 7
    assert interactions.matrix.data.tolist() == [1, 1, 1]


# --- selections ---

MATRICES = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).integers(0, 3, np.random.default_rng(seed).integers(1, 8, 2))
)


@settings(deadline=None, max_examples=40)
@given(MATRICES, st.randoms(use_true_random=False))
def test_selections_agree_with_dense_indexing(dense, random):
    interactions = Interactions.from_csr(csr_array(dense))
    users = np.array(random.sample(range(dense.shape[0]), random.randint(0, dense.shape[0])), dtype=np.int64)
    items = np.array(random.sample(range(dense.shape[1]), random.randint(1, dense.shape[1])), dtype=np.int64)
    chosen = interactions.select_users(users)
    np.testing.assert_array_equal(chosen.matrix.toarray(), dense[users])
    assert chosen.users.ids.tolist() == users.tolist()
    narrow = interactions.select_items(items)
    np.testing.assert_array_equal(narrow.matrix.toarray(), dense[:, items])
    assert narrow.matrix.has_canonical_format
    assert narrow.report.unknown_items == interactions.nnz - narrow.nnz


def test_times_follow_their_entries():
    interactions = Interactions.read(table(ROWS), keep="all")
    assert interactions.select_users(np.array([2, 0])).times.tolist() == [2, 9, 7]
    assert interactions.select_items(np.array([1, 0])).times.tolist() == [7, 9, 1]
    assert interactions.select_entries(np.array([True, False, False, True])).times.tolist() == [9, 2]


def test_another_vocabulary_drops_and_counts_unknown_items(caplog):
    interactions = Interactions.read(table(ROWS), keep="all")
    over = interactions.with_items(Vocabulary([30, 99, 10]))
    np.testing.assert_array_equal(over.matrix.toarray(), [[0, 0, 1], [0, 0, 0], [1, 0, 0]])
    assert over.report.unknown_items == 2
    assert over.report.rows_kept == over.nnz
    assert "2 of 4 interactions" in caplog.text
    assert interactions.with_items(interactions.items) is interactions


def test_integers_and_text_find_each_other():
    numbers = Interactions.read(pa.table({"user": [1, 1], "item": [7, 8]}))
    over = numbers.with_items(Vocabulary(["007", "8", "7"]))
    np.testing.assert_array_equal(over.matrix.toarray(), [[0, 1, 1]])
    texts = Interactions.read(pa.table({"user": [1, 1, 1], "item": ["7", "007", "x"]}))
    np.testing.assert_array_equal(texts.with_items(Vocabulary([7, 8])).matrix.toarray(), [[1, 0]])

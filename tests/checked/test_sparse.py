"""Sparse matrices of callers: what is wrong with them is said, and nothing wrong reaches SciPy's loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.sparse import (
    coo_array,
    coo_matrix,
    csc_array,
    csr_array,
    csr_matrix,
    dia_array,
    dok_array,
    lil_array,
    random_array,
)

from isthmus.checked.sparse import READERS, as_csr, check_csr, checked_csr
from isthmus.errors import InputError

SHAPE = (6, 8)


def matrix(kind: str) -> Any:
    made = random_array(SHAPE, density=0.4, rng=np.random.default_rng(0), format="csr")
    return made.tobsr((2, 2)) if kind == "bsr" else made.asformat(kind)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool"])
def test_every_format_is_what_it_was(kind: str, dtype: str):
    given = matrix(kind).astype(dtype)
    taken = checked_csr(given)
    assert taken.dtype == dtype
    assert np.array_equal(taken.toarray(), given.toarray())
    assert type(taken) is csr_array


def test_a_csr_array_is_not_copied_twice_and_not_believed():
    given = csr_array(([1.0, 2.0], [3, 3], [0, 2]), shape=(1, 4))
    given.has_canonical_format = True
    taken = checked_csr(given)
    assert not np.shares_memory(taken.data, given.data)
    taken.sum_duplicates()
    assert taken.nnz == 1
    assert as_csr(given) is given
    assert np.array_equal(as_csr(csr_matrix(given)).toarray(), given.toarray())


def test_what_is_stored_behind_the_last_end_is_left_out():
    given = csr_array(([1.0, 2.0], [0, 1], [0, 1]), shape=(1, 2))
    given.indices, given.data = np.array([0, 99]), np.array([1.0, 2.0])
    assert checked_csr(given).toarray().tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("kind", ["csr", "csc", "bsr"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: m.indices.__setitem__(0, 99),
        lambda m: m.indices.__setitem__(0, -1),
        lambda m: m.indptr.__setitem__(1, 10**6),
        lambda m: m.indptr.__setitem__(1, -5),
        lambda m: m.indptr.__setitem__(0, 1),
        lambda m: m.indptr.__setitem__(-1, 0),
        lambda m: m.indptr.__setitem__(-1, 10**6),
        lambda m: setattr(m, "indptr", m.indptr[:-1]),
        lambda m: setattr(m, "indices", m.indices[:3]),
        lambda m: setattr(m, "data", m.data[:3]),
        lambda m: setattr(m, "indices", m.indices.astype(np.float64)),
        lambda m: setattr(m, "indices", m.indices.reshape(1, -1)),
        lambda m: setattr(m, "data", m.data.astype(object)),
        lambda m: setattr(m, "data", m.data + 1j),
    ],
)
def test_compressed_lines_that_are_wrong(kind: str, spoil: Callable[[Any], None]):
    given = matrix(kind)
    spoil(given)
    with pytest.raises(InputError):
        checked_csr(given)
    if kind == "csr":
        with pytest.raises(InputError):
            check_csr(given)


def test_ends_that_go_back_to_nothing():
    # SciPy's own check stops looking where the last end is 0.
    given = csr_array((3, 5))
    given.indptr = np.array([0, 10**6, 10**6, 0], dtype=np.int32)
    given.check_format(full_check=True)
    with pytest.raises(InputError, match="rise"):
        checked_csr(given)


@pytest.mark.parametrize(
    "given",
    [
        csr_array(np.arange(4.0)),
        coo_array(np.ones((2, 2, 2))),
        csr_array((2, 3), dtype=complex),
        coo_array(([1.0], ([0], [0])), shape=(2**40, 1)),
        np.ones((2, 2)),
        [[1.0]],
        None,
    ],
)
def test_what_is_no_matrix_of_numbers(given: Any):
    with pytest.raises(InputError):
        checked_csr(given)


def test_places_of_other_formats():
    wrong: list[Any] = [coo_matrix(matrix("coo")), matrix("dia"), matrix("lil"), matrix("lil"), matrix("dok")]
    wrong[0].row[0] = 77
    wrong[1].data = wrong[1].data[:-1]
    wrong[2].rows[0] = [0, 77]
    wrong[3].data[1] = list(range(10))
    wrong[4]._dict[(0, 99)] = 1.0
    for given in wrong:
        with pytest.raises(InputError):
            checked_csr(given)


def test_diagonals_beyond_the_corners_hold_nothing():
    given = dia_array((np.ones((2, 4)), np.array([0, 1])), shape=(3, 4))
    given.offsets = np.array([0, 2**60])
    assert checked_csr(given).toarray().tolist() == np.eye(3, 4).tolist()


def test_empty_matrices_of_each_kind():
    for made in (csr_array, csc_array, coo_array, lil_array, dok_array):
        assert checked_csr(made((0, 4))).shape == (0, 4)
        assert checked_csr(made((3, 0))).shape == (3, 0)

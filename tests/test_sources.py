import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from isthmus.errors import InputError
from isthmus.protocols import Source
from isthmus.sources import BagSource, VectorSource

DENSE = np.array([[0, 2, 0, 3], [0, 0, 0, 0], [1, 0, 0, 0], [4, 5, 6, 7]], dtype=np.float32)


def as_dense(bags, width):
    rows = torch.zeros(bags.size, width)
    rows[bags.rows(), bags.indices] = bags.weights
    return rows.numpy()


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [3, 1], [2, 2, 0], [1], []])
def test_bags_are_the_rows_of_the_matrix(rows):
    source = BagSource.from_csr(csr_array(DENSE))
    batch = source.batch(torch.tensor(rows, dtype=torch.int64))
    assert batch.rows.tolist() == rows
    assert batch.inputs is batch.targets
    assert batch.inputs.indices.dtype == torch.int64
    np.testing.assert_array_equal(as_dense(batch.inputs, 4), DENSE[rows])


def test_ones_are_not_stored():
    binary = BagSource.from_csr(csr_array((DENSE > 0).astype(np.uint8)))
    assert binary.weights is None
    assert binary.indices.dtype == torch.int32
    np.testing.assert_array_equal(as_dense(binary.batch(torch.arange(4)).inputs, 4), DENSE > 0)


def test_lengths_and_devices():
    source = BagSource.from_csr(csr_array(DENSE))
    moved = source.to(torch.device("cpu"))
    assert isinstance(source, Source)
    assert len(moved) == 4
    assert moved.lengths.tolist() == [2, 0, 1, 4]
    assert moved.weights.tolist() == source.weights.tolist()


def test_the_matrix_is_copied():
    matrix = csr_array(DENSE)
    source = BagSource.from_csr(matrix)
    matrix.data[:] = 9
    assert source.weights.tolist() == [2, 3, 1, 4, 5, 6, 7]


def test_a_catalogue_beyond_32_bits_is_refused():
    wide = csr_array((np.ones(1), (np.array([0]), np.array([2**31]))), shape=(1, 2**31 + 1))
    with pytest.raises(InputError, match="columns"):
        BagSource.from_csr(wide)


def test_vectors():
    source = VectorSource(torch.from_numpy(DENSE)).to(torch.device("cpu"))
    assert isinstance(source, Source)
    assert len(source) == 4
    assert source.lengths.tolist() == [4, 4, 4, 4]
    batch = source.batch(torch.tensor([2, 0]))
    assert batch.inputs is batch.targets
    np.testing.assert_array_equal(batch.inputs.values.numpy(), DENSE[[2, 0]])

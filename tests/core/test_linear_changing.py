"""An inverse that changes with its data, against one that is solved anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from nearness import assert_near
from scipy.sparse import csr_array

from isthmus.batch import Bags
from isthmus.core.linear import changing
from isthmus.core.linear.changing import ChangingInverse
from isthmus.core.linear.corrected import CorrectedLinear
from isthmus.core.linear.dense import LinearAutoencoder
from isthmus.protocols import Ranker
from isthmus.testing.ranker import RankerContract

WIDTH = 23
SETTINGS = {"ease": (3.0, 0.0, 0.0), "edlae": (3.0, 0.4, 0.0), "rdlae": (3.0, 0.3, 0.4)}
Numbers = npt.NDArray[np.float64]

each = pytest.mark.parametrize("name", SETTINGS)


def rows_of(count: int, seed: int = 0, width: int = WIDTH) -> csr_array:
    generator = np.random.default_rng(seed)
    dense = (generator.random((count, width)) < 0.25) * generator.integers(1, 3, (count, width))
    return csr_array(dense.astype(np.float32))


def solved(matrix: csr_array, name: str) -> ChangingInverse:
    return ChangingInverse.of(matrix, *SETTINGS[name])


def weights(inverse: ChangingInverse) -> Numbers:
    """B in double precision."""
    folded = inverse.folded()
    found = -folded.base * folded.scale()
    np.fill_diagonal(found, folded.own_weights())
    return found


def assert_same(one: ChangingInverse, other: ChangingInverse) -> None:
    np.testing.assert_allclose(weights(one), weights(other), rtol=0, atol=1e-8)
    np.testing.assert_allclose(one.counts, other.counts, rtol=0, atol=1e-8)
    np.testing.assert_allclose(one.weights() if not one.rank else one.folded().weights(), other.weights(), atol=1e-6)


def changed(
    inverse: ChangingInverse, before: csr_array, after: csr_array, places: npt.NDArray[np.int64]
) -> ChangingInverse:
    """The inverse after the rows of ``before`` that differ from ``after`` were replaced."""
    return inverse.changed(before[places], after[places], after)


@each
def test_a_thousand_random_changes_give_the_weights_of_a_fit_from_scratch(name: str) -> None:
    """Rows come, go and become others, one or two at a time, at up to 300 rows."""
    generator = np.random.default_rng(1)
    data = np.zeros((300, WIDTH), np.float32)
    data[:150] = rows_of(150).toarray()
    inverse, widest, never_needed = solved(csr_array(data), name), 0, csr_array((0, WIDTH), dtype=np.float32)
    for _ in range(1000):
        rows = generator.choice(300, generator.integers(1, 3), replace=False)
        before = csr_array(data[rows])
        drawn = (generator.random((len(rows), WIDTH)) < 0.25) * (generator.random() < 0.5)
        data[rows] = drawn
        inverse = inverse.changed(before, csr_array(data[rows]), never_needed)
        widest = max(widest, inverse.rank)
    assert 0 < widest <= changing.NARROW
    assert_same(inverse, solved(csr_array(data), name))


@each
@pytest.mark.parametrize("count", [1, 20])
def test_few_and_many_rows_change_by_the_form_of_lower_rank(name: str, count: int) -> None:
    before = rows_of(60)
    after = csr_array(np.vstack([rows_of(count, 9).toarray(), before[count:].toarray()]))
    found = changed(solved(before, name), before, after, np.arange(count))
    assert found.rank <= WIDTH
    assert_same(found, solved(after, name))


def test_a_change_of_high_rank_is_solved_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changing, "NARROW", 2)
    before, after = rows_of(60), rows_of(60, 5)
    found = changed(solved(before, "edlae"), before, after, np.arange(60))
    np.testing.assert_array_equal(found.base, solved(after, "edlae").base)


def test_changes_are_folded_into_a_base_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changing, "NARROW", 4)
    before, after = rows_of(60), rows_of(60)
    inverse = solved(before, "ease")
    whole = after.toarray()
    for row in range(6):
        old, whole = csr_array(whole), whole.copy()
        whole[row] = rows_of(1, 100 + row).toarray()
        inverse = changed(inverse, old, csr_array(whole), np.array([row]))
        assert inverse.rank <= 4
    assert_same(inverse, solved(csr_array(whole), "ease"))
    np.testing.assert_array_equal(solved(before, "ease").base, solved(rows_of(60), "ease").base)


@each
def test_columns_come_and_go(name: str) -> None:
    data = rows_of(60)
    changes = changed(solved(rows_of(60, 3), name), rows_of(60, 3), data, np.arange(60))
    wide = csr_array((data.data, data.indices, data.indptr), shape=(60, WIDTH + 4))
    assert_same(changes.wider(WIDTH + 4), solved(wide, name))
    gone = np.array([0, 7, WIDTH - 1])
    rest = np.setdiff1d(np.arange(WIDTH), gone)
    assert_same(changes.without(gone), solved(csr_array(data[:, rest]), name))


@each
def test_the_check_bounds_the_difference_of_weights(name: str) -> None:
    """Of a right inverse hardly anything; of a spoilt one at least what is wrong with it."""
    data, columns = rows_of(60), np.array([0, 5, WIDTH - 1])
    right = changed(solved(rows_of(60, 3), name), rows_of(60, 3), data, np.arange(60))
    assert right.difference(data, columns) < 1e-11
    noise = np.random.default_rng(2).normal(size=(WIDTH, WIDTH))
    noise += noise.T
    spoilt = replace(right, base=right.base + 1e-7 * noise, diagonal=right.diagonal + 1e-7 * noise.diagonal())
    wrong = np.abs(weights(spoilt) - weights(right))[:, columns].max()
    assert wrong > 1e-8
    assert wrong <= spoilt.difference(data, columns) < 1000 * wrong
    assert replace(right, base=-right.base).difference(data, columns) == np.inf


def test_what_rounding_has_lost_is_told_by_the_check() -> None:
    """A λ that is nothing beside the entries: the inverse of an item without its only row is lost in rounding."""
    before = csr_array(np.array([[1e4, 0], [0, 1.0]], np.float32))
    after = csr_array(np.array([[0, 0], [0, 1.0]], np.float32))
    found = ChangingInverse.of(before, 1e-12, 0.0, 0.0).changed(before[[0]], after[[0]], after)
    exact = ChangingInverse.of(after, 1e-12, 0.0, 0.0)
    right = np.allclose(found.diagonal, exact.diagonal, rtol=1e-8)
    assert right or found.difference(after, np.array([0, 1])) > 1e-8


def corrected(name: str = "rdlae") -> tuple[CorrectedLinear, ChangingInverse]:
    before, after = rows_of(60, 3), rows_of(60)
    old = solved(before, name)
    base = LinearAutoencoder(WIDTH)
    old.weights(out=base.weights.numpy())
    found = changed(old, before, after, np.arange(5))
    assert found.rank
    return CorrectedLinear(base, found), found


class TestCorrectedLinear(RankerContract):
    """What every ranker must do."""

    def ranker(self) -> Ranker:
        return corrected()[0]

    def bags(self) -> Bags:
        items, offsets = [0, 3, 5, 1, 22, 7], [0, 2, 2, 3, 6]
        return Bags(torch.tensor(items), torch.tensor(offsets), torch.tensor([1.0, 2.0, 1.0, 0.5, 1.5, 1.0]))


@each
def test_a_corrected_model_is_the_matrix_it_stands_for(name: str) -> None:
    model, inverse = corrected(name)
    plain = LinearAutoencoder(WIDTH)
    inverse.folded().weights(out=plain.weights.numpy())
    columns = torch.stack([model.weights_for(column) for column in range(WIDTH)], 1)
    assert_near(columns, plain.weights)
    bags = TestCorrectedLinear().bags()
    for some in (None, slice(2, 9), slice(20, WIDTH), torch.tensor([22, 0, 5])):
        assert_near(model.scores(model.prepare(bags), some), plain.scores(bags, some))

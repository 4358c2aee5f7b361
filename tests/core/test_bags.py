"""Sums over bags against dense products, and gradients that follow from them."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.batch import Bags
from isthmus.core.ops.bags import bag_sum, unit_norm

BAGS = Bags(
    torch.tensor([4, 0, 2, 2, 1]), torch.tensor([0, 2, 2, 5]), torch.tensor([1.0, 2.0, 0.5, 0.0, -1.0])
)  # the second bag is empty, item 3 is in none


def dense(bags, width):
    out = torch.zeros(bags.size, width)
    return out.index_put_((bags.rows(), bags.indices), bags.weights, accumulate=True)


def test_equals_the_dense_product_and_its_gradient():
    table = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    grad = torch.randn(3, 3, generator=torch.Generator().manual_seed(1))
    ours, theirs = bag_sum(table, BAGS), dense(BAGS, 5) @ table
    torch.testing.assert_close(ours, theirs)
    (a,), (b,) = torch.autograd.grad(ours, table, grad), torch.autograd.grad(theirs, table, grad)
    torch.testing.assert_close(a, b)
    assert (a[3] == 0).all()


def test_gradcheck():
    table = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: bag_sum(t, BAGS), (table,))


def test_only_empty_bags():
    table = torch.ones(5, 3, requires_grad=True)
    empty = Bags(torch.empty(0, dtype=torch.int64), torch.zeros(3, dtype=torch.int64), torch.empty(0))
    out = bag_sum(table, empty)
    out.sum().backward()
    assert out.shape == (2, 3)
    assert (out == 0).all()
    assert (table.grad == 0).all()


def test_unit_norm_of_rows_and_of_an_empty_one():
    scaled = dense(unit_norm(Bags(BAGS.indices, BAGS.offsets, torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0]))), 5)
    norms = unit_norm(BAGS).reweighted(unit_norm(BAGS).weights.square()).totals()
    torch.testing.assert_close(norms, torch.tensor([1.0, 0.0, 1.0]))
    torch.testing.assert_close(scaled[0], torch.tensor([2.0, 0, 0, 0, 1]) / 5**0.5)


def test_repeat_lays_copies_side_by_side():
    repeated = BAGS.repeat(2)
    torch.testing.assert_close(dense(repeated, 5), dense(BAGS, 5).repeat_interleave(2, 0))


ROWS = st.lists(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([-2.0, 0.0, 0.5, 3.0])), max_size=4), max_size=5)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(ROWS)
def test_any_bags_are_what_plain_loops_make_of_them(rows):
    """Empty bags, items that come twice, weights of 0; exact numbers, so that nothing is rounded."""
    flat = [entry for row in rows for entry in row]
    ends = [0]
    for row in rows:
        ends.append(ends[-1] + len(row))
    indices = torch.tensor([item for item, _ in flat], dtype=torch.int64)
    bags = Bags(indices, torch.tensor(ends), torch.tensor([weight for _, weight in flat], dtype=torch.float32))
    table = torch.arange(15.0).reshape(5, 3).requires_grad_()
    summed = bag_sum(table, bags)
    assert summed.tolist() == [[sum(w * (3 * item + at) for item, w in row) for at in range(3)] for row in rows]
    (gradient,) = torch.autograd.grad(summed, table, torch.ones_like(summed))
    assert gradient.tolist() == [[sum(w for item, w in flat if item == one)] * 3 for one in range(5)]
    assert bags.lengths().tolist() == [len(row) for row in rows]
    assert bags.rows().tolist() == [place for place, row in enumerate(rows) for _ in row]
    assert bags.totals().tolist() == [sum(weight for _, weight in row) for row in rows]
    turned = bags.take(torch.arange(bags.size).flip(0))
    assert [part.tolist() for part in turned.indices.split(turned.lengths().tolist())] == [
        [item for item, _ in row] for row in rows[::-1]
    ][: turned.size]

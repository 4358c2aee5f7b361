"""The chunked softmax against the plain formula, in value and gradient."""

import pytest
import torch

from isthmus.batch import Bags
from isthmus.core.ops.softmax import multinomial_log_prob

ITEMS, HIDDEN = 37, 5


def bags(rows=4, entries=6, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    indices = torch.cat([torch.randperm(ITEMS, generator=g)[:entries] for _ in range(rows)])
    weights = torch.rand(rows * entries, generator=g, dtype=dtype) + 0.1
    return Bags(indices, torch.arange(0, rows * entries + 1, entries), weights)


def parts(rows=4, dtype=torch.float64, scale=1.0):
    g = torch.Generator().manual_seed(1)
    decoded = scale * torch.randn(rows, HIDDEN, generator=g, dtype=dtype)
    weight = torch.randn(ITEMS, HIDDEN, generator=g, dtype=dtype)
    bias = torch.randn(ITEMS, generator=g, dtype=dtype)
    return [t.requires_grad_() for t in (decoded, weight, bias)]


def plain(decoded, weight, bias, targets):
    dense = torch.zeros(targets.size, ITEMS, dtype=decoded.dtype)
    dense[targets.rows(), targets.indices] = targets.weights.to(decoded.dtype)
    return (dense * torch.log_softmax(decoded @ weight.T + bias, 1)).sum(1)


def both(tensors, targets, **options):
    grad = torch.linspace(0.5, 2, targets.size, dtype=tensors[0].dtype)
    ours = multinomial_log_prob(*tensors, targets, **options)
    theirs = plain(*tensors, targets)
    return (ours, *torch.autograd.grad(ours, tensors, grad)), (theirs, *torch.autograd.grad(theirs, tensors, grad))


@pytest.mark.parametrize("keep_bytes", [0, 1 << 20], ids=["recomputed", "kept"])
@pytest.mark.parametrize("chunk_bytes", [1, 16 * 7, 1 << 20], ids=["one-column", "some-columns", "whole"])
def test_equals_the_plain_formula(keep_bytes, chunk_bytes):
    ours, theirs = both(parts(), bags(), keep_bytes=keep_bytes, chunk_bytes=chunk_bytes)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("keep_bytes", [0, 1 << 20])
def test_gradcheck(keep_bytes):
    targets = bags(rows=2)
    tensors = parts(rows=2)

    def function(*inputs):
        return multinomial_log_prob(*inputs, targets, chunk_bytes=80, keep_bytes=keep_bytes)

    assert torch.autograd.gradcheck(function, tensors)


def test_logits_of_any_size_neither_overflow_nor_vanish():
    ours, theirs = both(parts(scale=400.0), bags(), chunk_bytes=16 * 7)
    for a, b in zip(ours, theirs, strict=True):
        assert torch.isfinite(a).all()
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-9)


def test_an_empty_bag_has_log_probability_zero_and_no_gradient():
    targets = Bags(torch.tensor([3]), torch.tensor([0, 0, 1]), torch.ones(1, dtype=torch.float64))
    ours, theirs = both(parts(rows=2), targets)
    assert ours[0][0] == 0
    assert (ours[1][0] == 0).all()
    torch.testing.assert_close(ours[2], theirs[2])


def test_entries_of_weight_zero_count_for_nothing():
    targets = bags()
    weights = targets.weights.clone()
    weights[6:12] = 0
    ours, theirs = both(parts(), targets.reweighted(weights))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_a_second_backward_gives_the_same_gradient():
    tensors = parts()
    total = multinomial_log_prob(*tensors, bags()).sum()
    first = torch.autograd.grad(total, tensors, retain_graph=True)
    second = torch.autograd.grad(total, tensors)
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b)


def test_bf16_products_stay_near_fp32_and_the_normaliser_is_fp32():
    tensors = [t.detach().float().requires_grad_() for t in parts(scale=0.5)]
    targets = bags(dtype=torch.float32)
    exact = multinomial_log_prob(*tensors, targets)
    gradients = torch.autograd.grad(exact.sum(), tensors)
    with torch.autocast("cpu", torch.bfloat16):
        rough = multinomial_log_prob(*tensors, targets)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, rtol=5e-3, atol=5e-2)
    for a, b in zip(torch.autograd.grad(rough.sum(), tensors), gradients, strict=True):
        assert (a - b).norm() < 0.02 * b.norm()


def test_no_tensor_of_batch_times_catalogue_is_made_when_nothing_is_kept():
    batch, items = 8, 50_000
    g = torch.Generator().manual_seed(0)
    decoded = torch.randn(batch, 2, generator=g).requires_grad_()
    weight, bias = torch.randn(items, 2, generator=g).requires_grad_(), torch.zeros(items, requires_grad=True)
    targets = Bags(torch.arange(batch), torch.arange(batch + 1), torch.ones(batch))
    with torch.profiler.profile(profile_memory=True) as profile:
        multinomial_log_prob(
            decoded, weight, bias, targets, keep_bytes=0, chunk_bytes=4 * batch * 1000
        ).sum().backward()
    largest = max(event.cpu_memory_usage for event in profile.events() if event.cpu_memory_usage)
    assert largest < batch * items * 4 / 2


@pytest.mark.parametrize("frozen", [(0,), (1, 2), (1,), (2,)])
def test_a_frozen_side_changes_nothing_for_the_other(frozen):
    whole = parts()
    expected = torch.autograd.grad(multinomial_log_prob(*whole, bags()).sum(), whole)
    some = parts()
    for place in frozen:
        some[place].requires_grad_(False)
    multinomial_log_prob(*some, bags()).sum().backward()
    for place, tensor in enumerate(some):
        if place in frozen:
            assert tensor.grad is None
        else:
            torch.testing.assert_close(tensor.grad, expected[place])

"""The two ways to attend are one function."""

import pytest
import torch

from isthmus.core.ops import attention
from isthmus.core.ops.attention import attend

STEPS, KEYS = 5, 5


def parts(dtype):
    g = torch.Generator().manual_seed(0)
    return [torch.randn(3, 2, STEPS, 4, generator=g).to(dtype).requires_grad_() for _ in range(3)]


def reference(query, key, value, seen):
    scores = (query.double() @ key.double().transpose(2, 3)) / 2
    return scores.masked_fill(~seen, -torch.inf).softmax(3) @ value.double()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("multiplied_out", [0, attention.MULTIPLIED_OUT])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_equals_its_formula_with_gradients(causal, multiplied_out, dtype, monkeypatch):
    monkeypatch.setattr(attention, "MULTIPLIED_OUT", multiplied_out)
    padding = (torch.arange(KEYS) < torch.tensor([5, 2, 3])[:, None])[:, None, None]
    visible = torch.ones(STEPS, KEYS, dtype=torch.bool).tril()[None, None] if causal else padding
    given = parts(dtype)
    actual = attend(*given, causal=True) if causal else attend(*given, seen=padding)
    expected = reference(*given, visible)
    weights = torch.randn(actual.shape, generator=torch.Generator().manual_seed(1))
    near = {"atol": 0.05, "rtol": 0.05} if dtype == torch.bfloat16 else {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(actual.double(), expected, **near)
    for ours, theirs in zip(
        *(torch.autograd.grad((value * weights).sum(), given) for value in (actual, expected)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, **near)


def test_training_and_answering_agree():
    given = parts(torch.bfloat16)
    trained = attend(*given, causal=True)
    with torch.no_grad():
        torch.testing.assert_close(attend(*given, causal=True), trained, atol=0.03, rtol=0.03)

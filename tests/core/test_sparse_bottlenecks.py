"""Sparse bottlenecks: what is kept, what has a gradient, what is left of a batch afterwards."""

import pytest
import torch
from bridges import generator

from isthmus.bundle.tensors import load_state, state_of
from isthmus.core.bottlenecks.sparse import BatchTopK, JumpReLU, SparseUnits, TopK
from isthmus.errors import SettingError

HIDDEN, CODE, ACTIVE = 6, 20, 3
KINDS = {
    "topk": lambda: TopK(HIDDEN, CODE, ACTIVE, generator=generator()),
    "batch": lambda: BatchTopK(HIDDEN, CODE, ACTIVE, generator=generator()),
    "fair": lambda: TopK(HIDDEN, CODE, ACTIVE, generator=generator(), normalised=True),
    "fair batch": lambda: BatchTopK(HIDDEN, CODE, ACTIVE, generator=generator(), normalised=True),
    "jump": lambda: JumpReLU(HIDDEN, CODE, generator=generator()),
    "relu": lambda: SparseUnits(HIDDEN, CODE, generator=generator()),
    "sigmoid": lambda: SparseUnits(HIDDEN, CODE, generator=generator(), activation="sigmoid"),
}


def hidden(rows=40, seed=1):
    return torch.randn(rows, HIDDEN, generator=generator(seed))


def test_topk_keeps_the_largest_of_each_row_and_nothing_below_0():
    bottleneck = KINDS["topk"]()
    code = bottleneck(hidden())
    pre = code.notes["pre"].detach()
    torch.testing.assert_close(pre, hidden() @ bottleneck.units.weight.T.detach() + bottleneck.units.bias.detach())
    wanted = torch.zeros_like(pre)
    for row, numbers in enumerate(pre):
        for unit in sorted(range(CODE), key=lambda u: -numbers[u])[:ACTIVE]:
            wanted[row, unit] = max(float(numbers[unit]), 0.0)
    torch.testing.assert_close(code.point.detach(), wanted)


def test_topk_of_a_row_that_is_negative_everywhere_is_0():
    bottleneck = KINDS["topk"]()
    with torch.no_grad():
        bottleneck.units.bias.fill_(-100.0)
    assert bottleneck(hidden()).point.abs().sum() == 0


def test_the_gradient_reaches_what_is_kept_and_nothing_else():
    code = KINDS["topk"]()(hidden())
    code.notes["pre"].retain_grad()
    code.point.sum().backward()
    torch.testing.assert_close(code.notes["pre"].grad, (code.point > 0).float())


def test_batch_topk_keeps_the_largest_of_the_batch_in_training():
    bottleneck = KINDS["batch"]().train()
    code = bottleneck(hidden())
    pre = code.notes["pre"].relu()
    edge = pre.detach().flatten().sort(descending=True).values[40 * ACTIVE - 1]
    torch.testing.assert_close(code.point, pre * (pre >= edge))
    assert int((code.point > 0).sum()) == 40 * ACTIVE
    assert len((code.point > 0).sum(1).unique()) > 1
    torch.testing.assert_close(float(bottleneck.threshold), float(edge))


def test_batch_topk_afterwards_keeps_what_is_above_the_averaged_threshold():
    bottleneck = KINDS["batch"]().train()
    edges = []
    for seed in range(150):
        point = bottleneck(hidden(seed=seed)).point.detach()
        edges.append(float(point[point > 0].min()))
    threshold = 0.0
    for number, edge in enumerate(edges, start=1):
        threshold += max(10 / (number + 9), 0.01) * (edge - threshold)
    assert float(bottleneck.threshold) == pytest.approx(threshold, rel=1e-6)
    bottleneck.eval()
    code = bottleneck(hidden(2000, seed=999))
    pre = code.notes["pre"]
    torch.testing.assert_close(code.point, pre * (pre > threshold))
    assert (code.point > 0).sum(1).float().mean() == pytest.approx(ACTIVE, rel=0.05)


def test_a_batch_without_anything_above_0_teaches_no_threshold():
    bottleneck = KINDS["batch"]().train()
    with torch.no_grad():
        bottleneck.units.bias.fill_(-100.0)
    assert bottleneck(hidden()).point.abs().sum() == 0
    assert float(bottleneck.threshold) == 0


@pytest.mark.parametrize("form", [TopK, BatchTopK])
def test_units_compete_on_equal_terms_whatever_the_rows_share(form):
    """What all rows have in common gives a few units the lead in every one of them, unless units are normalised."""
    rows = hidden(400) + 30
    used = {}
    for normalised in (False, True):
        bottleneck = form(HIDDEN, CODE, ACTIVE, generator=generator(), normalised=normalised).train()
        used[normalised] = (bottleneck(rows).point > 0).float().mean(0)
    assert (used[False] == 0).sum() > CODE / 2
    assert used[True].min() > 0.03
    torch.testing.assert_close(used[True].sum(), used[False].sum(), rtol=0.05, atol=0.0)


def test_normalised_units_have_mean_0_and_variance_1_in_training_and_the_moments_of_all_data_afterwards():
    bottleneck = KINDS["fair"]().train()
    pre = bottleneck(hidden() + 7).notes["pre"]
    torch.testing.assert_close(pre.mean(0), torch.zeros(CODE), atol=1e-4, rtol=0)
    torch.testing.assert_close(pre.var(0, correction=0), torch.ones(CODE), atol=1e-3, rtol=0)
    afterwards = bottleneck.eval()(hidden(seed=9) + 7).notes["pre"]
    raw, seen = ((hidden(seed=seed) + 7) @ bottleneck.units.weight.T for seed in (9, 1))
    wanted = (raw - seen.mean(0)) / (seen.var(0, correction=0) + bottleneck.units.floor).sqrt()
    torch.testing.assert_close(afterwards, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_code_does_not_depend_on_its_batch_after_training(kind):
    bottleneck = KINDS[kind]().train()
    for seed in range(3):
        bottleneck(hidden(seed=seed))
    bottleneck.eval()
    before = {name: tensor.clone() for name, tensor in state_of(bottleneck).items()}
    whole = bottleneck(hidden()).point
    for row in range(5):
        torch.testing.assert_close(bottleneck(hidden()[row : row + 1]).point, whole[row : row + 1])
    assert all(torch.equal(before[name], tensor) for name, tensor in state_of(bottleneck).items())


@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_points_side_by_side_and_the_state_is_all_there_is(kind):
    bottleneck = KINDS[kind]().train()
    bottleneck(hidden())
    other = KINDS[kind]()
    load_state(other, state_of(bottleneck))
    code = other.eval()(hidden(), samples=2)
    torch.testing.assert_close(code.sample, code.point.repeat_interleave(2, 0))
    torch.testing.assert_close(code.point, bottleneck.eval()(hidden()).point)
    assert code.posterior is None


@pytest.mark.parametrize("kind", KINDS)
def test_codes_are_fp32_under_autocast(kind):
    with torch.autocast("cpu", torch.bfloat16):
        code = KINDS[kind]().train()(hidden())
    assert code.point.dtype == torch.float32


@pytest.mark.parametrize("kind", ["topk", "batch", "jump", "relu"])
def test_silence_counts_training_rows_since_a_unit_was_last_above_0(kind):
    bottleneck = KINDS[kind]().train()
    with torch.no_grad():
        bottleneck.units.weight[4] = 0
        bottleneck.units.bias[4] = -1
    point = bottleneck(hidden()).point
    fired = (point > 0).any(0)
    assert fired.any()
    silent = bottleneck(torch.zeros(1, HIDDEN)).notes["silent"]
    assert int(silent[4]) == 41
    assert set(silent[fired & (silent > 0)].tolist()) <= {1}
    bottleneck.eval()
    assert torch.equal(bottleneck(hidden()).notes["silent"], silent)


def test_jumprelu_is_z_above_its_threshold():
    bottleneck = JumpReLU(HIDDEN, CODE, generator=generator(), threshold=0.3)
    code = bottleneck(hidden())
    pre = code.notes["pre"]
    torch.testing.assert_close(code.point, pre * (pre > 0.3))
    torch.testing.assert_close(code.notes["gate"], (pre > 0.3).float())


def test_thresholds_have_the_gradients_of_the_paper():
    """∂/∂θ of Σ w z 1[z > θ] is −(θ/ε) Σ w over |z − θ| < ε/2; of Σ w 1[z > θ] it is −(1/ε) of the same sum."""
    theta, width = 0.3, 0.2
    bottleneck = JumpReLU(HIDDEN, CODE, generator=generator(), bandwidth=width, threshold=theta)
    weights = torch.rand(40, CODE, generator=generator(3))
    code = bottleneck(hidden())
    pre = code.notes["pre"].detach()
    near = weights * ((pre - theta).abs() < width / 2)
    assert near.any()
    by_log = theta  # ∂θ / ∂ log θ
    (of_point,) = torch.autograd.grad((weights * code.point).sum(), bottleneck.log_threshold, retain_graph=True)
    torch.testing.assert_close(of_point, -(theta / width) * near.sum(0) * by_log)
    (of_gate,) = torch.autograd.grad((weights * code.notes["gate"]).sum(), bottleneck.log_threshold, retain_graph=True)
    torch.testing.assert_close(of_gate, -(1 / width) * near.sum(0) * by_log)
    (of_pre,) = torch.autograd.grad((weights * code.point).sum(), code.notes["pre"])
    torch.testing.assert_close(of_pre, weights * (pre > theta))


def test_sparse_units_are_an_activation_of_a_layer():
    relu, sigmoid = KINDS["relu"]()(hidden()), KINDS["sigmoid"]()(hidden())
    torch.testing.assert_close(relu.point, relu.notes["pre"].relu())
    torch.testing.assert_close(sigmoid.point, sigmoid.notes["pre"].sigmoid())
    assert torch.equal(sigmoid.notes["firing"], sigmoid.point)


@pytest.mark.parametrize("kind", [TopK, BatchTopK])
@pytest.mark.parametrize("active", [0, CODE + 1])
def test_as_many_active_units_as_there_are(kind, active):
    with pytest.raises(SettingError, match=f"k={active} of {CODE} units"):
        kind(HIDDEN, CODE, active, generator=generator())


@pytest.mark.parametrize("changes", [{"bandwidth": 0.0}, {"threshold": 0.0}])
def test_jumprelu_wants_positive_settings(changes):
    with pytest.raises(SettingError, match="above 0"):
        JumpReLU(HIDDEN, CODE, generator=generator(), **changes)


def test_sparse_units_know_two_activations():
    with pytest.raises(SettingError, match="'tanh'"):
        SparseUnits(HIDDEN, CODE, generator=generator(), activation="tanh")

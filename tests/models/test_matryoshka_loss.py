"""The nested loss against its formula, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch

from isthmus.batch import Bags, Batch, Values, Vector
from isthmus.errors import SettingError
from isthmus.models.matryoshka import MatryoshkaLoss, decoded_of, matryoshka
from isthmus.protocols import Step


def vectors(rows: int = 12, width: int = 6) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(1))


def step_of(prefixes: tuple[int, ...] = (1, 3)) -> Step:
    generator = torch.Generator().manual_seed(0)
    recipe = matryoshka(Vector(6), generator=generator, bytes=3, prefixes=prefixes, code=4, hidden=5)
    values = Values(vectors())
    return recipe.model.step(Batch(torch.arange(12), values, values))


def naive(x: torch.Tensor, y: torch.Tensor, temperature: float, weight: float) -> float:
    x, y = (rows / rows.norm(dim=1, keepdim=True) for rows in (x, y))
    error = sum(float((a - b) @ (a - b)) for a, b in zip(x, y, strict=True)) / len(x)
    divergence = 0.0
    for i in range(len(x)):
        others = [j for j in range(len(x)) if j != i]
        p = torch.tensor([float(x[i] @ x[j]) / temperature for j in others]).double().softmax(0)
        q = torch.tensor([float(x[i] @ y[j]) / temperature for j in others]).double().softmax(0)
        divergence += float((p * (p / q).log()).sum()) / len(x)
    return error + weight * divergence


@pytest.mark.parametrize(("temperature", "weight"), [(0.5, 1.0), (0.2, 3.0), (0.05, 0.0)])
def test_the_loss_is_its_formula(temperature: float, weight: float) -> None:
    step = step_of()
    nested = [decoded_of(step.model, step.code.notes["nested"][:, i]) for i in (0, 1)]
    expected = sum(naive(vectors(), one.detach(), temperature, weight) for one in nested) / 2
    loss = MatryoshkaLoss(temperature, weight)(step, torch.zeros(12), 0.5)
    assert math.isclose(float(loss.detach()), expected, rel_tol=1e-4)


def test_what_is_kept_whole_costs_nothing() -> None:
    objective = MatryoshkaLoss(0.1, 1.0)
    assert abs(float(objective.lost(vectors(), vectors()))) < 1e-6
    assert float(objective.lost(vectors(), vectors().flip(0))) > 0.1


def test_lengths_do_not_matter() -> None:
    objective, x = MatryoshkaLoss(0.1, 1.0), vectors()
    noisy = x + 0.3 * vectors().roll(1, 0)
    lengths = torch.arange(1.0, 13.0)[:, None]
    torch.testing.assert_close(objective.lost(lengths * x, 7 * noisy), objective.lost(x, noisy))


def test_two_rows_have_an_error_but_no_neighbours() -> None:
    x = vectors(2)
    torch.testing.assert_close(MatryoshkaLoss().lost(x, -x), torch.tensor(4.0))


@pytest.mark.parametrize(("temperature", "weight"), [(0.0, 1.0), (-1.0, 1.0), (math.nan, 1.0), (0.1, -1.0)])
def test_settings_out_of_range(temperature: float, weight: float) -> None:
    with pytest.raises(SettingError, match="temperature"):
        MatryoshkaLoss(temperature, weight)


def test_bags_have_no_nested_similarity() -> None:
    step = step_of()
    empty = torch.zeros(0, dtype=torch.int64)
    bags = Bags(empty, torch.zeros(13, dtype=torch.int64), torch.zeros(0))
    other = Step(step.model, Batch(step.batch.rows, bags, bags), step.code, step.decoded, step.log_likelihood, 1, None)
    with pytest.raises(SettingError, match="dense values"):
        MatryoshkaLoss()(other, torch.zeros(12), 0.0)

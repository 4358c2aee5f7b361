"""ELSA as trained by the loop, against a dense optimiser of the same loss and on planted data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor

from isthmus.batch import Bag
from isthmus.bundle.tensors import state_of
from isthmus.core.rankers import AutoencoderRanker
from isthmus.errors import SettingError
from isthmus.models import elsa
from isthmus.models.recipes.rebuild import rebuild
from isthmus.sources import BagSource
from isthmus.tasks.evaluation import evaluate
from isthmus.training.run import Run

GROUPS, EACH = 4, 6
WIDTH = GROUPS * EACH
RUN = Run(device="cpu", precision="fp32")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def dense() -> np.ndarray[Any, np.dtype[np.float32]]:
    """Rows of 3 to 5 of their group's 6 items, and now and then an item of anybody's."""
    random = np.random.default_rng(2)
    rows = (random.random((64, WIDTH)) < 0.03).astype(np.float32)
    for number, row in enumerate(rows):
        own = number % GROUPS * EACH + np.arange(EACH)
        row[random.choice(own, random.integers(3, 6), replace=False)] = 1
    return rows


def plain_loss(table: Tensor, x: Tensor) -> Tensor:
    a = table / table.norm(dim=1, keepdim=True)
    y = x @ a @ a.T - x
    apart: Tensor = x / x.norm(dim=1, keepdim=True) - y / y.norm(dim=1, keepdim=True)
    return apart.square().sum(1).mean()


def least(x: Tensor, code: int) -> float:
    """The loss where L-BFGS ends, from the best of some starts, in float64."""
    found = []
    for seed in range(2):
        table = torch.randn(WIDTH, code, generator=generator(seed), dtype=torch.float64).requires_grad_()
        search = torch.optim.LBFGS([table], max_iter=150, line_search_fn="strong_wolfe")

        def closure(table: Tensor = table, search: torch.optim.LBFGS = search) -> Tensor:
            search.zero_grad()
            loss = plain_loss(table, x)
            loss.backward()
            return loss

        search.step(closure)
        found.append(float(plain_loss(table.detach(), x)))
    return min(found)


@pytest.mark.slow
@pytest.mark.parametrize("code", [3, WIDTH])
def test_training_comes_to_where_a_dense_optimiser_comes(
    code: int, dense: np.ndarray[Any, np.dtype[np.float32]]
) -> None:
    recipe: Any = elsa(Bag(WIDTH), generator=generator(), code=code, epochs=150, batch_size=64, learning_rate=0.1)
    history = recipe.fit(BagSource.from_csr(csr_array(dense)), RUN)
    x = torch.from_numpy(dense).double()
    reached = float(plain_loss(recipe.model.readout.table.detach().double(), x))
    assert history.records[-1]["loss"] == pytest.approx(reached, abs=1e-4)
    assert reached == pytest.approx(least(x, code), rel=0.02)
    assert float(history.records[0]["loss"]) > reached + 0.2


def test_rows_stay_of_length_one_and_the_hidden_item_is_found(dense: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    hidden = np.zeros_like(dense)
    for number, row in enumerate(dense):
        hidden[number, np.flatnonzero(row)[0]] = 1
    history, held_out = csr_array(dense - hidden), csr_array(hidden)
    recipe: Any = elsa(Bag(WIDTH), generator=generator(), code=8, epochs=30, batch_size=16)
    before = evaluate(AutoencoderRanker(recipe.model), history, held_out, ("recall@5",)).means["recall@5"]
    recipe.fit(BagSource.from_csr(csr_array(dense)), RUN)
    after = evaluate(AutoencoderRanker(recipe.model), history, held_out, ("recall@5",)).means["recall@5"]
    assert after > 0.7 > before + 0.2
    torch.testing.assert_close(recipe.model.readout.table.detach().norm(dim=1), torch.ones(WIDTH))


def test_one_table_is_trained_and_saved_once(dense: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    settings: dict[str, Any] = {"code": 5, "epochs": 2}
    recipe: Any = elsa(Bag(WIDTH), generator=generator(), **settings)
    assert [tuple(parameter.shape) for parameter in recipe.model.parameters()] == [(WIDTH, 5)]
    recipe.fit(BagSource.from_csr(csr_array(dense)), RUN)
    state = state_of(recipe.model)
    assert [tuple(tensor.shape) for tensor in state.values()] == [(WIDTH, 5)]
    again: Any = rebuild(elsa, Bag(WIDTH), settings, state)
    torch.testing.assert_close(again.readout.weight, recipe.model.readout.weight)


def test_the_same_seed_gives_the_same_rows(dense: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    tables = []
    for seed in (1, 1, 2):
        recipe: Any = elsa(Bag(WIDTH), generator=generator(seed), code=5, epochs=2, batch_size=16)
        recipe.fit(BagSource.from_csr(csr_array(dense)), RUN)
        tables.append(recipe.model.readout.table.detach())
    assert torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[0], tables[2])


@pytest.mark.parametrize(
    "settings", [{"code": 0}, {"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"decay": "x"}, {"patience": 0}]
)
def test_settings_without_meaning_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        elsa(Bag(5), generator=generator(), **settings)

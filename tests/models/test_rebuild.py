"""A model from its keywords and tensors, for parts that builders may have: ties, buffers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Generator, nn

from isthmus.batch import Bag
from isthmus.bundle.tensors import state_of
from isthmus.errors import BundleError
from isthmus.models import mult_vae, rdlae, rec_vae
from isthmus.models.recipes.rebuild import rebuild


class Tied(nn.Module):
    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.one = nn.Linear(width, size, bias=False)
        self.two = self.one
        self.register_buffer("scale", torch.arange(3.0))


class Recipe:
    def __init__(self, width: int, size: int) -> None:
        self.model = Tied(width, size)


def tied(signal: Bag, *, generator: Generator, size: int = 2) -> Recipe:
    """A table that is used twice."""
    return Recipe(signal.width, size)


@pytest.mark.parametrize("builder", [tied, mult_vae, rec_vae, rdlae])
def test_the_same_model_comes_back(builder: object) -> None:
    model = builder(Bag(5), generator=Generator().manual_seed(3)).model
    with torch.no_grad():
        for number, tensor in enumerate(model.state_dict().values()):
            tensor.fill_(number)
    again = rebuild(builder, Bag(5), {}, state_of(model))
    assert not again.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


@pytest.mark.parametrize(
    ("settings", "change", "said"),
    [
        ({"size": 3}, {}, r"one.weight has shape \[2, 5\]"),
        ({"size": 10**13}, {}, "one.weight"),
        ({"size": 10**13}, {"one.weight": None}, "one.weight is missing"),
        ({}, {"scale": None}, "scale is missing"),
        ({}, {"extra": torch.ones(1)}, "no such tensor"),
        ({}, {"scale": torch.ones(3, dtype=torch.int64)}, "int64"),
    ],
)
def test_what_does_not_fit_is_refused_before_memory_is_taken(settings: dict, change: dict, said: str) -> None:
    tensors = {**state_of(tied(Bag(5), generator=Generator()).model), **change}
    given = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    with pytest.raises(BundleError, match=said):
        rebuild(tied, Bag(5), settings, given)


@pytest.mark.parametrize("layers", [10**4, 2**31, 2**62])
def test_settings_of_endless_parts_are_refused_at_once(layers: int):
    recipe = mult_vae(Bag(6), generator=Generator().manual_seed(0))
    with pytest.raises(BundleError, match="parts"):
        rebuild(_endless, Bag(6), {"layers": layers}, state_of(recipe.model))


def _endless(signal: Bag, *, generator: Generator, layers: int) -> Any:
    return SimpleNamespace(model=nn.Sequential(*(nn.Linear(1, 1) for _ in range(layers))))

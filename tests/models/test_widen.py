"""Learned numbers in the leading rows of a wider model, and models for which there is no rule."""

from __future__ import annotations

import pytest
import torch
from planted import SMALL
from torch import Generator, nn

from isthmus import models
from isthmus.batch import Bag
from isthmus.bundle.tensors import load_state, state_of
from isthmus.models.recipes.rebuild import can_widen, widened

BUILDERS = ("mult_vae", "mult_dae", "rec_vae", "ease")


def built(name: str, width: int, seed: int) -> nn.Module:
    return getattr(models, name)(Bag(width), generator=Generator().manual_seed(seed), **SMALL[name]).model


@pytest.mark.parametrize("name", BUILDERS)
def test_learned_rows_lead_and_new_ones_stay_fresh(name: str) -> None:
    learned, wide = state_of(built(name, 24, 1)), built(name, 31, 2)
    fresh = {key: tensor.clone() for key, tensor in state_of(wide).items()}
    assert can_widen(wide, learned, 24, 31)
    load_state(wide, widened(fresh, learned))
    grown = 0
    for key, tensor in wide.state_dict().items():
        if key not in learned:
            continue
        old = learned[key]
        torch.testing.assert_close(tensor[tuple(slice(n) for n in old.shape)], old, rtol=0, atol=0)
        if old.shape != tensor.shape:
            grown += 1
            assert (old.shape[0], tensor.shape[0]) == (24, 31)
            torch.testing.assert_close(tensor[24:], fresh[key][24:], rtol=0, atol=0)
    assert grown == {"ease": 1, "mult_vae": 3, "mult_dae": 3, "rec_vae": 4}[name]


def test_what_recvae_remembers_is_carried_too() -> None:
    old, wide = built("rec_vae", 24, 1), built("rec_vae", 30, 2)
    with torch.no_grad():
        old.prior.encoder.table.fill_(7.0)
    load_state(wide, widened(state_of(wide), state_of(old)))
    assert (wide.prior.encoder.table[:24] == 7).all()
    torch.testing.assert_close(wide.prior.encoder.table[24:], wide.encoder.table[24:], rtol=0, atol=0)


def test_a_hidden_layer_as_wide_as_the_catalogue_is_no_confusion() -> None:
    one, other = nn.Linear(24, 24), nn.Linear(24, 30)
    assert can_widen(other, state_of(one), 24, 30)
    state = widened(state_of(other), state_of(one))
    torch.testing.assert_close(state["weight"][:24], one.weight.detach())


def test_the_sketch_may_be_without_memory() -> None:
    with torch.device("meta"):
        sketch = models.rec_vae(Bag(30), generator=Generator(), **SMALL["rec_vae"]).model
    assert can_widen(sketch, state_of(built("rec_vae", 24, 1)), 24, 30)


@pytest.mark.parametrize(
    ("wide", "learned"),
    [
        (nn.Linear(30, 4), {"weight": torch.zeros(4, 24)}),  # a name is missing
        (nn.Linear(30, 4), {"weight": torch.zeros(5, 24), "bias": torch.zeros(5)}),  # 5 is not the width
        (nn.Embedding(31, 4), {"weight": torch.zeros(25, 4)}),  # a row for a mask at the end
        (nn.Embedding(30, 4), {"weight": torch.zeros(24, 4, 1)}),
        (nn.Embedding(30, 4), {"weight": torch.zeros(24, 4, dtype=torch.float64)}),
        (nn.Embedding(24, 4), {"weight": torch.zeros(30, 4)}),  # narrower
    ],
)
def test_without_a_rule_nothing_is_guessed(wide: nn.Module, learned: dict[str, torch.Tensor]) -> None:
    assert not can_widen(wide, learned, 24, 30)


def test_tied_tensors_count_once() -> None:
    def tied(width: int) -> nn.Module:
        one, two = nn.Embedding(width, 4), nn.Embedding(width, 4)
        two.weight = one.weight
        return nn.ModuleList([one, two])

    assert can_widen(tied(30), state_of(tied(24)), 24, 30)

"""A module's tensors by name, each once, and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from isthmus import bundle
from isthmus.bundle.tensors import load_state, named, part_of, state_of
from isthmus.errors import BundleError, InputError


class Tied(nn.Module):
    """One table used at two places, and a buffer that is a view of another."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.entry = nn.Parameter(torch.randn(5, 3, generator=generator))
        self.exit = self.entry
        self.register_buffer("pair", torch.randn(4, generator=generator))
        self.register_buffer("piece", self.pair[1:3])
        self.register_buffer("transposed", torch.randn(2, 3, generator=generator).T)
        self.register_buffer("steps", torch.tensor(seed))
        self.register_buffer("nothing", torch.empty(0))
        self.register_buffer("also_nothing", torch.empty(0))


def test_an_alias_is_stored_once_and_restored(tmp_path: Path) -> None:
    first, second = Tied(1), Tied(2)
    state = state_of(first)
    assert set(state) == {"entry", "pair", "piece", "transposed", "steps", "nothing", "also_nothing"}
    bundle.write(tmp_path / "a", plugin="p", builder="b", settings={}, tensors=state, documents={})
    load_state(second, bundle.read(tmp_path / "a").tensors)
    assert second.entry is second.exit
    for name, tensor in first.state_dict().items():
        assert torch.equal(second.state_dict()[name], tensor), name


def test_a_mistake_copies_nothing() -> None:
    model = Tied(1)
    before = {name: tensor.clone() for name, tensor in state_of(model).items()}
    good = state_of(Tied(2))
    for wrong, message in (
        ({**good, "more": torch.zeros(1)}, "has 'more'"),
        ({name: good[name] for name in good if name != "pair"}, "lacks 'pair'"),
        ({**good, "pair": torch.zeros(5)}, r"pair is float32 \[5\]; expected float32 \[4\]"),
        ({**good, "pair": torch.zeros(4, dtype=torch.float64)}, "float64"),
        ({}, r"lacks .* \.\.\."),
    ):
        with pytest.raises(BundleError, match=message):
            load_state(model, wrong)
    assert all(torch.equal(tensor, before[name]) for name, tensor in state_of(model).items())


def test_the_copy_is_no_alias_of_what_was_given() -> None:
    model = nn.Linear(2, 2)
    given = {"weight": torch.ones(2, 2), "bias": torch.ones(2)}
    load_state(model, given)
    given["weight"].zero_()
    assert torch.equal(model.weight.detach(), torch.ones(2, 2))
    assert model.weight.requires_grad


def test_state_that_is_no_tensor_is_refused() -> None:
    class Extra(nn.Linear):
        def get_extra_state(self) -> dict[str, int]:
            return {"a": 1}

        def set_extra_state(self, state: Tensor) -> None:
            raise AssertionError

    with pytest.raises(InputError, match="dict"):
        state_of(Extra(1, 1))


def test_parts_under_a_prefix_come_back():
    one, two = {"a": torch.ones(2), "b.c": torch.zeros(1)}, {"a": torch.full((3,), 2.0)}
    whole = named("one.", one) | named("two.", two)
    assert set(whole) == {"one.a", "one.b.c", "two.a"}
    assert part_of(whole, "one.") == one
    assert part_of(whole, "two.") == two
    assert part_of(whole, "three.") == {}

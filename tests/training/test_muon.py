"""Muon: updates that are orthogonal, weights that learn, and states that checkpoints keep."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from signals import GridSource, seeded
from torch import nn

from isthmus.batch import Grid
from isthmus.bundle.tensors import state_of
from isthmus.errors import SettingError
from isthmus.models.denoisers.unet_denoiser import unet_denoiser
from isthmus.protocols import Phase
from isthmus.training.plan import Plan
from isthmus.training.run import Run
from isthmus.training.steps.muon import LIKE_ADAM, Muon, orthogonal

SIZES = {"widths": [16, 16], "blocks": [1, 1], "epochs": 3, "batch_size": 8, "optimizer": "muon"}


@pytest.mark.parametrize("shape", [(2, 20, 50), (1, 50, 20), (3, 16, 16)])
def test_singular_values_become_about_one(shape: tuple[int, ...]) -> None:
    found = orthogonal(torch.randn(shape, generator=seeded()))
    assert found.shape == shape
    values = torch.linalg.svdvals(found)
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.3


def test_singular_vectors_are_kept() -> None:
    given = torch.randn(1, 20, 30, generator=seeded())
    left, _, right = torch.linalg.svd(given, full_matrices=False)
    turned = left.mT @ orthogonal(given) @ right.mT
    off = turned - torch.diag_embed(turned.diagonal(dim1=1, dim2=2))
    assert float(off.abs().max()) < 0.05, "three digits where products are bf16"


def test_an_update_is_as_large_as_one_of_adam_and_small_tensors_are_left_to_adam() -> None:
    weights = {
        "matrix": nn.Parameter(torch.randn(24, 40, generator=seeded())),
        "kernel": nn.Parameter(torch.randn(32, 8, 3, 3, generator=seeded(1))),
        "bias": nn.Parameter(torch.zeros(24)),
        "thin": nn.Parameter(torch.zeros(4, 40)),
        "still": nn.Parameter(torch.zeros(24, 40)),
    }
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    for number, (name, weight) in enumerate(weights.items()):
        weight.grad = None if name == "still" else torch.randn(weight.shape, generator=seeded(number + 5))
    optimizer = Muon([{"params": list(weights.values())}], lr=0.01, betas=(0.9, 0.999))
    optimizer.step()
    moved = {name: (weight.detach() - before[name]).square().mean().sqrt().item() for name, weight in weights.items()}
    assert moved["matrix"] == pytest.approx(0.01 * LIKE_ADAM, rel=0.25)
    assert moved["kernel"] == pytest.approx(0.01 * LIKE_ADAM, rel=0.25)
    assert moved["bias"] == pytest.approx(0.01, rel=1e-3)
    assert moved["thin"] == pytest.approx(0.01, rel=1e-3)
    assert moved["still"] == 0
    assert set(optimizer.state[weights["matrix"]]) == {"momentum"}
    assert optimizer.step(lambda: 3.0) == 3.0


def test_weight_decay_pulls_towards_zero() -> None:
    weight = nn.Parameter(torch.eye(16))
    weight.grad = torch.zeros(16, 16)
    optimizer = Muon([{"params": [weight], "weight_decay": 0.1}], lr=0.1, betas=(0.9, 0.999))
    optimizer.step()
    assert float(weight.detach().diagonal().max()) < 1


def test_a_resumed_training_ends_as_one_without_a_break(tmp_path: Path) -> None:
    images = torch.rand(24, 1, 16, 16, generator=seeded())

    def run(**more: object) -> dict[str, torch.Tensor]:
        recipe = unet_denoiser(Grid(1, 16, 16), generator=seeded(), **SIZES)
        recipe.fit(GridSource(images), Run(device="cpu", precision="fp32", **more))
        return state_of(recipe.model)

    whole = run()
    run(checkpoints=tmp_path, every=1, until=2)
    again = run(checkpoints=tmp_path, every=1, resume=True)
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_plans_say_which_optimiser_they_have() -> None:
    assert "muon" in Plan((Phase(1),), optimizer="muon").described()
    assert "adam" not in Plan((Phase(1),)).described(), "checkpoints of earlier versions are resumed"
    with pytest.raises(SettingError, match="lion"):
        Plan((Phase(1),), optimizer="lion")
    with pytest.raises(SettingError, match="row-wise"):
        Plan((Phase(1),), optimizer="muon", rowwise=True)

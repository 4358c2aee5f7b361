"""A published model from outside, with a part of its own: the Wasserstein autoencoder with a maximum mean discrepancy
(Tolstikhin, Bousquet, Gelly & Schoelkopf, ICLR 2018). Announced as a plugin of another distribution, saved, loaded."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from plugging import Announce, announce
from torch import Generator

from isthmus import bundle, plugins
from isthmus.batch import Vector
from isthmus.bundle.tensors import state_of
from isthmus.errors import SettingError
from isthmus.models.recipes.rebuild import rebuild
from isthmus.models.recipes.settings import built, checked, keywords_of
from isthmus.sources import VectorSource
from isthmus.tasks.coding import codes_of
from isthmus.training.run import Run
from isthmus_vectors import VectorAutoencoder

__all__ = ["announce"]

SOURCE = '''
from dataclasses import dataclass
from typing import Unpack

import torch

from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Projected
from isthmus.models.parts.backbones import backbone
from isthmus.models.parts.keywords import SharedKeywords
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Plugin
from isthmus_vectors.adapter import VectorAdapter


def discrepancy(codes, drawn):
    """MMD² with the kernel Σ_s s / (s + |a − b|²), unbiased (section 4 of the paper)."""
    rows, width = codes.shape
    def kernel(a, b):
        squares = torch.cdist(a, b).square()
        return sum(s / (s + squares) for s in (2 * width * f for f in (0.1, 0.5, 1.0, 2.0, 10.0)))
    off = 1 - torch.eye(rows)
    own = ((kernel(codes, codes) + kernel(drawn, drawn)) * off).sum() / (rows * (rows - 1))
    return own - 2 * kernel(codes, drawn).mean()


@dataclass(frozen=True)
class Discrepancy:
    """weight · MMD² of the codes of a batch from N(0, 1)."""

    weight: float

    def __call__(self, step):
        codes = step.code.point
        drawn = torch.empty_like(codes).normal_(generator=step.generator)
        return {"discrepancy": self.weight * discrepancy(codes, drawn)}


def wae_mmd(signal, *, generator, code: int = 2, weight: float = 10.0, **shared: Unpack[SharedKeywords]):
    """WAE-MMD: codes as a whole match the prior (Tolstikhin et al., ICLR 2018).

    Advice: to sample without drawing codes in training.
    """
    sides = backbone(signal, generator=generator, **shared)
    model = Autoencoder(
        encoder=sides.encoder,
        bottleneck=Projected(sides.hidden, code, generator=generator),
        decoder=sides.decoder(code),
        readout=sides.readout(code),
        likelihood=sides.likelihood,
        penalties=(Discrepancy(weight),),
    )
    return GradientRecipe(model, sides.plan(shared))


plugin = Plugin(VectorAdapter, {"wae_mmd": wae_mmd})
'''
RUN = Run(device="cpu", seed=3)
SMALL: dict = {"hidden": 16, "epochs": 30, "batch_size": 64, "learning_rate": 0.005}


def rows() -> torch.Tensor:
    """Two narrow clouds, far apart: codes of a plain autoencoder are nothing like N(0, 1)."""
    g = Generator().manual_seed(1)
    return 0.2 * torch.randn(256, 5, generator=g) + 3 * torch.randint(2, (256, 1), generator=g).float() - 1.5


@pytest.fixture
def offered(announce: Announce):
    announce("wasserstein", SOURCE, distribution="isthmus-wasserstein")
    return plugins.find_builder("wae_mmd")[1]


def fitted(builder, **settings):
    whole = checked("wae-mmd", builder, SMALL | settings)
    recipe = built("wae-mmd", builder, Vector(5), RUN, whole)
    recipe.fit(VectorSource(rows()), RUN)
    return recipe.model, whole


def test_its_own_part_against_the_definition(offered) -> None:
    discrepancy = sys.modules[offered.__module__].discrepancy
    g = Generator().manual_seed(0)
    near, far = torch.randn(300, 2, generator=g), torch.randn(300, 2, generator=g) + 3
    same = torch.randn(300, 2, generator=g)
    assert abs(float(discrepancy(near, same))) < 0.05 < 0.5 < float(discrepancy(far, same))
    a, b, one = np.array([[0.0], [1.0]]), np.array([[0.0], [2.0]]), [2 * f for f in (0.1, 0.5, 1.0, 2.0, 10.0)]
    kernel = lambda x, y: sum(s / (s + (x - y) ** 2) for s in one)  # noqa: E731
    wanted = kernel(0, 1) + kernel(0, 2) - 2 * np.mean([kernel(x, y) for x in a[:, 0] for y in b[:, 0]])
    found = discrepancy(torch.tensor(a).float(), torch.tensor(b).float())
    assert float(found) == pytest.approx(wanted, rel=1e-5)


def test_the_shared_keywords_are_its_own(offered) -> None:
    keywords = keywords_of(offered)
    assert list(keywords)[:2] == ["code", "weight"]
    assert (keywords["epochs"].default, keywords["patience"].default) == (30, None)
    with pytest.raises(SettingError, match="hiden"):
        checked("wae-mmd", offered, {"hiden": 3})


@pytest.mark.slow
def test_it_is_trained_saved_and_loaded(offered, tmp_path: Path) -> None:
    model, settings = fitted(offered)
    plain, _ = fitted(offered, weight=0.0)
    discrepancy, g = sys.modules[offered.__module__].discrepancy, Generator().manual_seed(0)
    drawn = torch.randn(256, 2, generator=g)
    source = VectorSource(rows())
    own, other = (float(discrepancy(codes_of(made, source), drawn)) for made in (model, plain))
    assert own < 0.5 * other
    place = tmp_path / "wae"
    bundle.write(
        place, plugin="wasserstein", builder="wae_mmd", settings=settings, tensors=state_of(model), documents={}
    )
    saved = bundle.read(place)
    again = rebuild(offered, Vector(5), saved.manifest.settings, saved.tensors)
    assert torch.equal(codes_of(again, source), codes_of(model, source))


def test_the_face_of_its_adapter_takes_it(offered, tmp_path: Path) -> None:
    model = VectorAutoencoder.fit(rows().numpy(), "wae-mmd", run=RUN, **SMALL | {"epochs": 2})
    model.save(tmp_path / "wae")
    again = VectorAutoencoder.load(tmp_path / "wae")
    assert again.settings["weight"] == 10.0
    assert np.array_equal(again.encode(rows().numpy()), model.encode(rows().numpy()))

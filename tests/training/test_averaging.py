"""The moving average of the weights: what is scored and kept, while training itself goes on as without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from isthmus.batch import Bag
from isthmus.bundle.tensors import state_of
from isthmus.errors import SettingError
from isthmus.models import mult_dae, rec_vae
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.protocols import Phase
from isthmus.sources import BagSource
from isthmus.training.plan import Plan
from isthmus.training.run import Run, Validation

WIDTH = 25
CPU = Run(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def source() -> BagSource:
    dense = (np.random.default_rng(0).random((40, WIDTH)) < 0.3).astype(np.float32)
    return BagSource.from_csr(csr_array(dense))


def recipe(average: float | None, epochs: int = 4) -> GradientRecipe:
    made = mult_dae(Bag(WIDTH), generator=CPU.generator(), code=4, batch_size=16, epochs=epochs, learning_rate=0.05)
    return replace(made, plan=replace(made.plan, average=average))


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in state_of(model).items()}


class Watch:
    """Remembers the weights that it is shown; the best epoch is the last but one."""

    def __init__(self, epochs: int = 4) -> None:
        self.seen: list[dict[str, Tensor]] = []
        self.best = epochs - 1

    def score(self, model: nn.Module) -> float:
        self.seen.append(weights(model))
        return -abs(len(self.seen) - self.best)

    @property
    def validation(self) -> Validation:
        return Validation("known", self.score)


def by_hand(raw: list[dict[str, Tensor]], power: float) -> dict[str, Tensor]:
    """Shamir & Zhang's average, with the share of each epoch multiplied out."""
    shares = [(power + 1) / (epoch + power) for epoch in range(1, len(raw) + 1)]
    left = [float(np.prod([1 - later for later in shares[place + 1 :]])) for place in range(len(raw))]
    return {
        name: sum(share * rest * one[name].double() for share, rest, one in zip(shares, left, raw, strict=True))
        for name in raw[0]
    }


def test_averages_are_scored_and_kept_and_training_goes_on_from_the_weights(source: BagSource) -> None:
    raw, watch = Watch(), Watch()
    recipe(None).fit(source, CPU, raw.validation)
    made = recipe(3.0)
    made.fit(source, CPU, watch.validation)
    for epoch, shown in enumerate(watch.seen, 1):
        expected = by_hand(raw.seen[:epoch], 3.0)
        for name, tensor in shown.items():
            torch.testing.assert_close(tensor, expected[name].float())
    assert not torch.allclose(watch.seen[3]["readout.weight"], raw.seen[3]["readout.weight"])
    torch.testing.assert_close(weights(made.model), watch.seen[2])


def test_without_a_score_the_last_average_is_kept(source: BagSource) -> None:
    watch, alone = Watch(), recipe(3.0)
    recipe(3.0).fit(source, CPU, watch.validation)
    alone.fit(source, replace(CPU, until=3))
    torch.testing.assert_close(weights(alone.model), watch.seen[2])


def test_a_resumed_training_has_the_same_averages(source: BagSource, tmp_path: Path) -> None:
    whole, half, rest = recipe(3.0, 6), recipe(3.0, 6), recipe(3.0, 6)
    whole.fit(source, CPU)
    half.fit(source, replace(CPU, checkpoints=tmp_path, every=1, until=3))
    rest.fit(source, replace(CPU, checkpoints=tmp_path, resume=True))
    assert all(torch.equal(tensor, weights(whole.model)[name]) for name, tensor in weights(rest.model).items())


def test_parts_that_wait_for_their_turn_are_averaged_from_their_first_update(source: BagSource) -> None:
    made = rec_vae(Bag(WIDTH), generator=CPU.generator(), hidden=7, code=4, batch_size=16, epochs=2, encoder_epochs=1)
    made = replace(made, plan=replace(made.plan, average=2.0))
    plain, watch = Watch(), Watch()
    made.fit(source, CPU, watch.validation)
    again = rec_vae(Bag(WIDTH), generator=CPU.generator(), hidden=7, code=4, batch_size=16, epochs=2, encoder_epochs=1)
    replace(again, plan=replace(again.plan, average=None)).fit(source, CPU, plain.validation)
    # The decoder moves in epochs 2 and 4, and its average begins in epoch 2.
    name = "readout.weight"
    assert torch.equal(watch.seen[1][name], plain.seen[1][name])
    assert not torch.equal(watch.seen[3][name], plain.seen[3][name])


def test_a_share_that_makes_no_sense_is_refused() -> None:
    for wrong in (-0.1, float("inf"), float("nan")):
        with pytest.raises(SettingError, match="average"):
            Plan((Phase(1),), average=wrong)
    with pytest.raises(SettingError, match="with sgd"):
        Plan((Phase(1),), average=1.0, optimizer="sgd")

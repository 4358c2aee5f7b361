"""The short autoencoder: what it solves, that training goes on from there, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from isthmus.batch import Bags, Batch, Values, Vector
from isthmus.errors import InputError, SettingError
from isthmus.models.matryoshka import MatryoshkaRecipe, decoded_of, matryoshka
from isthmus.sources import VectorSource
from isthmus.training.run import Run, Validation

WIDTH, ROWS = 12, 600
SMALL = {"bytes": 3, "code": 8, "batch_size": 100}


def vectors(rows: int = ROWS, seed: int = 0) -> torch.Tensor:
    """Unit vectors around a mean, wide in few directions, at a mean square of 1."""
    drawn = torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(seed)) * 0.8 ** torch.arange(WIDTH)
    return torch.nn.functional.normalize(drawn + 0.5) * WIDTH**0.5


def built(**settings: object) -> MatryoshkaRecipe:
    return matryoshka(Vector(WIDTH), generator=torch.Generator().manual_seed(0), **{**SMALL, **settings})


def run(**options: object) -> Run:
    return Run(device="cpu", precision="fp32", **options)


def test_encoder_and_decoder_are_principal_components() -> None:
    recipe = built()
    history = recipe.fit(VectorSource(vectors()), run())
    x, mean = vectors(50, seed=1), vectors().mean(0)
    axes = torch.linalg.svd(vectors() - mean, full_matrices=False).Vh[:8]
    code = recipe.model.encoder.trunk(x, None)
    torch.testing.assert_close(decoded_of(recipe.model, code), mean + (x - mean) @ axes.T @ axes, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(code.var(0).argsort(descending=True)[:2], torch.tensor([0, 1]))
    assert not recipe.chooses_epoch
    assert [record["phase"] for record in history.records] == ["solving"]


def test_prefixes_lose_more_and_the_whole_code_less_than_the_spread() -> None:
    recipe = built(prefixes=[1, 3])
    recipe.fit(VectorSource(vectors()), run())
    x = vectors(300, seed=1)
    nested = recipe.model.encode(Values(x)).notes["nested"]
    decoded = [decoded_of(recipe.model, nested[:, i]).detach() for i in (0, 1)]
    errors = [float((x - one).square().sum(1).mean()) for one in decoded]
    spread = float((x - x.mean(0)).square().sum(1).mean())
    assert errors[1] < 0.5 * errors[0]
    assert errors[0] < 0.6 * spread


@pytest.mark.parametrize("hidden", [0, 16])
def test_training_goes_on_from_the_solution(hidden: int) -> None:
    # One byte for many vectors, so that there is something left to learn.
    x = vectors(1000)
    batch = Batch(torch.arange(1000), Values(x), Values(x))

    def loss(recipe: MatryoshkaRecipe) -> float:
        with torch.no_grad():
            return float(recipe.model.loss(recipe.model.step(batch)).total)

    one = {"bytes": 1, "hidden": hidden, "batch_size": 250, "learning_rate": 3e-3}
    solved, trained = built(**one), built(**one, epochs=6)
    solved.fit(VectorSource(x), run())
    history = trained.fit(VectorSource(x), run())
    assert trained.chooses_epoch
    assert len(history.records) == 6
    assert loss(trained) < 0.99 * loss(solved)
    assert torch.equal(trained.model.encoder.mlp.layers[0].weight, solved.model.encoder.mlp.layers[0].weight)


def test_a_validation_score_is_taken() -> None:
    history = built().fit(VectorSource(vectors()), run(), Validation("score", lambda model: 0.25))
    assert history.records[0]["score"] == 0.25


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = built(epochs=1, hidden=4), built(epochs=1, hidden=4)
    for recipe in (first, second):
        recipe.fit(VectorSource(vectors()), run(seed=5))
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_codes_are_at_most_as_wide_as_the_vectors() -> None:
    assert built(code=500).model.bottleneck.codebooks.shape == (3, 256, WIDTH)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("bytes", 0), ("code", 0), ("beams", 0), ("batch_size", 0), ("hidden", -1), ("epochs", -1), ("prefixes", [1, 2])],
)
def test_settings_out_of_range(setting: str, value: object) -> None:
    with pytest.raises(SettingError, match=setting):
        built(**{setting: value})


class _BagRows:
    """A source of another form."""

    lengths = torch.ones(2, dtype=torch.int64)

    def __len__(self) -> int:
        return 2

    def to(self, device: torch.device) -> _BagRows:
        return self

    def batch(self, rows: torch.Tensor) -> Batch:
        bags = Bags(torch.zeros(2, dtype=torch.int64), torch.arange(3), torch.ones(2))
        return Batch(rows, bags, bags)


def test_bags_are_no_vectors() -> None:
    with pytest.raises(InputError, match="dense values"):
        built().fit(_BagRows(), run())

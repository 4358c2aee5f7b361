from __future__ import annotations

import math

import pytest
import torch

from isthmus.batch import Batch, Values
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.bottlenecks.deterministic import Deterministic
from isthmus.core.corruptions.numbers import GaussianNoise
from isthmus.core.decoders import DenseDecoder
from isthmus.core.encoders import DenseEncoder
from isthmus.core.likelihoods.continuous import Gaussian
from isthmus.core.readouts import LinearReadout
from isthmus.errors import SettingError
from isthmus.protocols import Step
from isthmus_text.pretrained.anchor import AnchorPenalty, info_nce


def test_info_nce_of_orthogonal_vectors():
    """Own cosine 1, all others 0: −log(e^(1/τ) / (e^(1/τ) + n − 1)) in both directions."""
    n, temperature = 4, 0.5
    vectors = 3.0 * torch.eye(n)
    expected = -math.log(math.exp(1 / temperature) / (math.exp(1 / temperature) + n - 1))
    assert float(info_nce(vectors, 0.1 * vectors, temperature)) == pytest.approx(expected, rel=1e-5)


def test_info_nce_is_symmetric_and_prefers_the_right_order():
    g = torch.Generator().manual_seed(0)
    first, second = torch.randn(5, 8, generator=g), torch.randn(5, 8, generator=g)
    torch.testing.assert_close(info_nce(first, second, 0.1), info_nce(second, first, 0.1))
    assert info_nce(first, first, 0.1) < info_nce(first, first.flip(0), 0.1)


def step(vectors: torch.Tensor, rows: list[int], corruption: GaussianNoise | None = None) -> Step:
    """A step of a model that passes its inputs on as codes."""
    g = torch.Generator().manual_seed(0)
    model = Autoencoder(
        encoder=DenseEncoder(2, (), generator=g),
        bottleneck=Deterministic(),
        decoder=DenseDecoder(2, generator=g),
        readout=LinearReadout(2, 2, generator=g),
        likelihood=Gaussian(),
        corruption=corruption,
    )
    values = Values(vectors)
    return model.step(Batch(torch.tensor(rows), values, values), generator=g)


def test_the_anchor_is_a_weighted_cosine_to_the_own_row():
    held = AnchorPenalty(2.0, 0.0)
    held.original = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    terms = held(step(torch.tensor([[0.0, 3.0], [2.0, 0.0]]), [1, 2]))
    assert terms.keys() == {"anchor"}
    assert float(terms["anchor"]) == pytest.approx(2 * (0 + 1 - math.sqrt(0.5)) / 2)


def test_noise_is_contrasted_with_clean_vectors_and_never_anchored():
    clean = torch.tensor([[0.0, 3.0], [2.0, 0.0]])
    taken = step(clean, [0, 1], GaussianNoise(0.5))
    held = AnchorPenalty(1.0, 3.0, 0.5)
    held.original = clean
    terms = held(taken)
    assert float(terms["anchor"]) == pytest.approx(0, abs=1e-6)
    assert not torch.equal(taken.code.point, clean)
    torch.testing.assert_close(terms["contrast"], 3 * info_nce(taken.code.point, clean, 0.5))


def test_an_anchor_needs_the_vectors_before_training():
    with pytest.raises(SettingError, match="before_training"):
        AnchorPenalty(1.0, 0.0)(step(torch.ones(2, 2), [0, 1]))


def test_settings_outside_their_range():
    for wrong in [(-1.0, 0.0, 0.1), (0.0, -1.0, 0.1), (1.0, 1.0, 0.0)]:
        with pytest.raises(SettingError):
            AnchorPenalty(*wrong)

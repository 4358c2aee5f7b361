"""Codes from users, and how wide those of a model are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isthmus.batch import Bag, Grid, Tokens, Vector
from isthmus.errors import InputError, SettingError, ValueRangeError
from isthmus.fitted import FitRequest, as_codes, draw_codes, fit_latent_prior
from isthmus.fitted.codes import code_shape
from isthmus.models.denoisers.dncnn import residual_denoiser
from isthmus.models.kinds import vanilla
from isthmus.training.run import Run


def test_codes_are_taken_in_any_form_and_copied() -> None:
    given = np.array([[1.0, 2.0]], dtype=np.float32)
    found = as_codes(given, 2)
    given[:] = 0
    assert found.tolist() == [[1.0, 2.0]]
    for same in ([[1, 2]], torch.tensor([[1.0, 2.0]], dtype=torch.bfloat16), np.array([[1, 2]])):
        assert torch.equal(as_codes(same, 2), found)
    assert as_codes(np.zeros((0, 2)), 2).shape == (0, 2)
    assert as_codes([[1 / 3]], 1, dtype=torch.float64).item() == 1 / 3
    for wrong in (np.zeros((1, 3)), np.zeros(2), "ab", [[1], [2, 3]], [[None, 1]]):
        with pytest.raises(InputError):
            as_codes(wrong, 2)
    for wrong in ([[np.nan, 1]], [[np.inf, 1]], [[1e300, 1]]):
        with pytest.raises(ValueRangeError):
            as_codes(wrong, 2)


def test_the_shape_of_a_code_is_that_of_the_model() -> None:
    small = {"code": 3, "hidden": 8, "filters": 4, "layers": 1, "heads": 2}
    for signal in (Vector(5), Bag(7), Grid(1, 8, 8), Tokens(9, 4)):
        model = vanilla(signal, generator=torch.Generator(), **small).model
        assert code_shape(model.eval(), signal) == (3,), signal
    grid = Grid(1, 9, 9)
    denoiser = residual_denoiser(grid, generator=torch.Generator(), filters=4, depth=3).model
    assert len(code_shape(denoiser.eval(), grid)) == 3


def test_new_codes_follow_the_mixture_or_the_prior() -> None:
    run = Run(device="cpu")
    model = vanilla(Vector(5), generator=torch.Generator(), code=2).model
    codes = torch.randn(200, 2, generator=torch.Generator().manual_seed(0)) + 50
    mixture = fit_latent_prior(codes, run, components=2)
    assert float((draw_codes(model, mixture, 100) - 50).abs().mean()) < 3
    assert fit_latent_prior(codes[:49], run) is None
    for prior, known in (("standard", mixture), ("fitted", None), ("wild", mixture)):
        with pytest.raises(SettingError):
            draw_codes(model, known, 3, prior=prior)


def test_a_share_that_is_none_is_refused_before_anything_is_done() -> None:
    for share in (0.0, 1.0, -0.1):
        with pytest.raises(SettingError, match="contamination"):
            FitRequest("images", "vanilla", {}, contamination=share)

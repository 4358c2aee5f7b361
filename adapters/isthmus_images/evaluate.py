"""How well images that were not trained on are encoded and reconstructed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from isthmus.errors import SettingError
from isthmus.fitted import Evaluation, FittedAutoencoder, evaluate_codes
from isthmus.fitted.evaluate import check_samples, standard_errors
from isthmus.metrics.images import mse, psnr
from isthmus.tasks.coding import reconstructions
from isthmus_images import denoising
from isthmus_images.adapter import ImageAdapter
from isthmus_images.files.loading import Loaded
from isthmus_images.files.pixels import as_shown, shown
from isthmus_images.images import Images


@dataclass(frozen=True, repr=False)
class ImageEvaluation(Evaluation):
    """Nats are sums over an image, and means over the images. What was not asked for, or a model lacks, is None.

    Attributes:
        images: how many.
        mse: squared error of the reconstruction, the mean over numbers from 0 to 1; lower is better.
        psnr: of the reconstruction, dB, the mean over images; higher is better.
        objective: the model's own loss, negated; higher is better.
        nll: negative log-likelihood given a code, nats an image; lower is better.
        rate: the KL divergence of the codes from the prior, nats; 0 for deterministic models.
        active_units: dimensions whose mean varies by more than 0.01 (Burda et al. 2016).
        weighted_nll: −log p(image) by importance sampling (Burda et al. 2016), nats; lower is better.
        samples: of the importance sampling.
        noise: standard deviation of the noise that was added.
        noisy_psnr, denoised_psnr: dB with that noise and after removing it, the mean over images; higher is better.
    """

    images: int
    mse: float | None = None
    psnr: float | None = None
    objective: float | None = None
    nll: float | None = None
    rate: float | None = None
    active_units: int | None = None
    weighted_nll: float | None = None
    samples: int = 0
    noise: float | None = None
    noisy_psnr: float | None = None
    denoised_psnr: float | None = None


def evaluate(
    fitted: FittedAutoencoder[ImageAdapter], images: Any, *, samples: int, seed: int, noise: float | None
) -> ImageEvaluation:
    """Measure a model on images that it was not trained on.

    Args:
        fitted: the model.
        images: ``Images``, or anything that ``Images.read`` takes.
        samples: importance samples an image; 0 leaves ``weighted_nll`` out.
        seed: of samples and noise.
        noise: the standard deviation of noise that is added and removed again; None leaves that out.

    Raises:
        SettingError: samples below 0, a noise that is not positive, or none for a model that is nothing but a denoiser.
        InputError: images of another size or colour.
    """
    check_samples(samples)
    if noise is not None and not noise > 0:
        raise SettingError(f"noise {noise}", expected="a positive deviation, or none")
    any_size = denoising.takes_any_size(fitted.builder)
    if any_size and noise is None:
        raise SettingError(f"evaluating {fitted.builder} without noise", expected="a deviation, such as noise=0.1")
    loaded = denoising.noisy_from(fitted, images)
    found = {} if any_size else _coded(fitted, Images(loaded.stacked(), loaded.names), samples, seed)
    if noise is not None:
        cleaned = _cleaned(fitted, loaded, noise, seed)
        errors = {**found.get("standard_errors", {}), **cleaned["standard_errors"]}
        found |= {**cleaned, "standard_errors": errors}
    return ImageEvaluation(images=len(loaded.names), **found)


def _coded(fitted: FittedAutoencoder[ImageAdapter], images: Images, samples: int, seed: int) -> dict[str, Any]:
    source = fitted.adapter.prepare(images)
    meant, back = images.array(), as_shown(reconstructions(fitted.model, source))
    found = evaluate_codes(fitted.model, source, samples=samples, seed=seed).to_json()
    del found["records"]
    errors, decibels = mse(back, meant), psnr(back, meant)
    found["standard_errors"] = standard_errors(mse=errors, psnr=decibels) | found["standard_errors"]
    return {"mse": float(errors.mean()), "psnr": float(decibels.mean()), **found}


def _cleaned(fitted: FittedAutoencoder[ImageAdapter], loaded: Loaded, noise: float, seed: int) -> dict[str, Any]:
    noisy, clean = denoising.with_noise(loaded, noise, seed)
    before = [shown(picture[None])[0] for picture in noisy.pictures]
    after = denoising.denoised(fitted, noisy)
    each = {"noisy_psnr": _decibels(before, clean), "denoised_psnr": _decibels(after, clean)}
    means = {name: float(values.mean()) for name, values in each.items()}
    return {"noise": noise, **means, "standard_errors": standard_errors(**each)}


def _decibels(given: Any, meant: Any) -> npt.NDArray[np.float64]:
    """Of each image; they may be of several sizes."""
    return np.array([psnr(one[None], other[None])[0] for one, other in zip(given, meant, strict=True)])

"""Evaluation of image models on held-out images."""

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
    """Values in nats are means over images of the sum over each image. Metrics that were not requested, or that the
    model does not have, are None.

    Attributes:
        images: number of images.
        mse: mean squared error of the reconstruction, for pixels from 0 to 1; lower is better.
        psnr: PSNR of the reconstruction in dB, mean over images; higher is better.
        objective: negative loss of the model; higher is better.
        nll: negative log-likelihood given a code, nats per image; lower is better.
        rate: KL divergence of the codes from the prior, nats; 0 for deterministic models.
        active_units: dimensions whose mean has a variance above 0.01 (Burda et al. 2016).
        weighted_nll: −log p(image) by importance sampling (Burda et al. 2016), nats; lower is better.
        samples: number of importance samples.
        noise: standard deviation of the added noise.
        noisy_psnr, denoised_psnr: dB before and after denoising, mean over images; higher is better.
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
    """Evaluate a model on images that it was not trained on.

    Args:
        fitted: the model.
        images: ``Images``, or anything that ``Images.read`` accepts.
        samples: importance samples per image; 0 skips ``weighted_nll``.
        seed: seed of samples and noise.
        noise: standard deviation of noise that is added and removed again; None skips this.

    Returns:
        The metrics, with standard errors.

    Raises:
        SettingError: samples below 0, a noise that is not positive, or no noise for a pure denoiser.
        InputError: images with another size or colour.
    """
    check_samples(samples)
    if noise is not None and not noise > 0:
        raise SettingError(f"noise {noise}", expected="a positive standard deviation, or none")
    any_size = denoising.takes_any_size(fitted.builder)
    if any_size and noise is None:
        raise SettingError(
            f"evaluating {fitted.builder} without noise", expected="a standard deviation, such as noise=0.1"
        )
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
    """PSNR of each image; images may have different sizes."""
    return np.array([psnr(one[None], other[None])[0] for one, other in zip(given, meant, strict=True)])

"""How well images that were not trained on are coded and written back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from isthmus.core.autoencoder import Autoencoder
from isthmus.errors import SettingError
from isthmus.metrics.codes import active_units
from isthmus.metrics.images import mse, psnr
from isthmus.tasks.coding import codes_of, held_out, weighted_log_likelihoods
from isthmus.training.run import Run
from isthmus_images import denoising
from isthmus_images.files.loading import Loaded
from isthmus_images.files.pixels import shown
from isthmus_images.images import Images
from isthmus_images.source import ImageSource

if TYPE_CHECKING:
    from isthmus_images.autoencoder import ImageAutoencoder


@dataclass(frozen=True)
class Measured:
    """Nats are sums over an image, and means over the images. What was not asked for, or a model lacks, is None.

    Attributes:
        images: how many.
        mse: of the reconstruction, a number of an image from 0 to 1; lower is better.
        psnr: of the reconstruction, dB, the mean over images; higher is better.
        objective: the model's own loss, negated; higher is better.
        nll: what the decoder does not know, nats an image; lower is better.
        rate: what the code spends (the KL divergence from the prior), nats; 0 for deterministic models.
        active_units: dimensions whose mean varies by more than 0.01 (Burda et al. 2016).
        weighted_nll: by importance sampling (Burda et al. 2016), nats.
        samples: of the importance sampling.
        noise: standard deviation of the noise that was added.
        noisy_psnr, denoised_psnr: dB with that noise, and after it was taken away again, the mean over images.
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

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def measure(model: ImageAutoencoder, images: Any, samples: int, noise: float | None, seed: int) -> Measured:
    """See ``ImageAutoencoder.evaluate``."""
    if samples < 0 or (noise is not None and not noise > 0):
        raise SettingError(f"{samples} samples, noise {noise}", expected="0 or more, and a positive deviation or none")
    any_size = denoising.takes_any_size(model.builder)
    if any_size and noise is None:
        raise SettingError(f"evaluating {model.builder} without noise", expected="a deviation, such as noise=0.1")
    loaded = denoising.noisy_from(model, images)
    found: dict[str, Any] = {} if any_size else _coded(model, Images(loaded.stacked(), loaded.names), samples, seed)
    if noise is not None:
        found |= _cleaned(model, loaded, noise, seed)
    return Measured(images=len(loaded.names), **found)


def _coded(model: ImageAutoencoder, images: Images, samples: int, seed: int) -> dict[str, Any]:
    source = model.adapter.prepare(images)
    meant, back = images.array(), model.reconstruct(images)
    found = held_out(model.model, source, Run(device="cpu", precision="fp32"))
    return {
        "mse": float(mse(back, meant).mean()),
        "psnr": float(psnr(back, meant).mean()),
        "objective": -found.loss,
        "nll": found.nll,
        "rate": found.rate,
        "active_units": active_units(codes_of(model.model, source).flatten(1)) if len(images) > 1 else None,
        "weighted_nll": _weighted(model.model, source, samples, seed) if samples else None,
        "samples": samples,
    }


def _cleaned(model: ImageAutoencoder, loaded: Loaded, noise: float, seed: int) -> dict[str, Any]:
    noisy, clean = denoising.with_noise(loaded, noise, seed)
    before = [shown(picture[None])[0] for picture in noisy.pictures]
    after = denoising.denoised(model, noisy)
    return {"noise": noise, "noisy_psnr": _mean_db(before, clean), "denoised_psnr": _mean_db(after, clean)}


def _mean_db(given: Any, meant: Any) -> float:
    """The mean over images, which may be of several sizes."""
    return float(np.mean([psnr(one[None], other[None])[0] for one, other in zip(given, meant, strict=True)]))


def _weighted(model: Autoencoder, source: ImageSource, samples: int, seed: int) -> float:
    noise = torch.Generator(next(model.parameters()).device).manual_seed(seed)
    return -float(weighted_log_likelihoods(model, source, samples=samples, generator=noise).mean())

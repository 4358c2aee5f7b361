"""The face: train on images, then encode, decode, denoise, sample, interpolate, search, and tell what is strange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64
from torch import Tensor

from isthmus.core.autoencoder import Autoencoder
from isthmus.core.priors.fitted_mixture import FittedMixture
from isthmus.errors import InputError, SettingError
from isthmus.tasks import coding
from isthmus.training.history import History
from isthmus.training.run import Run
from isthmus_images import denoising, fit, storage
from isthmus_images.adapter import ImageAdapter
from isthmus_images.asking import Codes, Shown, as_codes, as_shown
from isthmus_images.evaluate import Measured, measure
from isthmus_images.gallery import Found, Gallery
from isthmus_images.images import Images
from isthmus_images.strangeness import Strangeness


@dataclass(frozen=True, eq=False)
class ImageAutoencoder:
    """A trained model. Made by ``fit`` or ``load``; nothing in it changes.

    Wherever images are taken, so is whatever ``Images.read`` takes; files are read in the size and colour of the model.
    Images are given as float32 from 0 (black) to 1, [images, height, width], with three channels last if in colour.

    Attributes:
        adapter: the size and colour of images.
        model: the network.
        builder: the name of the model, as in Python.
        settings: all keywords of the builder.
        facts: sizes, the course of the training.
        mixture: a Gaussian mixture fitted to the codes of the training images, for ``sample(prior="fitted")``.
        gallery: what ``search`` looks in, if anything.
        strangeness: what ``anomaly_scores`` compares with, if anything.
    """

    adapter: ImageAdapter
    model: Autoencoder
    builder: str
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]
    mixture: FittedMixture | None = None
    gallery: Gallery | None = None
    strangeness: Strangeness | None = None

    @classmethod
    def fit(
        cls,
        images: Any,
        model: str = "vanilla",
        *,
        size: int | Sequence[int] | None = None,
        colour: str | None = None,
        broken: str = "refuse",
        crops: int = 0,
        validation: float = 0.1,
        run: Run | None = None,
        **settings: Any,
    ) -> ImageAutoencoder:
        """Train a model. Ctrl-C ends the training and keeps the best model so far; ``history.interrupted`` tells.

        Args:
            images: ``Images``, or whatever ``Images.read`` takes.
            model: a builder's name; ``isthmus models`` lists them.
            size, colour, broken: how files are read; see ``Images.read``.
            crops: cut so many squares of ``size`` from each picture as it is, turned and mirrored by chance, instead of
                scaling it: what denoisers of photographs learn from; see ``Images.crops``.
            validation: the share of the images that is held out to choose the best epoch and to calibrate
                ``anomaly_scores``; 0, and fewer than 50 images, train to the last one.
            run: device, seed, precision, progress and checkpoints.
            settings: keywords of the builder, such as ``code`` and ``epochs``.

        Raises:
            SettingError: no such model, or a setting that it does not know or cannot have.
            InputError: images that cannot be read or trained on.
            NonFiniteLossError: the loss became NaN or infinite.
        """
        run = run or Run()
        data = fit.records(images, size, colour, broken, crops, run.seed)
        made = fit.fit(data, model, validation, run, settings)
        plain = cls(made.adapter, made.model, made.builder, made.settings, made.facts)
        return plain if denoising.takes_any_size(made.builder) else fit.completed(plain, made, data, run)

    @property
    def history(self) -> History:
        """The course of the training."""
        return fit.history_of(self.facts)

    @property
    def width(self) -> int:
        """How many numbers a code has."""
        blank = np.zeros((1, self.adapter.signal.channels, *self.adapter.size), dtype=np.uint8)
        return int(self._codes(Images(blank, ("blank",))).shape[1])

    def encode(self, images: Any, *, broken: str = "refuse") -> Codes:
        """One code for each image, float32, in their order: the best single guess, the same at every call.

        Raises:
            InputError: images that cannot be read, of another size or colour; a model that has no codes.
        """
        return self._codes(self.adapter.records(images, broken=broken)).numpy()

    def decode(self, codes: Any) -> Shown:
        """The images that codes stand for.

        Raises:
            InputError: codes of another width, NaN or infinite.
        """
        self._needs_codes()
        return as_shown(coding.decoded(self.model, as_codes(codes, self.width)))

    def reconstruct(self, images: Any) -> Shown:
        """What is left of each image after the narrow place."""
        self._needs_codes()
        return as_shown(coding.reconstructions(self.model, self.adapter.prepare(images)))

    def denoise(self, images: Any) -> Any:
        """Noisy images, cleaned; floats may lie outside 0 to 1. What the model was trained to take away, it takes away.

        Models that are nothing but denoisers (``residual_denoiser``) take images of any size; where they differ, a list
        of arrays is given.
        """
        return denoising.denoised(self, denoising.noisy_from(self, images))

    def sample(self, n: int, *, seed: int = 0, prior: str = "fitted") -> Shown:
        """New images, from codes drawn by chance.

        Args:
            prior: ``fitted`` draws codes from the mixture over the codes of the training images; ``standard`` from the
                model's own prior, which deterministic models lack.

        Raises:
            SettingError: fewer than one, or a prior that this model lacks.
        """
        self._needs_codes()
        if prior not in ("standard", "fitted"):
            raise SettingError(f"prior={prior!r}", expected="'standard' or 'fitted'")
        if prior == "fitted" and self.mixture is None:
            raise SettingError(
                "prior='fitted' of a model without one",
                expected=f"{fit.FEWEST} training images or more, and scikit-learn",
                remedy="write prior='standard' for a variational model",
            )
        mixture = self.mixture if prior == "fitted" else None
        codes = coding.drawn(self.model, n, torch.Generator().manual_seed(seed), mixture)
        return as_shown(coding.decoded(self.model, codes))

    def interpolate(self, a: Any, b: Any, steps: int = 7) -> Shown:
        """What lies between two images: ``steps`` points of the straight line between their codes, with both ends.

        Raises:
            SettingError: fewer than 2 steps.
            InputError: more than one image for an end.
        """
        ends = [self._codes(self.adapter.records(one)) for one in (a, b)]
        if any(len(end) != 1 for end in ends):
            raise InputError(f"{len(ends[0])} and {len(ends[1])} images", expected="one for each end")
        return as_shown(coding.decoded(self.model, coding.between(ends[0][0], ends[1][0], steps)))

    def search(self, images: Any, k: int = 10) -> list[list[Found]]:
        """The images of the gallery whose codes are nearest, nearest first, a list for each image.

        Raises:
            InputError: there is no gallery.
            SettingError: ``k`` below 1.
        """
        self._needs_codes()
        if self.gallery is None:
            raise InputError("a model without images to search in", remedy="give it some with with_gallery(images)")
        return self.gallery.search(self._codes(self.adapter.records(images)), k)

    def with_gallery(self, images: Any) -> ImageAutoencoder:
        """The same model with other images to search in; this one does not change."""
        return fit.with_gallery(self, self.adapter.records(images))

    def anomaly_scores(self, images: Any) -> Float64[np.ndarray, " images"]:
        """How strange each image is, nats; higher is stranger. What writing it back costs, and how far its code is from
        known ones, each as −log of the share of normal images that score as high, and the mean of both.

        Raises:
            InputError: a model of too few images, or without codes.
        """
        return self.usual().scores(self.model, self.adapter.prepare(images)).numpy()

    def is_anomaly(self, images: Any) -> Bool[np.ndarray, " images"]:
        """Whether each image scores above the threshold, as one in twenty normal images is expected to."""
        return self.anomaly_scores(images) > self.usual().threshold.value

    def evaluate(self, images: Any, *, samples: int = 0, noise: float | None = None, seed: int = 0) -> Measured:
        """How well held-out images are coded and written back; see ``isthmus_images.evaluate``.

        Args:
            samples: importance samples for a tighter bound of the likelihood; 0 leaves it out (500 is usual).
            noise: a standard deviation of noise to be taken away again; denoisers without codes need it, and take
                images of any size.
        """
        return measure(self, images, samples, noise, seed)

    def save(self, path: str | Path) -> None:
        """Save as a bundle, whole or not at all. Raises what ``isthmus.bundle.bundle.write`` raises."""
        storage.write(path, self)

    @classmethod
    def load(cls, path: str | Path) -> ImageAutoencoder:
        """What was saved, on the CPU.

        Raises:
            BundleError: a directory that is truncated, altered, foreign or too new.
        """
        return cls(**storage.read(path))

    def _codes(self, images: Images) -> Float32[Tensor, "images code"]:
        self._needs_codes()
        return coding.codes_of(self.model, self.adapter.prepare(images))

    def usual(self) -> Strangeness:
        """What ``anomaly_scores`` compares with, and its threshold.

        Raises:
            InputError: a model of too few images, or without codes.
        """
        if self.strangeness is None:
            raise InputError("a model that does not know what is usual", expected="one fitted to 2 images or more")
        return self.strangeness

    def _needs_codes(self) -> None:
        denoising.check_has_codes(self.builder)

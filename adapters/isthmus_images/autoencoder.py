"""The ``ImageAutoencoder``: the methods that all domains share, and removal of noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

from jaxtyping import Float32
from torch import Tensor

from isthmus.cards import CardWords
from isthmus.fitted import AutoencoderFace, BundleLayout, FitRequest
from isthmus.fitted.anomaly import CONTAMINATION
from isthmus.tasks.coding import codes_of, decoded
from isthmus.training.loggers import Log
from isthmus.training.progress import Progress
from isthmus.training.run import Run
from isthmus_images import denoising, fit
from isthmus_images.adapter import ImageAdapter
from isthmus_images.card import WORDS
from isthmus_images.evaluate import ImageEvaluation, evaluate
from isthmus_images.exchange import onnx
from isthmus_images.files.pixels import Shown, ShownPicture, as_shown
from isthmus_images.images import Images

LAYOUT = BundleLayout(fit.PLUGIN, ImageAdapter.restore)
"""The layout of the bundles of images."""


@final
@dataclass(frozen=True, eq=False, repr=False)
class ImageAutoencoder(AutoencoderFace[ImageAdapter, Images, Shown]):
    """A trained model. Created by ``fit`` or ``load``; immutable.

    All methods accept anything that ``Images.read`` accepts; files are read in the model's size and colour. Images are
    returned as float32 from 0 (black) to 1, [images, height, width], with three channels last if in colour.
    """

    card_words: ClassVar[CardWords] = WORDS

    @classmethod
    def fit(
        cls,
        images: Any,
        model: str = "vanilla",
        *,
        size: int | Sequence[int] | None = None,
        colour: str | None = None,
        on_error: str = "raise",
        crops: int = 0,
        validation: float = 0.1,
        contamination: float = CONTAMINATION,
        gallery: bool = True,
        seed: int = 0,
        device: str = "auto",
        precision: str = "auto",
        progress: Progress | bool = True,
        checkpoints: str | Path | None = None,
        resume: bool = False,
        time_limit: float | None = None,
        log: Log | None = None,
        run: Run | None = None,
        **settings: Any,
    ) -> ImageAutoencoder:
        """Train a model. Ctrl-C ends the training and keeps the best model so far; see ``history.interrupted``.

        Args:
            images: ``Images``, or anything that ``Images.read`` accepts.
            model: name of a builder; ``isthmus models`` lists them.
            size, colour, on_error: how files are read; see ``Images.read``.
            crops: cut this many squares of ``size`` from each picture at full size, rotated and mirrored at random,
                instead of scaling it, to train denoisers of photographs; see ``Images.crops``.
            validation: share of the images that is held out to choose the best epoch and to calibrate
                ``anomaly_scores``; with 0, or fewer than 50 images, the last epoch is kept.
            contamination: expected share of normal images that ``is_anomaly`` flags.
            gallery: whether ``search`` can find the images afterwards; the bundle then contains their names and codes.
            seed, device, precision, checkpoints, resume, time_limit: how training is run; see ``isthmus.training.run``.
            progress: whether to show the progress, or a ``Progress`` object that receives it.
            log: called with the record of each epoch; see ``isthmus.training.loggers``.
            run: all of these as one object.
            settings: keywords of the builder, such as ``code`` and ``epochs``.

        Returns:
            The trained model.

        Raises:
            SettingError: no such model, or a setting that it does not have or accept.
            InputError: images that cannot be read or trained on.
            NonFiniteLossError: the loss became NaN or infinite.
        """
        run = Run.gather(run, seed, device, precision, progress, checkpoints, resume, time_limit, log)
        request = FitRequest(fit.PLUGIN, model, settings, validation, contamination, gallery)
        data = fit.training_images(images, size, colour, on_error, crops, run.seed)
        return cls(fit.fit(data, request, run))

    def encode(self, images: Any, *, on_error: str = "raise") -> Float32[Any, "images code"]:
        """Encode images: one code for each image, float32, in order. Encoding is deterministic.

        Args:
            images: anything that ``Images.read`` accepts.
            on_error: "raise" an error for a file that cannot be read, or "skip" it.

        Returns:
            The codes, shape (images, code).

        Raises:
            InputError: images that cannot be read, or with another size or colour; a model without codes.
        """
        self.fitted.check_codes()
        return self._codes(self.adapter.records(images, on_error=on_error)).numpy()

    def denoise(self, images: Any, *, level: float | None = None) -> Shown | list[ShownPicture]:
        """Denoise images; floats may be outside 0 to 1. A model removes the kind of noise that it was trained to
        remove.

        Pure denoisers (``residual_denoiser``, ``unet_denoiser``) accept images of any size; for different sizes, a list
        of arrays is returned.

        Args:
            images: anything that ``Images.read`` accepts.
            level: standard deviation of the noise, for pixels from 0 to 1, for a ``unet_denoiser``; None estimates it
                for each image.

        Returns:
            The images without noise.

        Raises:
            InputError: images that cannot be read, or with another size or colour.
            SettingError: a level below 0, or for a model that is not told one.
        """
        return denoising.denoised(self.fitted, denoising.noisy_from(self.fitted, images), level)

    def evaluate(self, images: Any, *, samples: int = 0, seed: int = 0, noise: float | None = None) -> ImageEvaluation:
        """Evaluate how well held-out images are encoded and reconstructed.

        Args:
            images: images that the model was not trained on.
            samples: importance samples for a tighter bound of the likelihood; 0 skips it (500 is usual).
            seed: seed of samples and noise.
            noise: standard deviation of noise that is added and removed again; required for denoisers without codes,
                which accept images of any size.

        Returns:
            The metrics, with standard errors.

        Raises:
            SettingError: samples below 0, a noise level below 0, or a denoiser without noise.
        """
        return evaluate(self.fitted, images, samples=samples, seed=seed, noise=noise)

    def to_onnx(self, folder: str | Path) -> Path:
        """Write the encoder for onnxruntime, as ``model.onnx``: ``images`` (float32 [images, channels, height, width],
        from 0 for black to 1 for white) in, ``codes`` (float32 [images, code]) out.

        Args:
            folder: a new folder; it is written whole or not at all.

        Returns:
            The folder.

        Raises:
            InputError: a model without codes, or the folder exists.
            SettingError: PyTorch cannot export the encoder.
            MissingLibraryError: the extra ``onnx`` is not installed.
        """
        return onnx.export(self.fitted, folder)

    @classmethod
    def _layout(cls) -> BundleLayout[ImageAdapter]:
        return LAYOUT

    def _read(self, source: Any) -> Images:
        return self.adapter.records(source)

    def _codes(self, records: Images) -> Tensor:
        return codes_of(self.model, self.adapter.prepare(records))

    def _write(self, codes: Tensor, seed: int, **options: Any) -> Shown:
        return as_shown(decoded(self.model, codes))

    def _names(self, records: Images) -> tuple[Sequence[str], Sequence[str] | None]:
        return records.names, records.labels

    def _anomaly_scores(self, records: Images) -> Tensor:
        return self.anomaly_scorer.scores(self.model, self.adapter.prepare(records))

"""The ``VectorAutoencoder``: train on rows of numbers, encode, reconstruct, sample, search and detect anomalies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Unpack, final

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from isthmus.cards import CardWords
from isthmus.checked.arguments import flag
from isthmus.checked.dense import as_float
from isthmus.files import FileOptions
from isthmus.fitted import AutoencoderFace, BundleLayout, FitRequest
from isthmus.tasks.threshold import Threshold
from isthmus.training.loggers import Log
from isthmus.training.progress import Progress
from isthmus.training.run import Run
from isthmus_vectors import fit
from isthmus_vectors.adapter import VectorAdapter
from isthmus_vectors.card import AUTOENCODER
from isthmus_vectors.columns import Columns
from isthmus_vectors.evaluate import VectorEvaluation, evaluate
from isthmus_vectors.exchange import onnx
from isthmus_vectors.float64 import Float64Model
from isthmus_vectors.storage import LAYOUT
from isthmus_vectors.vectors import Vectors

Rows = Float32[np.ndarray, "rows width"]


@final
@dataclass(frozen=True, eq=False, repr=False)
class VectorAutoencoder(AutoencoderFace[VectorAdapter, Vectors, Rows]):
    """A trained model with the scales of its columns. Created by ``fit`` or ``load``; immutable.

    Results are computed in fp64, so that those of a row do not depend on the other rows of a call, and returned in
    fp32. Rows are ``Vectors`` or anything that ``Vectors.read`` accepts. Columns are found by name, in any order, and
    columns that were not trained on are ignored; rows without names must have the columns of the training in the same
    order.
    """

    code_dtype: ClassVar[torch.dtype] = torch.float64
    card_words: ClassVar[CardWords] = AUTOENCODER

    @classmethod
    def fit(
        cls,
        vectors: Any,
        model: str = "vanilla",
        *,
        columns: Columns | None = None,
        drop: Columns = (),
        encoding: str | None = None,
        delimiter: str | None = None,
        header: bool | None = None,
        scaling: str = "robust",
        validation: float = 0.1,
        contamination: float = 0.05,
        gallery: bool = True,
        latent_prior: bool = True,
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
    ) -> VectorAutoencoder:
        """Train a model. Ctrl-C ends the training and keeps the best model so far (``history.interrupted``).

        Args:
            vectors: rows of numbers: a file, a table, an array or anything else that ``Vectors.read`` accepts. Sparse
                rows stay sparse.
            columns: names of the columns to train on, in this order; positions, for rows without names. None for all.
                The model remembers them.
            drop: names or positions of columns to leave out, such as ids and labels.
            encoding, delimiter, header: format of a text file, if it is not detected correctly; remembered, too.
            model: a builder's name; ``isthmus models`` lists them.
            scaling: "robust" scales each column by its median and quartiles; "none" leaves numbers as they are, as for
                ready-made embeddings.
            validation: the share of the rows that is held out to choose the best epoch and to calibrate the anomaly
                threshold. With 0, and with fewer than 50 rows, the last epoch is kept and the threshold is calibrated
                on the training rows.
            contamination: the share of normal rows that may be flagged as anomalies.
            gallery: whether the training rows can be searched afterwards; the bundle then keeps their codes.
            latent_prior: whether a mixture is fitted to the codes, for ``sample(prior="fitted")``.
            seed, device, precision, checkpoints, resume, time_limit: how training is run; see ``isthmus.training.run``.
            progress: whether to show the progress, or a ``Progress`` object that receives it.
            log: called with the record of each epoch; see ``isthmus.training.loggers``.
            run: all of these as one object.
            settings: keywords of the builder, such as ``code`` and ``epochs``. The default ``code`` is at most half the
                width of the rows, for models whose code is not sparse.

        Returns:
            The trained model.

        Raises:
            SettingError: no such model, or a setting that it does not have or accept.
            InputError: rows that cannot be read or trained on.
            NonFiniteLossError: the loss became NaN or infinite.
        """
        request = FitRequest(fit.PLUGIN, model, settings, validation, contamination, gallery)
        data = Vectors.for_training(vectors, columns, drop, encoding=encoding, delimiter=delimiter, header=header)
        how = Run.gather(run, seed, device, precision, progress, checkpoints, resume, time_limit, log)
        return cls(fit.fit(data, request, how, scaling=scaling, latent_prior=flag("latent_prior", latent_prior)))

    def encode(self, vectors: Any, **file: Unpack[FileOptions]) -> Float32[np.ndarray, "rows code"]:
        """Encode rows: one code for each row, in order. Encoding is deterministic.

        Args:
            vectors: rows of numbers.
            file: encoding, delimiter and header of a text file, if they differ from those in ``fit``.

        Returns:
            Shape (rows, ``code_width``).

        Raises:
            InputError: not rows of numbers, or another width.
            ColumnError: a table without a column that was trained on.
            ValueRangeError: NaN, infinity or a missing value.
        """
        return self.float64_model.codes(self.adapter.rows(vectors, **file)).astype(np.float32)

    def evaluate(self, vectors: Any, *, samples: int = 0, seed: int = 0) -> VectorEvaluation:
        """Evaluate how well held-out rows are reconstructed.

        Args:
            vectors: rows that were not trained on.
            samples: importance samples per row for ``weighted_nll``; 0 skips it, 500 is usual.
            seed: seed of these samples.

        Returns:
            Means over the rows; see ``VectorEvaluation``.

        Raises:
            SettingError: samples below 0, or samples for a model without a posterior.
            InputError: as raised by ``encode``.
        """
        return evaluate(self.fitted, self.float64_model, self._read(vectors), samples=samples, seed=seed)

    @cached_property
    def float64_model(self) -> Float64Model:
        """The network in fp64, which computes all results."""
        return Float64Model.of(self.model, self.adapter)

    @property
    def threshold(self) -> Threshold:
        """The anomaly score above which a row is flagged."""
        return self.anomaly_scorer.threshold

    @property
    def columns(self) -> tuple[str, ...] | None:
        """Names of the training columns; None if they had none."""
        return self.adapter.columns

    @property
    def width(self) -> int:
        """The number of columns."""
        return self.adapter.scaling.width

    def to_onnx(self, folder: str | Path) -> Path:
        """Write the encoder for onnxruntime, as ``model.onnx``.

        A model of dense rows takes ``rows`` (float64 [rows, columns], in the units of the training data and the order
        of its columns), one of sparse rows ``items`` (int64, the column of each entry), ``offsets`` (int64, where the
        entries of each row start, and at last where they end) and ``weights`` (float32, the entries). It returns
        ``codes`` (float32 [rows, code]), which are those of ``encode`` but for the rounding of float32.

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
    def _layout(cls) -> BundleLayout[VectorAdapter]:
        return LAYOUT

    def _read(self, source: Any) -> Vectors:
        return self.adapter.rows(source)

    def _codes(self, records: Vectors) -> Tensor:
        return torch.from_numpy(self.float64_model.codes(records))

    def _write(self, codes: Tensor, seed: int, **options: Any) -> Rows:
        return as_float(self.float64_model.decode(codes.double().numpy()), np.float32)

    def _names(self, records: Vectors) -> tuple[None, None]:
        return None, None

    def _anomaly_scores(self, records: Vectors) -> Tensor:
        return -torch.from_numpy(self.float64_model.log_likelihoods(records))

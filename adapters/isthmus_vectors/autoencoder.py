"""The face: train on rows of numbers, then encode, reconstruct, sample, search, find what does not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64
from torch import Tensor

from isthmus.core.autoencoder import Autoencoder
from isthmus.core.priors.fitted_mixture import FittedMixture
from isthmus.errors import InputError, SettingError
from isthmus.index.searchers import searcher_over
from isthmus.index.vectors import Metric, check_metric
from isthmus.protocols import Neighbours, Searcher
from isthmus.tasks.coding import drawn
from isthmus.tasks.threshold import Threshold
from isthmus.training.history import History
from isthmus.training.run import Run
from isthmus_vectors import fit, storage
from isthmus_vectors.adapter import VectorAdapter
from isthmus_vectors.evaluate import Measured, measure
from isthmus_vectors.float64 import Asked
from isthmus_vectors.vectors import Vectors


@dataclass(frozen=True, eq=False)
class VectorAutoencoder:
    """A trained model with the scales of its columns. Made by ``fit`` or ``load``; nothing in it changes.

    Attributes:
        adapter: scales and names of the columns.
        model: the network, fp32.
        asked: the same in fp64, which answers.
        builder: the name of the model, as in Python.
        settings: all keywords of the builder.
        facts: sizes, and the course of the training.
        threshold: the anomaly score that a share of rows like the training rows exceeds.
        mixture: a Gaussian mixture fitted to the codes of the training rows, for ``sample(prior="fitted")``.
        known: the codes that ``search`` looks in, if any.
    """

    adapter: VectorAdapter
    model: Autoencoder
    asked: Asked
    builder: str
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]
    threshold: Threshold
    mixture: FittedMixture | None = None
    known: Tensor | None = None

    @classmethod
    def fit(
        cls,
        vectors: Any,
        model: str = "vanilla",
        *,
        columns: Sequence[str] | None = None,
        drop: Sequence[str] = (),
        scaling: str = "robust",
        validation: float = 0.1,
        contamination: float = 0.05,
        index: bool = True,
        mixture: bool = True,
        run: Run | None = None,
        **settings: Any,
    ) -> VectorAutoencoder:
        """Train a model. Ctrl-C ends the training and keeps the best model so far; ``history.interrupted`` tells.

        Args:
            vectors, columns, drop: rows of numbers, as ``Vectors.read`` takes them. Sparse ones stay sparse.
            model: a builder's name; ``isthmus models`` lists them.
            scaling: "robust" brings each column to its median and the spread of its quartiles; "none" leaves numbers as
                they are, as for ready-made embeddings.
            validation: the share of the rows that is held out to choose the best epoch and to calibrate the threshold;
                0, and fewer than 50 rows, train to the last epoch and calibrate on the training rows.
            contamination: share of normal rows that may be flagged as anomalies.
            index: whether the codes of the training rows can be searched afterwards; they are then part of what is
                saved.
            mixture: whether a mixture is fitted to the codes, for ``sample(prior="fitted")``.
            run: device, seed, precision, progress and checkpoints.
            settings: keywords of the builder, such as ``code`` and ``epochs``. Without ``code``, a code that is not
                sparse has half as many numbers as a row at most.

        Raises:
            SettingError: no such model, or a setting that it does not know or cannot have.
            InputError: rows that cannot be read or trained on.
            NonFiniteLossError: the loss became NaN or infinite.
        """
        if not 0 < contamination < 1:
            raise SettingError(f"contamination={contamination}", expected="a share of the rows between 0 and 1")
        data, run = Vectors.read(vectors, columns=columns, drop=drop), run or Run()
        made = fit.fit(data, fit.Wanted(model, settings, scaling, validation), run)
        asked = made.asked
        normal = data.select(made.held_out) if len(made.held_out) else data
        scores = -torch.from_numpy(asked.log_likelihoods(normal))
        facts = {
            "rows": len(data),
            "validation_rows": len(made.held_out),
            "width": data.width,
            "seed": run.seed,
            "training": made.history.to_json(),
        }
        known = torch.from_numpy(asked.codes(data)).float() if index else None
        some = data.spread(fit.MOST_FITTED) if mixture else None
        return cls(
            made.adapter,
            made.model,
            asked,
            made.builder,
            made.settings,
            facts,
            Threshold.fit(scores, "quantile", contamination),
            None if some is None else fit.mixed(asked.codes(some), run),
            known,
        )

    @property
    def history(self) -> History:
        """The course of the training."""
        return History.from_json(dict(self.facts["training"]))

    @property
    def width(self) -> int:
        """Numbers of a row."""
        return self.adapter.scaling.width

    @cached_property
    def code(self) -> int:
        """Numbers of a code."""
        return int(self.asked.codes(Vectors(np.zeros((1, self.width)))).shape[1])

    def encode(self, vectors: Any) -> Float32[np.ndarray, "rows code"]:
        """One code for each row, in their order: the best single guess, the same at every call.

        Raises:
            InputError: no rows of numbers, or of another width.
            ColumnError: a table without a column that was trained on.
            ValueRangeError: NaN, infinity or a missing value.
        """
        return self.asked.codes(Vectors.read(vectors)).astype(np.float32)

    def decode(self, codes: Any) -> Float32[np.ndarray, "rows width"]:
        """Rows, in their own units, that the codes stand for.

        Raises:
            InputError: codes of another width.
            ValueRangeError: NaN or infinity.
        """
        wanted = Vectors.read(codes)
        if wanted.width != self.code:
            raise InputError(f"codes of {wanted.width} numbers", expected=f"{self.code}")
        return self.asked.decoded(wanted.dense().astype(np.float64)).astype(np.float32)

    def reconstruct(self, vectors: Any) -> Float32[np.ndarray, "rows width"]:
        """What is left of each row after the narrow place, in its own units. Raises what ``encode`` raises."""
        return self.asked.decoded(self.asked.codes(Vectors.read(vectors))).astype(np.float32)

    def sample(self, n: int, *, seed: int = 0, prior: str = "fitted") -> Float32[np.ndarray, "n width"]:
        """New rows, from codes drawn by chance; each is the best guess at its code, without noise of its own.

        Args:
            n: how many.
            prior: ``fitted`` draws codes from the mixture over the codes of the training rows; ``standard`` from the
                model's own prior, which deterministic models lack.

        Raises:
            SettingError: a prior that this model lacks, or fewer than one row.
        """
        if prior not in ("standard", "fitted"):
            raise SettingError(f"prior={prior!r}", expected="'standard' or 'fitted'")
        if prior == "fitted" and self.mixture is None:
            raise SettingError("prior='fitted' of a model without a mixture", expected="prior='standard'")
        generator = torch.Generator().manual_seed(seed)
        codes = drawn(self.model, n, generator, self.mixture if prior == "fitted" else None)
        return self.asked.decoded(codes.double().numpy()).astype(np.float32)

    def with_known(self, vectors: Any) -> VectorAutoencoder:
        """The same model with other rows to search in; this one does not change."""
        return replace(self, known=torch.from_numpy(self.encode(vectors)))

    def search(self, vectors: Any, k: int = 10, *, metric: str = "l2") -> Neighbours:
        """The ``k`` rows of those that were trained on (or ``with_known``) whose codes are nearest to each query's.

        Args:
            metric: "l2" scores by negative squared distance, "cosine" and "ip" by what they say.

        Raises:
            InputError: a model without rows to search in, or what ``encode`` raises.
            SettingError: ``k`` below 1, or an unknown metric.
        """
        if self.known is None:
            raise InputError("a model without rows to search in", remedy="give it some with with_known(rows)")
        check_metric(metric)
        asked = torch.from_numpy(self.encode(vectors))
        if metric not in self._searchers:
            self._searchers[metric] = searcher_over(self.known, cast(Metric, metric))
        return self._searchers[metric].search(asked, k)

    @cached_property
    def _searchers(self) -> dict[str, Searcher]:
        return {}

    def anomaly_scores(self, vectors: Any) -> Float64[np.ndarray, " rows"]:
        """−log p(row | its code), nats, on the scale of the model; higher is more anomalous. Raises what ``encode``
        raises."""
        scores: Float64[np.ndarray, " rows"] = -self.asked.log_likelihoods(Vectors.read(vectors))
        return scores

    def is_anomaly(self, vectors: Any) -> Bool[np.ndarray, " rows"]:
        """True for rows whose score is above ``threshold``. Raises what ``encode`` raises."""
        flags: Bool[np.ndarray, " rows"] = self.threshold.flags(torch.from_numpy(self.anomaly_scores(vectors))).numpy()
        return flags

    def evaluate(self, vectors: Any) -> Measured:
        """How much of rows that were held out gets through the narrow place. Raises what ``encode`` raises."""
        return measure(self.asked, Vectors.read(vectors), self.threshold)

    def save(self, path: str | Path) -> None:
        """Save as a bundle, whole or not at all. Raises what ``isthmus.bundle.bundle.write`` raises."""
        storage.write(path, self)

    @classmethod
    def load(cls, path: str | Path) -> VectorAutoencoder:
        """What was saved, on the CPU.

        Raises:
            BundleError: a directory that is truncated, altered, foreign or too new.
        """
        return cls(**storage.read(path))

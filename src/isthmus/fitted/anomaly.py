"""Anomaly scores of a trained model, calibrated so that a chosen share of normal records is flagged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from isthmus.core.autoencoder import Autoencoder
from isthmus.errors import BundleError
from isthmus.fitted.p_values import NormalScores
from isthmus.protocols import Source
from isthmus.reprs import brief
from isthmus.sources import even_rows
from isthmus.tasks.anomaly import Nearest, Ranks, surprise
from isthmus.tasks.coding import BATCH, codes_of
from isthmus.tasks.threshold import Threshold

PREFIX = "strangeness."
DOCUMENT = "strangeness.json"
THRESHOLD = "threshold.json"
NORMAL = "normal-scores.json"
"""Names in bundles, unchanged since version 0.1."""

TAIL = "normal-tail.json"
"""Not in bundles of earlier versions."""

NEIGHBOURS = 5
MOST_KNOWN = 20_000
"""Maximum number of training codes for distances; more would change little and enlarge the bundle."""

CONTAMINATION = 0.05
"""Default share of normal records above the threshold."""


NOTHING = NormalScores.of_quantiles(())
"""No scores of normal records are known."""


@runtime_checkable
class AnomalyScorer(Protocol):
    """Scores records, and knows the threshold of anomalies. A bundle contains its documents and tensors."""

    @property
    def threshold(self) -> Threshold:
        """Scores above it are anomalies."""
        ...

    @property
    def normal(self) -> NormalScores:
        """The scores of normal records, which make p-values of scores."""
        ...

    def scores(self, model: Autoencoder, source: Source) -> Float64[Tensor, " rows"]:
        """One score per record, nats; higher is more anomalous."""
        ...

    def documents(self) -> dict[str, str]:
        """The documents of the scorer in a bundle."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of the scorer in a bundle, by name."""
        ...


@brief
@dataclass(frozen=True, eq=False)
class CalibratedScorer:
    """Two scores, each calibrated on normal records: the reconstruction loss in nats, and the mean distance of the code
    from the five nearest known codes.

    Attributes:
        codes: codes of training records.
        ranks: both scores of the normal records.
        threshold: scores above it are anomalies.
        normal: the scores of those records; of no records in bundles of version 0.1.
    """

    codes: Float[Tensor, "known code"]
    ranks: Ranks
    threshold: Threshold
    normal: NormalScores = NOTHING

    @classmethod
    def fit(
        cls,
        model: Autoencoder,
        known: Float[Tensor, "rows code"],
        train: Source,
        held_out: Source | None,
        *,
        contamination: float = CONTAMINATION,
    ) -> CalibratedScorer:
        """Calibrate on held-out records or, without any, on the training records, whose codes are then compared with
        one another.

        Args:
            model: model in evaluation mode.
            known: codes of ``train``, at least two.
            train: the training records.
            held_out: records that the model was not trained on.
            contamination: expected share of normal records above the threshold.

        Returns:
            The calibrated scorer.

        Raises:
            InputError: a single training record and no held-out ones.
        """
        rows = even_rows(len(known), MOST_KNOWN)
        codes = known[rows].contiguous()
        nearest = Nearest.build(codes, NEIGHBOURS)
        if held_out is not None:
            own = _both(model, nearest, held_out)
        else:
            own = torch.stack([surprise(model, train, batch=BATCH)[rows], nearest.own()])
        ranks = Ranks.fit(own)
        scores = ranks.average(own)
        normal = NormalScores.of(scores, held_out=held_out is not None)
        return cls(codes, ranks, Threshold.fit(scores, contamination=contamination), normal)

    @cached_property
    def nearest(self) -> Nearest:
        """The search over the known codes, built on first use."""
        return Nearest.build(self.codes, NEIGHBOURS)

    def scores(self, model: Autoencoder, source: Source) -> Float64[Tensor, " rows"]:
        """The mean of −log of the share of normal records that score at least as high, over both scores: nats, higher
        is more anomalous."""
        return self.ranks.average(_both(model, self.nearest, source))

    def documents(self) -> dict[str, str]:
        """The documents of the scorer in a bundle."""
        return {DOCUMENT: json.dumps(self.threshold.to_json()), **_documents(self.normal)}

    def tensors(self) -> dict[str, Tensor]:
        """The tensors of the scorer in a bundle."""
        return {f"{PREFIX}codes": self.codes, f"{PREFIX}known": self.ranks.known.contiguous()}

    @classmethod
    def restore(cls, documents: Mapping[str, str], tensors: Mapping[str, Tensor]) -> CalibratedScorer | None:
        """The inverse of ``documents`` and ``tensors``; None if a bundle has no scorer.

        Raises:
            BundleError: invalid documents or tensors.
        """
        if DOCUMENT not in documents:
            return None
        codes, known = tensors.get(f"{PREFIX}codes"), tensors.get(f"{PREFIX}known")
        if codes is None or known is None or codes.ndim != 2 or codes.dtype != torch.float32:
            raise BundleError("a threshold without its codes", expected="both, as saved")
        return cls(
            codes,
            Ranks.from_tensors({"known": known}),
            Threshold.from_json(json.loads(documents[DOCUMENT])),
            _normal(documents),
        )


@brief
@dataclass(frozen=True, eq=False)
class LikelihoodScorer:
    """−log p(record | its code) alone, nats.

    Attributes:
        threshold: scores above it are anomalies.
        normal: the scores of normal records; of no records in bundles of version 0.1.
    """

    threshold: Threshold
    normal: NormalScores = NOTHING

    @classmethod
    def fit(
        cls, scores: Float[Tensor, " rows"], *, held_out: bool, contamination: float = CONTAMINATION
    ) -> LikelihoodScorer:
        """Calibrate on scores of normal records: the threshold is their quantile of 1 − ``contamination``. Raises the
        errors of ``Threshold.fit``.

        Args:
            scores: one for each record; higher is more anomalous.
            held_out: whether the model was not trained on these records.
            contamination: expected share of normal records above the threshold.
        """
        normal = NormalScores.of(scores, held_out=held_out)
        return cls(Threshold.fit(scores, "quantile", contamination), normal)

    def scores(self, model: Autoencoder, source: Source) -> Float64[Tensor, " rows"]:
        """Nats; higher is more anomalous."""
        return surprise(model, source, batch=BATCH)

    def documents(self) -> dict[str, str]:
        """The document of the threshold."""
        return {THRESHOLD: json.dumps(self.threshold.to_json()), **_documents(self.normal)}

    def tensors(self) -> dict[str, Tensor]:
        """No tensors; the threshold is a document."""
        return {}

    @classmethod
    def restore(cls, documents: Mapping[str, str], tensors: Mapping[str, Tensor]) -> LikelihoodScorer:
        """The inverse of ``documents``.

        Raises:
            BundleError: the document is missing or invalid.
        """
        if THRESHOLD not in documents:
            raise BundleError(f"a bundle without {THRESHOLD}", expected="the threshold of the anomaly scores")
        return cls(Threshold.from_json(json.loads(documents[THRESHOLD])), _normal(documents))


def _documents(normal: NormalScores) -> dict[str, str]:
    return {NORMAL: json.dumps(normal.quantiles), TAIL: json.dumps(normal.to_json())}


def _normal(documents: Mapping[str, str]) -> NormalScores:
    quantiles = tuple(map(float, json.loads(documents.get(NORMAL, "[]"))))
    return NormalScores.from_json(json.loads(documents[TAIL]) if TAIL in documents else None, quantiles)


def _both(model: Autoencoder, nearest: Nearest, source: Source) -> Float64[Tensor, "scorers rows"]:
    return torch.stack([surprise(model, source, batch=BATCH), nearest.scores(codes_of(model, source))])

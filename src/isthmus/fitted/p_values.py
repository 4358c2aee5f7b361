"""How often normal records score as high as a given one: conformal p-values of anomaly scores.

A score in nats ranks. The p-value is the share of normal records that score at least as high, the record itself counted
among them (Vovk, Gammerman & Shafer 2005, chapter 2): if new normal records are like those that were held out, no more
than a share a of them has a p-value of a or less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64
from torch import Tensor

from isthmus.errors import BundleError, InputError, ValueRangeError
from isthmus.fitted.quality import score_quantiles
from isthmus.reprs import brief

LARGEST = 512
"""Number of the largest scores that are kept one by one, so that small p-values are exact."""


@brief
@dataclass(frozen=True)
class NormalScores:
    """The anomaly scores of normal records, in short.

    Attributes:
        rows: number of records.
        quantiles: evenly spaced quantiles of their scores, ascending, or all scores of few records.
        largest: the largest of their scores, ascending.
        held_out: whether the model was not trained on them; None if a bundle of an earlier version does not say so.
    """

    rows: int
    quantiles: tuple[float, ...]
    largest: tuple[float, ...]
    held_out: bool | None = None

    @classmethod
    def of(cls, scores: Tensor, *, held_out: bool) -> NormalScores:
        """Keep the scores of normal records.

        Args:
            scores: one for each record; higher is more anomalous.
            held_out: whether the model was not trained on these records.
        """
        ordered = scores.detach().cpu().double().sort().values
        quantiles = tuple(score_quantiles(scores))
        return cls(len(ordered), quantiles, tuple(ordered[-LARGEST:].tolist()), held_out)

    @classmethod
    def of_quantiles(cls, quantiles: tuple[float, ...]) -> NormalScores:
        """Scores from a bundle of an earlier version, where each quantile stands for one record."""
        return cls(len(quantiles), quantiles, quantiles)

    def p_values(self, scores: Any) -> Float64[np.ndarray, " records"]:
        """The share of normal records that score at least as high, the record itself counted among them.

        Args:
            scores: anomaly scores, one for each record.

        Returns:
            From 1 / (rows + 1) to 1; lower is more anomalous. The ``LARGEST`` highest scores of normal records are
            counted one by one, lower ones by quantiles.

        Raises:
            InputError: no scores of normal records are known, or other than one number for each record.
            ValueRangeError: a score is NaN.
        """
        asked = checked_scores(scores)
        if not self.rows:
            raise InputError(
                "no scores of normal records: the bundle was saved by version 0.1", remedy="fit the model again"
            )
        largest, quantiles = np.array(self.largest), np.array(self.quantiles)
        above = len(largest) - np.searchsorted(largest, asked, side="left")
        share = 1 - np.searchsorted(quantiles, asked, side="left") / len(quantiles)
        inside = (above == len(largest)) & (self.rows > len(largest))
        count = np.where(inside, np.maximum(above, share * self.rows), above)
        found: Float64[np.ndarray, " records"] = (1 + count) / (self.rows + 1)
        return found

    def to_json(self) -> dict[str, Any]:
        """The values that a bundle stores in addition to the quantiles."""
        return {"rows": self.rows, "largest": list(self.largest), "held_out": self.held_out}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any] | None, quantiles: tuple[float, ...]) -> NormalScores:
        """The inverse of ``to_json``; ``of_quantiles`` if nothing was saved.

        Raises:
            BundleError: invalid values.
        """
        if saved is None:
            return cls.of_quantiles(quantiles)
        rows, largest, held_out = saved.get("rows"), saved.get("largest"), saved.get("held_out")
        numbers = isinstance(largest, list) and all(isinstance(one, int | float) for one in largest)
        if not isinstance(rows, int) or not numbers or not isinstance(held_out, bool | None):
            raise BundleError("scores of normal records that cannot be read", expected="rows, largest and held_out")
        assert isinstance(largest, list)
        if rows < len(largest) or bool(rows) != bool(largest and quantiles) or largest != sorted(largest):
            raise BundleError(f"{len(largest)} largest scores of {rows}", expected="at most as many, ascending")
        return cls(rows, quantiles, tuple(map(float, largest)), held_out)


def checked_scores(scores: Any) -> npt.NDArray[np.float64]:
    """Convert scores to an array with one number for each record.

    Raises:
        InputError: not scores, for example the records themselves.
        ValueRangeError: a score is NaN.
    """
    try:
        found = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.empty((0, 0))
    if found.ndim != 1:
        raise InputError(
            f"a {type(scores).__name__} that is not one number for each record",
            expected="anomaly scores",
            remedy="pass what anomaly_scores(records) returns",
        )
    if np.isnan(found).any():
        raise ValueRangeError("a score is NaN", expected="the scores of anomaly_scores")
    return found

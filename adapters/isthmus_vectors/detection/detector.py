"""The face: a detector of anomalies in tables whose settings need no labels.

detector = Detector.fit("normal.csv", share=0.01)
detector.anomaly_scores("new.csv"), detector.anomalies("new.csv")
detector.save("detector.bundle")
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from isthmus.batch import Vector
from isthmus.errors import InputError, SettingError
from isthmus.models.recipes.checks import check_choice, check_settings
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.models.recipes.settings import built, checked
from isthmus.sources import even_rows
from isthmus.tasks.anomaly import Ranks
from isthmus.tasks.threshold import Threshold, check_rule
from isthmus.training.run import Run
from isthmus_vectors.adapter import VectorAdapter
from isthmus_vectors.detection import storage
from isthmus_vectors.detection.ensemble import masked_ensemble
from isthmus_vectors.detection.masking import LeftOut, dealt
from isthmus_vectors.detection.scoring import Scorers
from isthmus_vectors.vectors import Vectors

FEWEST = 16
"""Rows to learn from."""

STEPS = 600
"""Steps of training, whatever the number of rows."""

BATCH = 128

PASSES = 8
"""Masks: so many parts of a row are hidden one after the other."""

NEIGHBOURS = 5

SCALINGS = ("standard", "robust")

LEAST = 1e-12

KNOWN = 50_000
"""Rows that distances are taken to, at most; evenly spaced ones."""


@final
@dataclass(frozen=True, eq=False)
class Detector:
    """Made by ``fit`` or ``load``; immutable. Several detectors of different seeds can be averaged by the caller.

    Attributes:
        adapter: names of the columns, and robust scales where they were asked for.
        centre, spread: means and standard deviations of the columns, which are brought to 0 and 1.
        scorers: the ensemble and the known rows.
        ranks: what the known rows scored, each judged by others.
        threshold: of the averaged ranks.
        settings: keywords of the ensemble.
        facts: the course of the training.
    """

    adapter: VectorAdapter
    centre: Float64[Tensor, " width"]
    spread: Float64[Tensor, " width"]
    scorers: Scorers
    ranks: Ranks
    threshold: Threshold
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]

    @classmethod
    def fit(
        cls,
        vectors: Any,
        *,
        share: float = 0.05,
        method: str = "quantile",
        scaling: str = "standard",
        run: Run | None = None,
        **settings: Any,
    ) -> Detector:
        """Learn what is normal; all rows are taken as such.

        Args:
            vectors: dense rows of whatever ``Vectors.read`` takes.
            share: of normal rows that may count as anomalies.
            method: of the threshold, see ``Threshold.fit``.
            scaling: ``standard``: columns of mean 0 and deviation 1; ``robust``: of median 0 and equal quartiles, wild
                numbers pressed, before that, where anomalies may be among the rows.
            run: device, seed and progress of the training.
            settings: keywords of ``masked_ensemble``; without ``epochs`` they follow from the number of rows.

        Raises:
            InputError: sparse rows, or fewer than 16.
            SettingError: a setting unknown or outside its range, or fewer than 2 members.
            ValueRangeError: numbers that are not finite.
        """
        records, run = _dense(Vectors.read(vectors)), run or Run(device="cpu", precision="fp32")
        if len(records) < FEWEST:
            raise InputError(f"{len(records)} rows to learn from", expected=f"at least {FEWEST}")
        check_rule(method, share)
        check_choice("scaling", scaling, SCALINGS)
        keywords = _keywords(len(records), settings)
        adapter = VectorAdapter.fit(records, "robust" if scaling == "robust" else "none")
        scaled = adapter.exactly(records).values  # type: ignore[union-attr]
        spread, centre = torch.std_mean(scaled, 0, correction=0)
        # A spread of rounding errors is no spread.
        spread = torch.where(spread > LEAST * centre.abs(), spread, 1.0)
        values = (scaled - centre) / spread
        recipe = built("masked_ensemble", masked_ensemble, Vector(values.shape[1]), run, keywords)
        assert isinstance(recipe, GradientRecipe)
        members = keywords["members"]
        kept = dealt(len(values), members, max(1, members // 4), generator=run.generator(stream=3))
        history = recipe.fit(LeftOut(values.float(), kept), run)
        model = recipe.model.cpu().double().eval()
        rows = even_rows(len(values), KNOWN)
        known, kept = values[rows], kept[rows]
        scorers = Scorers.fit(model, known, PASSES, NEIGHBOURS, generator=run.generator(stream=4))
        own = scorers.own(kept)
        ranks = Ranks.fit(own)
        threshold = Threshold.fit(ranks.average(own), method, share)
        return cls(adapter, centre, spread, scorers, ranks, threshold, keywords, {"training": history.to_json()})

    def anomaly_scores(self, vectors: Any) -> Float64[np.ndarray, " rows"]:
        """The mean over scorers of −log of the share of known rows that are as strange, nats; higher is stranger. A
        row's score does not depend on the rows beside it.

        Raises:
            InputError: sparse rows, or rows of another width.
            ColumnError: a column that the rows lack.
            ValueRangeError: numbers that are not finite.
        """
        scores: Float64[np.ndarray, " rows"] = self.ranks.average(self.scorers.scores(self._values(vectors))).numpy()
        return scores

    def score_samples(self, vectors: Any) -> Float64[np.ndarray, " rows"]:
        """−``anomaly_scores``: higher is more normal, as in scikit-learn. Raises what ``anomaly_scores`` raises."""
        return -self.anomaly_scores(vectors)

    def anomalies(self, vectors: Any) -> Bool[np.ndarray, " rows"]:
        """True for rows whose score is above ``threshold``. Raises what ``anomaly_scores`` raises."""
        return self.anomaly_scores(vectors) > self.threshold.value

    def predict(self, vectors: Any) -> Int64[np.ndarray, " rows"]:
        """−1 for anomalies and 1 for the rest, as in scikit-learn. Raises what ``anomaly_scores`` raises."""
        return np.where(self.anomalies(vectors), -1, 1)

    def explain(self, vectors: Any) -> Float64[np.ndarray, "rows width"]:
        """Nats of each number when it is guessed from the rest of its row, averaged over members: which columns make a
        row strange. Raises what ``anomaly_scores`` raises."""
        nats: Float64[np.ndarray, "rows width"] = self.scorers.columns(self._values(vectors)).numpy()
        return nats

    def save(self, path: str | Path) -> None:
        """Save as a bundle, whole or not at all; the known rows are in it. Raises what ``bundle.write`` raises."""
        storage.write(path, self)

    @classmethod
    def load(cls, path: str | Path) -> Detector:
        """What was saved.

        Raises:
            BundleError: a directory that is truncated, altered, foreign or too new.
        """
        return cls(**storage.read(path))

    def _values(self, vectors: Any) -> Float64[Tensor, "rows width"]:
        values: Tensor = self.adapter.exactly(_dense(Vectors.read(vectors))).values  # type: ignore[union-attr]
        return (values - self.centre) / self.spread


def _keywords(rows: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    batch = settings.get("batch_size", BATCH)
    check_settings(batch_size=batch)
    epochs = math.ceil(STEPS / math.ceil(rows / batch))
    keywords = checked("masked_ensemble", masked_ensemble, {"epochs": epochs, **settings})
    if keywords["members"] < 2:
        raise SettingError(f"members={keywords['members']}", expected="2 or more: rows are judged by those left out")
    return keywords


def _dense(vectors: Vectors) -> Vectors:
    if vectors.is_sparse:
        raise InputError("sparse rows", expected="dense ones", remedy="use VectorAutoencoder for sparse rows")
    return vectors

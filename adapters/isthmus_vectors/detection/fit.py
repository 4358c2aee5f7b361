"""Fits a detector to rows that are assumed to be normal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from isthmus.batch import Vector
from isthmus.core.autoencoder import Autoencoder
from isthmus.errors import InputError, SettingError
from isthmus.fitted import quality
from isthmus.fitted.p_values import NormalScores
from isthmus.models.recipes.checks import check_choice, check_settings
from isthmus.models.recipes.recipe import GradientRecipe
from isthmus.models.recipes.settings import built, checked
from isthmus.reprs import counted, described
from isthmus.sources import even_rows
from isthmus.tasks.anomaly import Ranks
from isthmus.tasks.threshold import Threshold, check_rule
from isthmus.training.interrupts import interruptible, warn_of_interruption
from isthmus.training.progress import doing
from isthmus.training.run import Run
from isthmus_vectors.adapter import VectorAdapter
from isthmus_vectors.detection.ensemble import masked_ensemble
from isthmus_vectors.detection.masking import LeaveMembersOutSource, assign_folds
from isthmus_vectors.detection.scoring import Scorers
from isthmus_vectors.vectors import Vectors

FEWEST = 16
"""Minimum number of training rows."""

STEPS = 600
"""Number of training steps, for any number of rows."""

BATCH = 128

PASSES = 8
"""Masks: the number of parts of a row that are hidden one after the other."""

NEIGHBOURS = 5

SCALINGS = ("standard", "robust")

LEAST = 1e-12

KNOWN = 50_000
"""Maximum number of known rows for distances, evenly spaced."""

KNOWN_IN_A_HURRY = 2_000
"""The same, after Ctrl-C."""


@dataclass(frozen=True, eq=False, repr=False)
class FittedDetector:
    """The state of a detector, which ``fit`` returns and a bundle contains.

    Attributes:
        adapter: names of the columns, and robust scales if requested.
        centre, spread: means and standard deviations of the columns, which are scaled to 0 and 1.
        scorers: the ensemble and the known rows.
        ranks: the scores of the known rows, each computed without that row.
        threshold: threshold of the averaged ranks.
        settings: keywords of the ensemble.
        facts: the history of the training.
    """

    adapter: VectorAdapter
    centre: Float64[Tensor, " width"]
    spread: Float64[Tensor, " width"]
    scorers: Scorers
    ranks: Ranks
    threshold: Threshold
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]

    def __repr__(self) -> str:
        return described(self, self.summary())

    def summary(self) -> str:
        """The columns, the known rows and the threshold, in one line."""
        columns = f"{counted(len(self.centre), 'column')}, {counted(self.ranks.known.shape[1], 'known row')}"
        return f"{columns}, anomalies score above {self.threshold.value:.4g}"

    def values(self, records: Vectors) -> Float64[Tensor, "rows width"]:
        """Rows with each column scaled to mean 0 and standard deviation 1."""
        return (_exact(self.adapter, records) - self.centre) / self.spread


def fit(
    records: Vectors, contamination: float, method: str, scaling: str, run: Run, settings: Mapping[str, Any]
) -> FittedDetector:
    """Train the ensemble and calibrate the threshold. Raises the errors of ``Detector.fit``.

    Args:
        records: dense rows that are assumed to be normal.
        contamination: share of them that may be flagged as anomalies.
        method: method of the threshold.
        scaling: scaling of the columns, one of ``SCALINGS``.
        run: device, seed and progress.
        settings: keywords of ``masked_ensemble``.
    """
    check_dense(records)
    if len(records) < FEWEST:
        raise InputError(f"{counted(len(records), 'row')} to train on", expected=f"at least {FEWEST}")
    check_rule(method, contamination)
    check_choice("scaling", scaling, SCALINGS)
    keywords = _keywords(len(records), settings)
    adapter = VectorAdapter.fit(records, "robust" if scaling == "robust" else "none")
    values, centre, spread = _standardised(_exact(adapter, records))
    recipe = built("masked_ensemble", masked_ensemble, Vector(values.shape[1]), run, keywords)
    assert isinstance(recipe, GradientRecipe)
    members = keywords["members"]
    kept = assign_folds(len(values), members, max(1, members // 4), generator=run.generator(stream=3))
    with interruptible() as stop:
        history = recipe.fit(LeaveMembersOutSource(values.float(), kept), run)
        model = recipe.model.cpu().double().eval()
        known = _Known(model, values, kept, run)
        found: list[_Scored] = []
        with stop.telling(lambda: "keeping the trained ensemble, with fewer known rows"):
            stop.optional(lambda: found.append(known.scored(KNOWN)))
        # Without any known row there is no detector.
        scored = found[0] if found else known.scored(KNOWN_IN_A_HURRY)
        threshold = Threshold.fit(scored.averages, method, contamination)
        if stop.requested:
            history.interrupted = True
            warn_of_interruption(history, [])
    # Each row is scored by the members that did not see it.
    normal = NormalScores.of(scored.averages, held_out=True)
    facts = {
        "training": history.to_json(),
        "normal_scores": list(normal.quantiles),
        "normal_tail": normal.to_json(),
        "warnings": quality.warn([_alike(scored.distances)]),
    }
    return FittedDetector(adapter, centre, spread, scored.scorers, scored.ranks, threshold, keywords, facts)


def _alike(distances: Float64[Tensor, " rows"]) -> str | None:
    if float(distances.max()) > LEAST:
        return None
    return (
        f"all {len(distances):,} rows are the same, so that their anomaly scores tell nothing apart; give columns that "
        "vary, and rows that differ"
    )


class _Scored(NamedTuple):
    """The scorers over the known rows, the ranks of these rows, their averages, and their distances from each other."""

    scorers: Scorers
    ranks: Ranks
    averages: Float64[Tensor, " rows"]
    distances: Float64[Tensor, " rows"]


@dataclass(frozen=True)
class _Known:
    """The trained ensemble and the rows that new ones are compared with."""

    model: Autoencoder
    values: Float64[Tensor, "rows width"]
    kept: Tensor
    run: Run

    def scored(self, most: int) -> _Scored:
        """Scorers and ranks over at most this many rows."""
        rows = even_rows(len(self.values), most)
        with doing(self.run.progress, f"comparing {len(rows):,} rows"):
            scorers = Scorers.fit(
                self.model, self.values[rows], PASSES, NEIGHBOURS, generator=self.run.generator(stream=4)
            )
            own = scorers.known_scores(self.kept[rows])
            ranks = Ranks.fit(own)
            return _Scored(scorers, ranks, ranks.average(own), own[1])


def check_dense(records: Vectors) -> None:
    """Check that rows are dense.

    Raises:
        InputError: sparse rows.
    """
    if records.is_sparse:
        raise InputError("sparse rows", expected="dense ones", remedy="use VectorAutoencoder for sparse rows")


def _exact(adapter: VectorAdapter, records: Vectors) -> Float64[Tensor, "rows width"]:
    check_dense(records)
    values: Tensor = adapter.prepare_float64(records).values  # type: ignore[union-attr]
    return values


def _standardised(
    scaled: Float64[Tensor, "rows width"],
) -> tuple[Float64[Tensor, "rows width"], Float64[Tensor, " width"], Float64[Tensor, " width"]]:
    """The rows with columns scaled to mean 0 and standard deviation 1, and these means and deviations."""
    spread, centre = torch.std_mean(scaled, 0, correction=0)
    # Deviations of the size of rounding errors count as zero.
    spread = torch.where(spread > LEAST * centre.abs(), spread, 1.0)
    return (scaled - centre) / spread, centre, spread


def _keywords(rows: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    batch = settings.get("batch_size", BATCH)
    check_settings(batch_size=batch)
    epochs = math.ceil(STEPS / math.ceil(rows / batch))
    keywords = checked("masked_ensemble", masked_ensemble, {"epochs": epochs, **settings})
    if keywords["members"] < 2:
        raise SettingError(
            f"members={keywords['members']}", expected="2 or more: rows are scored by members that did not see them"
        )
    return keywords

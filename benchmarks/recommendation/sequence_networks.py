"""Networks of ``sequences``: trained once, kept in a folder where one is named, and blended as they are."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.recommendation.sequence_data import Case, some
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.rankers import Blend
from isthmus.metrics.codes import active_units
from isthmus.models.blend import weigh
from isthmus.tasks.coding import codes_of
from isthmus.training.run import Run
from isthmus_interactions.fit import validation_score
from isthmus_interactions.fitted import FittedRecommender
from isthmus_interactions.order.folds import training_source
from isthmus_interactions.recommender import Recommender
from isthmus_interactions.sequences import SequenceSource

NETWORKS = ("sequence-recommender",)
"""Models that choose their best epoch on validation items. They are not fitted again for the test: that would take as
long once more."""

WATCHED = 4_000
"""Most users on whom an epoch or the weights of a blend are chosen."""


@dataclass(frozen=True)
class Trained:
    """The networks of a run.

    Attributes:
        folder: where they are kept, and found by the next run; None keeps them in memory only.
        made: by data set and settings, with the processor's seconds of their training.
    """

    folder: Path | None = None
    made: dict[str, tuple[Recommender, float | None]] = field(default_factory=dict)

    def get(self, data: str, case: Case, model: str, settings: Mapping[str, Any]) -> tuple[Recommender, float | None]:
        """Train it, go on with its training, or find it.

        Args:
            data: name of the data set.
            case: its parts; the validation chooses the epoch.
            model: name of a builder.
            settings: keywords of the builder.

        Returns:
            The recommender, and the seconds of the processor; None where it was trained by an earlier run.
        """
        name = f"{data}-{hashlib.sha256(json.dumps([model, settings], sort_keys=True).encode()).hexdigest()[:12]}"
        if name not in self.made:
            self.made[name] = self._found(name) or self._trained(name, case, model, settings)
        return self.made[name]

    def _found(self, name: str) -> tuple[Recommender, float | None] | None:
        path = None if self.folder is None else self.folder / f"{name}.isthmus"
        return (Recommender.load(path), None) if path is not None and path.exists() else None

    def _trained(self, name: str, case: Case, model: str, settings: Mapping[str, Any]) -> tuple[Recommender, float]:
        run = Run(device="cpu")
        if self.folder is not None:
            run = replace(run, checkpoints=self.folder / f"{name}-checkpoints", every=1, resume=True)
        started = time.process_time()
        fold = some(case.validation, WATCHED)
        made = Recommender.fit(case.train, model, validation=fold, metric=case.metrics[-1], run=run, **settings)
        spent = time.process_time() - started
        if self.folder is not None:
            made.save(self.folder / f"{name}.isthmus")
        return made, spent


def blended(case: Case, parts: Mapping[str, Recommender]) -> Recommender:
    """A blend of recommenders as they are; the validation chooses the weights.

    Args:
        case: data on which the parts were trained.
        parts: by label.
    """
    model = Blend([part.model for part in parts.values()])
    validation = validation_score(some(case.validation, WATCHED), case.metrics[-1])
    weigh(model, list(parts), training_source(case.train, model), validation, 1)
    settings = {"parts": [{"model": part.builder, "settings": dict(part.settings)} for part in parts.values()]}
    facts = next(iter(parts.values())).facts
    return Recommender(FittedRecommender.of(case.train, model, "blend", settings, facts))


def active(found: Recommender, case: Case) -> int | None:
    """Dimensions of the codes of the test's histories whose variance is above 0.01; None for other models than causal
    ones whose states are codes."""
    model, order = found.model, case.test.ordered
    if not found.settings.get("variational"):
        return None
    assert isinstance(model, Autoencoder)
    assert order is not None
    return active_units(codes_of(model, SequenceSource.of(order, model.signal.length)).flatten(1))

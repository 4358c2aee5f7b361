"""One candidate of ``auto``: a fitted model, its score, and the estimated time of a fit on all users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.protocols import Recipe
from isthmus.training.history import ERROR, History
from isthmus_interactions.auto.judge import Values
from isthmus_interactions.everybody.train import seconds_again


@dataclass(frozen=True, eq=False)
class Candidate:
    """One candidate.

    Attributes:
        name: name of the builder, as in Python.
        settings: all its keywords.
        recipe: its fitted model and how to fit it again; dropped when a better candidate of that name is found.
        history: history of its training.
        score: score on the held-out users, higher is better; None if it failed or had no score within the time limit.
        seconds: time for fitting and scoring.
        why: reason of a failure, or why it cannot win.
        values: the metric of each held-out user; None if it is not known.
        refused: whether it cannot win although it has a score.
    """

    name: str
    settings: Mapping[str, Any]
    recipe: Recipe | None
    history: History
    score: float | None
    seconds: float
    why: str = ""
    values: Values | None = None
    refused: bool = False

    @property
    def again(self) -> float:
        """Estimated seconds of a fit on all users."""
        return 0.0 if self.recipe is None else seconds_again(self.recipe, self.history)

    def line(self, metric: str) -> dict[str, Any]:
        """Its line in ``facts["tried"]``."""
        ended = "out of time" if self.history.out_of_time else "interrupted" if self.history.interrupted else ""
        last = self.history.records[-1] if self.history.records else {}
        best = next((one for one in self.history.records if one["epoch"] == self.history.best_epoch), last)
        extra = {key: value for key, value in last.items() if str(key).startswith("share of ")}
        return {
            "model": self.name,
            "settings": dict(self.settings),
            metric: self.score,
            "standard_error": best.get(f"{metric}{ERROR}"),
            "seconds": round(self.seconds, 2),
            "epochs": len(self.history.records),
            "note": self.why or ended,
            **extra,
        }

"""What a builder yields when its model is trained by the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from isthmus.core.autoencoder import Autoencoder
from isthmus.protocols import Source
from isthmus.training.history import History
from isthmus.training.plan import Plan
from isthmus.training.run import Run, Validation
from isthmus.training.trainer import train


@dataclass(frozen=True)
class Trained:
    """An autoencoder and the plan that trains it.

    Attributes:
        learns: what has to be known of the source before training, such as how often each item occurs.
    """

    model: Autoencoder
    plan: Plan
    learns: Callable[[Source], None] | None = None

    @property
    def chooses_epoch(self) -> bool:
        """It does."""
        return True

    def fit(self, source: Source, run: Run, validation: Validation | None = None) -> History:
        """Train ``model`` in place; see ``isthmus.training.trainer.train``."""
        if self.learns is not None:
            self.learns(source)
        return train(self.model, source, self.plan, run, validation)

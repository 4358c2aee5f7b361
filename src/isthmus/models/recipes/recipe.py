"""Recipes of models that are trained by gradient descent, and of those that are fitted in one step."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from scipy.sparse import csr_array
from torch import nn

from isthmus.core.autoencoder import Autoencoder
from isthmus.core.placement import cut_tables
from isthmus.errors import SettingError
from isthmus.machine.devices import check_able, moved
from isthmus.models.parts.item_tables import ItemTables
from isthmus.protocols import Source
from isthmus.reprs import brief
from isthmus.training.determinism import deterministic
from isthmus.training.history import History
from isthmus.training.interrupts import interruptible
from isthmus.training.plan import Plan
from isthmus.training.progress import Record, doing
from isthmus.training.run import Run, Validation
from isthmus.training.trainer import train


@brief
@dataclass(frozen=True)
class GradientRecipe:
    """An autoencoder and the plan that trains it.

    Attributes:
        model: the autoencoder.
        plan: phases, batches and optimiser.
        before_training: computes what must be known about the source before training, such as item frequencies.
        after_training: measures statistics on the source afterwards, with the weights that are kept.
        reads: what the model is trained on, made of the source; None for the source itself.
        tables: the tables that features of items may add to; None for none.
        features: features of the items, shape (features, items), if they are to count.
        by_rows: whether the model can be trained with its item tables cut by rows over several processes: all that
            reads them asks their ``Rows`` (``isthmus.core.placement``).
        by_batches: whether the model can be trained with its batches split over several processes: what encoder,
            decoder and likelihood compute for a row does not depend on the other rows of the batch, or they ask for
            their share (``isthmus.core.shares``).
    """

    model: Autoencoder
    plan: Plan
    before_training: Callable[[Source], None] | None = None
    after_training: Callable[[Source], None] | None = None
    reads: Callable[[Source], Source] | None = None
    tables: ItemTables | None = None
    features: csr_array | None = None
    by_rows: bool = False
    by_batches: bool = True

    @property
    def chooses_epoch(self) -> bool:
        """Whether the epoch with the best validation score is kept. It is."""
        return True

    def fit(self, source: Source, run: Run, validation: Validation | None = None) -> History:
        """Train ``model`` in place; see ``isthmus.training.trainer.train``.

        Args:
            source: the data to train on.
            run: device, seed, precision, progress, checkpoints.
            validation: a score that chooses the best epoch; higher is better.

        Returns:
            The history, one record for each epoch.

        Raises:
            SettingError: the device lacks what the model needs, or with ``deterministic`` an operation has no fixed
                order there; or several processes are to train the model, and cannot.
        """
        check_shard(run, rows=bool(cut_tables(self.model)), batches=self.by_batches)
        source = source if self.reads is None else self.reads(source)
        wide = any(buffer.dtype == torch.float64 for buffer in self.model.buffers())
        check_able(run.torch_device(), "this model", float64=wide, sparse=self.plan.rowwise)
        with deterministic(run.deterministic), interruptible() as stop:
            if self.before_training is not None:
                with stop.at_once(), doing(run.progress, "looking at the data"):
                    self.before_training(source)
            with self._features_in_tables():
                history = train(self.model, source, self.plan, run, validation)
            after = self.after_training
            if after is not None:
                with doing(run.progress, "measuring the finished network"):
                    stop.attempt(lambda: after(source))
            history.interrupted = stop.requested
        return history

    def _features_in_tables(self) -> AbstractContextManager[None]:
        return nullcontext() if self.tables is None else self.tables.with_features(self.features)


def check_shard(run: Run, *, rows: bool, batches: bool) -> None:
    """Refuse to train as a whole what was to be trained in parts.

    Args:
        run: says whether several processes train together, and how.
        rows: whether the item tables of the model are cut by rows, or can be.
        batches: whether batches of the model can be split.

    Raises:
        SettingError: several processes should train it, and cannot.
    """
    if run.shard == "rows" and not rows:
        expected = "a network over items: mult-dae, mult-vae, rec-vae, elsa or sequence-recommender"
    elif (run.shard == "batches" or run.groups > 1) and not batches:
        expected = "a network that treats the rows of a batch one by one"
    else:
        return
    raise SettingError(
        f"shard={run.shard!r} for this model",
        expected=expected,
        remedy="leave shard away to train it in one process",
        option="leave --shards away to train it in one process",
    )


def fit_in_one_step(
    model: nn.Module, phase: str, rows: int, run: Run, validation: Validation | None, work: Callable[[], Record]
) -> History:
    """Fit a model that is solved or counted: one epoch, with its progress, score and time.

    Ctrl-C and SIGTERM raise an exception before the model is solved; afterwards, only the score is skipped.

    Args:
        phase: name of the epoch.
        rows: total for the progress.
        work: fills the model and may return further values for the record; then the model is moved to the run's
            device, or stays on the CPU if it does not fit there.
    """
    check_shard(run, rows=False, batches=False)
    started, device, metric = time.perf_counter(), run.torch_device(), validation.name if validation else None
    run.progress.start(1, rows, metric)
    try:
        record: dict[str, float | int | str] = {"epoch": 1, "phase": phase}
        with interruptible() as stop:
            with stop.at_once(), deterministic(run.deterministic):
                record |= work()
            moved(model.eval(), device)
            if validation:
                with stop.telling(lambda: "keeping the model without its score"):
                    stop.optional(lambda: record.update(validation.numbers(model)))
            interrupted = stop.requested
        record["seconds"] = time.perf_counter() - started
        history = History(metric=metric, interrupted=interrupted)
        history.take(record)
        run.progress.epoch(record)
    finally:
        run.progress.stop()
    return history

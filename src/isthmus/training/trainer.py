"""One training loop for all autoencoders. It handles sources, batches and steps, but no domains, files, metrics or
printing. The placement (``isthmus.core.placement``) determines whether other processes take part."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from isthmus.batch import Batch
from isthmus.core.autoencoder import Autoencoder
from isthmus.core.placement import current
from isthmus.disk import private_folder
from isthmus.errors import BudgetError, InputError, NonFiniteLossError
from isthmus.machine.devices import sent
from isthmus.protocols import PartName, Phase, Source
from isthmus.training.best_weights import BestWeights
from isthmus.training.checkpoint import CheckpointStore, Store, TrainingState
from isthmus.training.history import History
from isthmus.training.interrupts import StopRequest, interruptible
from isthmus.training.plan import Plan
from isthmus.training.process import denormals_as_zero, keep_freed_memory
from isthmus.training.run import Run, Validation
from isthmus.training.steps.averaging import WeightAverage
from isthmus.training.steps.graphs import Prepared, graphed
from isthmus.training.steps.step import Pace, Stepper, Terms, optimizer_of

logger = logging.getLogger(__name__)

FEWEST_STEPS = 50
"""Minimum number of steps after which an epoch that is ended by a signal counts. With a time limit, an epoch counts
after one step."""

LOOK_EVERY = 50
"""Number of steps between checks of the loss on an accelerator, which make the host wait for the device. On a CPU the
loss is checked in every step."""


def train(
    model: Autoencoder, source: Source, plan: Plan, run: Run | None = None, validation: Validation | None = None
) -> History:
    """Train a model in place. Afterwards it has the weights with the best validation score, or without validation the
    last weights.

    Ctrl-C and SIGTERM end the training, not the program: the best weights so far are kept and the history says so; see
    ``isthmus.training.interrupts``. The epoch that is ended by a signal or the time limit is scored like the others, so
    that what was learned in it is not lost.

    Args:
        model: moved to the device of the run; in evaluation mode afterwards.
        source: training data.
        plan: phases, batches, optimiser.
        run: device, seed, precision, progress, checkpoints; by default ``Run()``.
        validation: a score that chooses the best epoch; higher is better.

    Returns:
        One record for each epoch, and the number of the best one.

    Raises:
        NonFiniteLossError: the loss became NaN or infinite; the model has the best weights so far, if any.
        BudgetError: the device has too little memory; the model has the best weights so far, if any.
        InputError: a source without rows.
    """
    if len(source) == 0:
        raise InputError("a source without rows", expected="at least one row to train on")
    run = run or Run()
    with _store(run, model) as store:
        return _Training(model, source, plan, run, validation, store).go()


@dataclass
class _Pass:
    """The part of an epoch that was done: sums of the loss and its terms over the rows that were seen."""

    epoch: int
    phase: Phase
    started: float = field(default_factory=lambda: time.perf_counter())
    sums: dict[tuple[str, ...], Tensor] = field(default_factory=dict)
    rows: int = 0
    steps: int = 0
    shown: int = 0
    known: tuple[int, dict[str, float]] = (0, {})

    def add(self, terms: Terms, rows: int) -> None:
        sums = terms.values * rows
        self.sums[terms.names] = sums + self.sums[terms.names] if terms.names in self.sums else sums
        self.rows, self.steps = self.rows + rows, self.steps + 1

    def means(self) -> dict[str, float]:
        """The means of the loss and its terms; waits for the device once."""
        if self.known[0] != self.rows:
            names = [name for names in self.sums for name in names]
            found: dict[str, float] = dict.fromkeys(names, 0.0)
            for name, value in zip(names, torch.cat(list(self.sums.values())).tolist(), strict=True):
                found[name] += value / self.rows
            self.known = self.rows, found
        return self.known[1]

    def mean_loss(self) -> float:
        """The mean of the loss, which is faster than all means if there is no device to wait for."""
        return sum(float(values[0]) for values in self.sums.values()) / self.rows


class _Training:
    def __init__(
        self,
        model: Autoencoder,
        source: Source,
        plan: Plan,
        run: Run,
        validation: Validation | None,
        store: Store,
    ) -> None:
        self.placement = current()
        self.device = run.torch_device()
        self.model, self.source = model.to(self.device), source.to(self.device)
        self.lengths = source.lengths.cpu()
        self.plan, self.run, self.validation, self.store = plan, run, validation, store
        self.order, self.noise = run.generator("cpu", 1), run.generator(self.device, 2)
        self.optimizer = optimizer_of(model, plan)
        self.state = TrainingState(
            f"{plan.described()}, {len(source)} rows, seed {run.seed}",
            model,
            self.optimizer,
            {"order": self.order, "noise": self.noise},
        )
        self.pace = 1 if self.device.type == "cpu" else LOOK_EVERY
        self.best = BestWeights(store)
        self.average = WeightAverage(self.optimizer, plan.average)
        self.stepper = Stepper(model, plan, run, self.optimizer, self.noise, lambda phase: self._act("step", phase))
        self.graphs = graphed(self.stepper, self.source, self.device)
        self.history = History()
        self.seen = 0
        self.latest: _Pass | None = None
        self.last = plan.epochs if run.until is None else min(run.until, plan.epochs)
        self.before = 0.0
        self.deadline = math.inf if run.time_limit is None else time.perf_counter() + run.time_limit

    def go(self) -> History:
        first = self._resumed()
        metric = self.validation.name if self.validation else None
        self.history.metric = metric
        self.run.progress.start(self.last, len(self.source), metric, first)
        try:
            with interruptible() as stop, stop.telling(self._kept), keep_freed_memory():
                if not stop.attempt(lambda: self._epochs(first, stop)):
                    self._unscored()
                self.history.interrupted = stop.requested
        except BaseException as error:
            self.run.progress.stop()
            self._finish_anyway()
            if isinstance(error, torch.OutOfMemoryError):
                raise self._no_room() from error
            raise
        self.run.progress.stop()
        self._finish()
        return self.history

    def _epochs(self, first: int, stop: StopRequest) -> None:
        for epoch in range(first, self.last):
            if not self._epoch(epoch, stop):
                break

    def _kept(self) -> str:
        """The message after a signal."""
        history, latest = self.history, self.latest
        counts = latest is not None and latest.steps >= FEWEST_STEPS
        if not history.records and not counts:
            return "no epoch is finished yet, so there is nothing to keep"
        if history.best_epoch is None:
            done = f"after epoch {history.epochs}" if history.epochs else "in its first epoch"
            return f"keeping the model as it is ({done})"
        better = ", or what it is now if that is better" if counts else ""
        return f"keeping the best model so far (epoch {history.best_epoch}){better}"

    def _resumed(self) -> int:
        if not self.run.resume:
            self.store.check_empty()
            return 0
        first, self.history = self.store.resume(self.state)
        self.history.interrupted = self.history.out_of_time = False
        self.before = self.history.seconds
        self.seen = first * len(self.source)
        return first

    def _epoch(self, epoch: int, stop: StopRequest) -> bool:
        """One pass over the source, its score and its checkpoint; False if training has to end."""
        done = self.latest = _Pass(epoch, self.plan.phase_of(epoch))
        self._select(done.phase)
        with denormals_as_zero():
            whole = self._pass(done, stop)
        if whole:
            self._act("epoch", done.phase)
        elif done.steps < (1 if self.history.out_of_time else FEWEST_STEPS):
            return False
        record = self._record(done, whole)
        self.average.add(epoch + 1)
        if self.validation and ((epoch + 1) % self.validation.every == 0 or not whole):
            self.model.eval()
            with self.average.shown():
                record |= self.placement.agreed(self.validation.numbers(self.model, scored=done.phase.validate))
        record["seconds"] = time.perf_counter() - done.started
        with stop.held():
            self._take(record, whole)
            self.latest = None
        return whole and not (stop.requested or self.history.stopped_early or self._late())

    def _record(self, done: _Pass, whole: bool) -> dict[str, float | int | str]:
        means = done.means()
        part = {} if whole else {"part": done.rows / len(self.source)}
        rate = {"learning_rate": self._rate()}
        return {"epoch": done.epoch + 1, "phase": done.phase.name, **part, **means, **rate}

    def _unscored(self) -> None:
        """After a second signal: if no epoch is finished, the unfinished one counts."""
        done = self.latest
        if not self.history.records and done is not None and done.steps >= FEWEST_STEPS:
            seconds = {"seconds": time.perf_counter() - done.started}
            self.history.take(self._record(done, done.rows == len(self.source)) | seconds)

    def _take(self, record: dict[str, float | int | str], whole: bool) -> None:
        epoch = int(record["epoch"])
        self._keep_if_best(record)
        patience = self.plan.patience
        self.history.stopped_early = whole and patience is not None and self.history.since_best() >= patience
        self.run.progress.epoch(record)
        # Training can only be resumed between two epochs.
        if whole and self.run.checkpoints and (epoch % self.run.every == 0 or epoch == self.last):
            self.best.write()
            self.store.save(epoch, self.state, self.history)

    def _keep_if_best(self, record: dict[str, float | int | str]) -> None:
        history = self.history
        before = history.best_epoch, history.best_score
        if not history.take(record):
            return
        try:
            with self.average.shown():
                self.best.keep(int(record["epoch"]), self.model)
        except BaseException:
            # The best weights on disk are still the previous ones.
            history.best_epoch, history.best_score = before
            raise

    def _pass(self, done: _Pass, stop: StopRequest) -> bool:
        """All steps of an epoch; False if Ctrl-C or the time limit came first."""
        self.model.train()
        batches = iter(self.plan.batching(self.lengths, self.order))
        upcoming = self._prepared(next(batches, None))
        while upcoming is not None:
            if stop.requested or self._late():
                return False
            rows, batch = upcoming
            done.add(self._step(rows, batch, done, stop), rows)
            # The device works on this step while the host prepares the next one.
            upcoming = self._prepared(next(batches, None))
            if done.steps % self.pace == 0:
                self._look(done)
        self._look(done)
        return True

    def _prepared(self, rows: Tensor | None) -> tuple[int, Batch | Prepared] | None:
        if rows is None:
            return None
        if self.graphs is None:
            return len(rows), self.source.batch(rows)
        layout = self.graphs.source.layout(rows, filled=True)
        return len(rows), Prepared(sent(layout.numbers, self.device), layout.shape)

    def _look(self, done: _Pass) -> None:
        """Wait for the device, show the mean loss so far and check that it is finite."""
        if new := done.rows - done.shown:
            mean = done.mean_loss() if self.pace == 1 else done.means()["loss"]
            if not math.isfinite(mean):
                raise self._non_finite(mean, done.epoch)
            done.shown = done.rows
            self.run.progress.step(new, mean)

    def _step(self, rows: int, batch: Batch | Prepared, done: _Pass, stop: StopRequest) -> Terms:
        rate, progress = self._rate(), self._progress()
        self.seen += rows
        if isinstance(batch, Prepared):
            assert self.graphs is not None
            with stop.held():
                return self.graphs.step(batch, done.phase, rate, progress)

        def checked(total: Tensor) -> None:
            if not math.isfinite(value := float(total)):
                raise self._non_finite(value, done.epoch)

        # On a CPU, weights are never updated with a loss that is not finite.
        check = checked if self.pace == 1 else None
        return self.stepper.step(batch, done.phase, Pace(rate, progress), checked=check, held=stop.held)

    def _late(self) -> bool:
        if self.run.time_limit is not None:
            self.history.out_of_time = self.placement.any(time.perf_counter() > self.deadline)
        return self.history.out_of_time

    def _progress(self) -> float:
        """Progress from 0 to 1, in rows seen over the whole plan."""
        return self.seen / (self.plan.epochs * len(self.source))

    def _rate(self) -> float:
        if self.plan.decay == "halving":
            return self.plan.learning_rate * 0.5**self.history.stalled
        if self.plan.decay == "constant":
            return self.plan.learning_rate
        over = self._progress() if self.plan.decay == "cosine" else max(self._progress(), self._time_over())
        return self.plan.learning_rate * 0.5 * (1 + math.cos(math.pi * over))

    def _time_over(self) -> float:
        """The share of the time that is over, with that of earlier calls, from 0 to 1; 0 without a limit."""
        if self.run.time_limit is None or self.run.shard is not None:
            return 0.0
        left = max(0.0, self.deadline - time.perf_counter())
        return 1 - left / (self.run.time_limit + self.before)

    def _select(self, phase: Phase) -> None:
        chosen = {id(parameter) for parameter in self.model.parameters_of(*phase.trainable)}
        for parameter in self.stepper.trainable:
            parameter.requires_grad_(id(parameter) in chosen)

    def _act(self, when: str, phase: Phase) -> None:
        hooks = [hook for hook in (*self.model.hooks, *phase.hooks) if hook.when == when]
        if not hooks:
            return
        with torch.no_grad():
            for hook in hooks:
                hook.act(self.model)
                if hook.reset_optimizer:
                    self._reset(hook.reset_optimizer)

    def _reset(self, parts: tuple[PartName, ...]) -> None:
        for parameter in self.model.parameters_of(*parts):
            self.optimizer.state.pop(parameter, None)
        if self.graphs is not None:
            self.graphs.forget()

    def _finish(self) -> None:
        """Clean up after the training: restore the best weights and ``requires_grad``, and drop gradients."""
        for parameter in self.stepper.trainable:
            parameter.requires_grad_(True)
        self.optimizer.zero_grad(set_to_none=True)
        self.graphs = None
        if self.history.best_epoch is not None:
            self.best.load(self.history.best_epoch, self.model)
        else:
            self.average.use()
        self.model.eval()

    def _finish_anyway(self) -> None:
        """Like ``_finish``, but errors must not hide the one that ended the training."""
        if not self.placement.recovers:
            return
        try:
            self._finish()
        except Exception as error:
            logger.warning("the best weights could not be put back: %s", error)

    def _no_room(self) -> BudgetError:
        return BudgetError(
            f"{self.device} has too little memory for a step of this training",
            expected="a batch that fits",
            remedy=f"take a smaller batch or model, precision='bf16', or device='cpu'; {self._kept_on_disk()}",
        )

    def _kept_on_disk(self) -> str:
        return f"checkpoints are in {self.run.checkpoints}" if self.run.checkpoints else "there are no checkpoints"

    def _non_finite(self, value: float, epoch: int) -> NonFiniteLossError:
        return NonFiniteLossError(
            f"the loss became {value} in epoch {epoch + 1}",
            expected="a finite number",
            remedy=f"lower the learning rate, set clip=1.0, or use precision='fp32'; {self._kept_on_disk()}",
        )


@contextmanager
def _store(run: Run, model: Autoencoder) -> Iterator[Store]:
    if run.checkpoints is not None:
        store: Store = current().store(model, run.checkpoints, CheckpointStore)
        yield store
        return
    with private_folder("isthmus-training") as directory:
        yield CheckpointStore(directory, durable=False)
